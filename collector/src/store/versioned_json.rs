//! Records that are stored as JSON with a version.

use super::fault::{Step, StoreFault};

/// The version in which JSON is stored.
const VERSION: u32 = 1;

#[derive(serde::Serialize, serde::Deserialize)]
struct Versioned<T> {
    v: u32,
    body: T,
}

#[derive(serde::Deserialize)]
struct OnlyVersion {
    v: u32,
}

/// A record as JSON with its version in "v".
pub(in crate::store) fn to_json<T: serde::Serialize>(body: &T) -> Step<String> {
    Ok(serde_json::to_string(&Versioned { v: VERSION, body })?)
}

/// A record from its JSON. `what` names it if it is damaged.
pub(in crate::store) fn from_json<T: serde::de::DeserializeOwned>(what: &str, text: &str) -> Step<T> {
    let damaged = |error: serde_json::Error| StoreFault::damaged(what, error.to_string());
    // The version is read alone first, because a body of another version need not have the form of `T`.
    let OnlyVersion { v } = serde_json::from_str(text).map_err(damaged)?;
    if v != VERSION {
        return Err(StoreFault::damaged(what, format!("it has version {v}, this version reads {VERSION}")));
    }
    Ok(serde_json::from_str::<Versioned<T>>(text).map_err(damaged)?.body)
}
