//! `muster-collector`: decides the role and the exit code, nothing else.

use std::process::ExitCode;

/// Every report is some hundred small texts, made on one thread and dropped on another. The system's allocators take more
/// time for that, musl's most of all.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Names that are not Unicode cannot be ours.
    let environment =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    ExitCode::from(muster_collector::app::run(std::env::args_os(), environment.collect()))
}
