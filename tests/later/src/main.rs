//! `muster-collector`, with a clock that is ahead by as many seconds as the file `MUSTER_TEST_LATER` says; without the file by
//! none. So a test needs no day to let a day pass. The file is read whenever the collector asks for the time.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use muster_collector::{app, clock};

fn main() -> ExitCode {
    let file = std::env::var_os("MUSTER_TEST_LATER").map(PathBuf::from);
    let environment = std::env::vars_os();
    let environment =
        environment.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let system = clock::system();
    let later = Arc::new(move || {
        let text = file.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
        let ahead = text.and_then(|text| text.trim().parse().ok()).unwrap_or_default();
        system().plus(Duration::from_secs(ahead))
    });
    ExitCode::from(app::run_at(std::env::args_os(), environment.collect(), later))
}
