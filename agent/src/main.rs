//! The program: hands the arguments to `cli`, and the exit code back.

use std::process::ExitCode;

fn main() -> ExitCode {
    muster_agent::cli::main(std::env::args_os())
}
