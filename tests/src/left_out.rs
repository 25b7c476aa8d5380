//! Tests that this machine cannot run say so: to whoever reads their output, and to the script that runs them all, which
//! shows it at its end, since runners hide what a passing test prints.

use std::io::Write;

/// The file that `deploy/ci/test` shows.
const LIST: &str = "MUSTER_TEST_LEFT_OUT";

/// Says that a test, or a part of one, is left out here, and why.
#[expect(clippy::print_stderr, reason = "a test that is left out says so")]
pub fn left_out(test: &str, why: &str) {
    eprintln!("left out: {test}: {why}");
    let Some(list) = std::env::var_os(LIST) else { return };
    let opened = std::fs::File::options().create(true).append(true).open(list);
    if let Err(error) = opened.and_then(|mut list| writeln!(list, "{test}: {why}")) {
        eprintln!("and the list of what is left out cannot be written: {error}");
    }
}
