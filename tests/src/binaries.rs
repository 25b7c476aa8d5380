//! Finds the programs under test: beside the test's own program, where cargo puts its output.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

/// The path of a program of this workspace.
///
/// # Errors
/// It has not been built. The error says how to build it.
pub fn find(name: &str) -> Result<PathBuf> {
    let path = folder()?.join(name);
    ensure!(
        path.is_file(),
        "{} does not exist: run `cargo build --workspace` first (deploy/ci/test does), or set MUSTER_BIN_DIR to its \
         folder",
        path.display()
    );
    Ok(path)
}

/// `target/debug` of `target/debug/deps/it-0123`, unless `MUSTER_BIN_DIR` names another folder.
///
/// # Errors
/// The path of the test's own program is unknown.
pub fn folder() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("MUSTER_BIN_DIR") {
        return Ok(folder.into());
    }
    let own = std::env::current_exe().context("find the test's own program")?;
    let mut folder = own.parent().context("the test's program has no folder")?.to_owned();
    if folder.ends_with("deps") {
        folder.pop();
    }
    Ok(folder)
}

/// The folder of the repository.
#[must_use]
pub fn repository() -> PathBuf {
    let mut folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    folder.pop();
    folder
}
