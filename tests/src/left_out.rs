//! Reports tests that this machine cannot run: on standard error, and to the script that runs all tests. The script lists
//! them at its end, because runners hide what a passing test prints.

use std::io::Write;

/// Names the file that `deploy/ci/test` prints.
const LIST: &str = "MUSTER_TEST_LEFT_OUT";

/// Reports that a test, or a part of one, is left out, and why.
#[expect(clippy::print_stderr, reason = "a test that is left out must be visible")]
pub fn left_out(test: &str, why: &str) {
    eprintln!("left out: {test}: {why}");
    let Some(list) = std::env::var_os(LIST) else { return };
    let opened = std::fs::File::options().create(true).append(true).open(list);
    if let Err(error) = opened.and_then(|mut list| writeln!(list, "{test}: {why}")) {
        eprintln!("cannot write the list of tests that are left out: {error}");
    }
}
