//! The program: passes the arguments to `cli` and returns its exit code.

use std::process::ExitCode;

/// musl's own allocator requests memory from the system for every larger block, which makes a scan 50 % slower.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    muster_agent::cli::main(std::env::args_os())
}
