//! `muster`: the operators' program, a client of FleetService.

use std::io::{self, BufReader, BufWriter, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use muster_collector::cli::{World, run};
use muster_collector::clock::system_now;

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(failed) => {
            let _ = writeln!(io::stderr(), "error: {failed}");
            return ExitCode::FAILURE;
        }
    };
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let plain = set("NO_COLOR").is_some() || set("TERM").is_some_and(|term| term == "dumb");
    let mut out = BufWriter::new(io::stdout());
    let (mut err, mut input) = (io::stderr(), BufReader::new(io::stdin()));
    let world = World {
        out: &mut out,
        err: &mut err,
        input: &mut input,
        colour: !plain && io::stdout().is_terminal(),
        now: system_now(),
        home: set("HOME").map(PathBuf::from),
        config_home: set("XDG_CONFIG_HOME").map(PathBuf::from),
    };
    let code = runtime.block_on(run(std::env::args_os(), world));
    // A table that could not be written ends like one that nobody reads to its end.
    std::mem::forget(out);
    ExitCode::from(code)
}
