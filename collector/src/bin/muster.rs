//! `muster`: the operators' program, a client of FleetService.

use std::io::{self, BufReader, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use muster_collector::cli::{World, run};
use muster_collector::clock::system_now;
use muster_proto::terminal::Paint;

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(failed) => {
            let _ = writeln!(io::stderr(), "error: {failed}");
            return ExitCode::FAILURE;
        }
    };
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let mut out = BufWriter::new(io::stdout());
    let (mut err, mut input) = (io::stderr(), BufReader::new(io::stdin()));
    let world = World {
        out: &mut out,
        err: &mut err,
        input: &mut input,
        paint: Paint::of_stdout(),
        now: system_now(),
        home: set("HOME").map(PathBuf::from),
        config_home: set("XDG_CONFIG_HOME").map(PathBuf::from),
    };
    let code = runtime.block_on(run(std::env::args_os(), world));
    // `run` has flushed what can be written. Dropping the writer would try once more and wait for a stopped reader.
    std::mem::forget(out);
    ExitCode::from(code)
}
