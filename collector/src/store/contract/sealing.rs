//! Sealing: new entries become leaves in order, and a ledger that was changed is found.

use super::Backend;
use super::kit::{acting, assert_healthy, at, enrollment, new_token, token_create};
use crate::ledger::tree::{Hash, TreeState, leaf_hash};
use crate::ledger::verify::Verifier;
use crate::store::admin::{self, AdminTx, sealing};

/// Signs with a text that nobody has to verify.
struct Plain;

impl sealing::Signer for Plain {
    fn sign(&self, size: u64, root: &Hash) -> String {
        let hex: String = root.0.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{size} {hex}")
    }

    fn opened(&self, checkpoint: &str) -> Option<(u64, Hash)> {
        let (size, hex) = checkpoint.split_once(' ')?;
        let bytes = data_encoding::HEXLOWER.decode(hex.as_bytes()).ok()?;
        Some((size.parse().ok()?, Hash(bytes.try_into().ok()?)))
    }
}

/// Seals everything.
pub(crate) async fn sealed(store: &std::sync::Arc<dyn crate::store::Store>) {
    let work = |tx: &mut dyn AdminTx| sealing::seal(tx, &Plain, at(90));
    while admin::write(store.as_ref(), "ledger_seal", acting(90), work).await.expect("seals") {}
}

/// Reads and seals everything, for the comparison of both databases.
pub(super) fn all(tx: &mut dyn AdminTx) {
    assert!(sealing::is_pending(tx).expect("asks"));
    while sealing::seal(tx, &Plain, at(70)).expect("seals") {}
    assert!(!sealing::is_pending(tx).expect("asks"));
    let sealed = sealing::sealed(tx).expect("reads").expect("is sealed");
    assert_eq!(sealing::leaves(tx, 0, 10_000).expect("reads").len() as u64, sealed.size);
}

pub(crate) async fn entries_are_sealed_in_order_once_and_without_gaps(backend: impl Backend) {
    let store = backend.open();
    let seal = |second: u64| {
        let work = move |tx: &mut dyn AdminTx| sealing::seal(tx, &Plain, at(second));
        admin::write(store.as_ref(), "ledger_seal", acting(second), work)
    };
    assert!(!seal(1).await.expect("seals"), "there is nothing to seal");
    assert_eq!(admin::read(store.as_ref(), "sealed", sealing::sealed).await.expect("reads"), None);
    token_create(&store, new_token(9)).await.expect("creates");
    // A transaction that fails leaves no gap.
    let failing = |tx: &mut dyn AdminTx| {
        admin::tokens::create(tx, &crate::store::NewToken { id: "lost".parse().expect("an id"), ..new_token(9) })?;
        Err::<(), _>(crate::store::sql::StoreFault::Other("on purpose".to_owned()))
    };
    assert!(admin::write(store.as_ref(), "failing", acting(2), failing).await.is_err());
    for number in 1..4 {
        store.host_enroll(enrollment(number)).await.expect("enrolls");
    }
    assert!(!seal(20).await.expect("seals"));
    store.host_enroll(enrollment(4)).await.expect("enrolls");
    assert!(admin::read(store.as_ref(), "unsealed", sealing::is_pending).await.expect("asks"));
    assert!(!seal(30).await.expect("seals"));
    let sealed = admin::read(store.as_ref(), "sealed", sealing::sealed).await.expect("reads").expect("is sealed");
    let leaves = admin::read(store.as_ref(), "leaves", |tx| sealing::leaves(tx, 0, 100)).await.expect("reads");
    assert_eq!((sealed.size, sealed.sealed_at), (5, at(30)));
    assert_eq!(sealed.checkpoint, sealing::Signer::sign(&Plain, 5, &sealed.root));
    let (mut tree, mut verifier) = (TreeState::default(), Verifier::new([]));
    for leaf in &leaves {
        tree.append(leaf_hash(&leaf.line));
        assert!(verifier.feed(leaf.no, &leaf.line, leaf.hash.as_ref()).is_continue());
    }
    assert_eq!((tree.size(), tree.root()), (5, sealed.root));
    let report = verifier.finish();
    assert_eq!((report.sealed, report.faults), (5, Vec::new()));
    // A tree that is not the one that was signed is not signed again.
    let forge = |tx: &mut dyn AdminTx| {
        let other = TreeState::default().to_bytes();
        tx.note_progress("UPDATE ledger_tree SET state = $1 WHERE only_one = 1", &[other.as_slice().into()])
    };
    store.host_enroll(enrollment(5)).await.expect("enrolls");
    admin::write(store.as_ref(), "forge", acting(40), forge).await.expect("writes");
    let refused = seal(41).await.expect_err("it is not signed").to_string();
    assert!(refused.contains("not the one that was signed last"), "{refused}");
    let restore = move |tx: &mut dyn AdminTx| {
        tx.note_progress("UPDATE ledger_tree SET state = $1 WHERE only_one = 1", &[tree.to_bytes().as_slice().into()])
    };
    admin::write(store.as_ref(), "restore", acting(42), restore).await.expect("writes");
    let after = admin::read(store.as_ref(), "leaves", |tx| sealing::leaves(tx, 3, 1)).await.expect("reads");
    assert_eq!(after.iter().map(|leaf| leaf.no).collect::<Vec<_>>(), [4]);
    assert_healthy(&store).await;
}
