//! The size of the store.

use super::Backend;
use super::kit::{enrolled, packages, reports};

pub(crate) async fn the_size_is_known_and_grows_with_what_is_stored(backend: impl Backend) {
    let store = backend.open();
    enrolled(&store, 1).await;
    let before = store.size().await.expect("tells");
    assert!(before.bytes > 0);
    assert!(before.free_bytes.is_none_or(|free| free > 0), "{before:?}");
    let names: Vec<String> = (0..20_000).map(|n| format!("package-with-a-name-of-its-own-{n}")).collect();
    let section = packages(&names.iter().map(|name| (name.as_str(), "1")).collect::<Vec<_>>());
    reports(&store, 1, 1, 10, &[section]).await;
    let after = store.size().await.expect("tells");
    assert!(after.bytes > before.bytes + 20_000, "{before:?} {after:?}");
}
