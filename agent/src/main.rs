//! The program: hands the arguments to `cli`, and the exit code back.

use std::process::ExitCode;

/// musl's own allocator asks the system for memory with every larger piece: a scan would take half as long again.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    muster_agent::cli::main(std::env::args_os())
}
