//! A machine that is rolled back together with its memory: a real agent that reports, and then never did.
//!
//! `muster-rolled-back STATE-DIR ROOT LOST-ROOT NEXT-ROOT`: the agent of this process reports ROOT. A copy of the process reports
//! LOST-ROOT, and ends. Then the state folder is put back as it was, while the memory of this process still is as it was,
//! and this process reports NEXT-ROOT. One line of JSON is printed for each report.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use muster_agent::app::{Agent, DeliverySummary};
use muster_agent::config::{self, Flags};
use muster_agent::sources::root::Root;

fn main() -> Result<()> {
    let given: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [state_dir, root, lost, next] = given.as_slice() else {
        bail!("usage: muster-rolled-back STATE-DIR ROOT LOST-ROOT NEXT-ROOT");
    };
    let flags = Flags { state_dir: Some(state_dir.clone()), ..Flags::default() };
    let settings = config::load(&flags, Default::default())?;
    let mut agent = Agent::open(settings)?;
    report(&mut agent, root)?;
    let saved = state_dir.with_extension("saved");
    copy(state_dir, &saved)?;
    until_alone()?;
    let Some(copy_of_this) = fork()? else {
        // What this process does is undone.
        let reported = report(&mut agent, lost).and_then(|()| report(&mut agent, lost));
        if let Err(error) = &reported {
            print(&serde_json::json!({ "before_the_rollback": format!("{error:#}") }))?;
        }
        std::process::exit(i32::from(reported.is_err()));
    };
    ended(copy_of_this)?;
    std::fs::remove_dir_all(state_dir)?;
    copy(&saved, state_dir)?;
    report(&mut agent, next)
}

/// Scans and delivers on a runtime that ends with this, so that no thread is left.
fn report(agent: &mut Agent, root: &Path) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let summary: DeliverySummary = runtime.block_on(agent.scan_and_deliver(Root::below(root)?))?;
    print(&summary)
}

fn print(report: &impl serde::Serialize) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{}", serde_json::to_string(report)?)?)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut command = std::process::Command::new("cp");
    let status = command.arg("-a").arg(from).arg(to).status()?;
    ensure!(status.success(), "cp -a {} {}", from.display(), to.display());
    Ok(())
}

/// Waits until this thread is the only one: a copy of the process has no other.
fn until_alone() -> Result<()> {
    let end = Instant::now() + Duration::from_secs(60);
    while std::fs::read_dir("/proc/self/task")?.count() > 1 {
        ensure!(Instant::now() < end, "a thread of the agent does not end");
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Copies the process. `None` in the copy.
#[expect(unsafe_code, reason = "nothing else has the memory of a running agent twice")]
fn fork() -> Result<Option<libc::pid_t>> {
    // SAFETY: https://man7.org/linux/man-pages/man2/fork.2.html: there is one thread, so nobody holds a lock in the copy.
    match unsafe { libc::fork() } {
        -1 => bail!("fork: {}", std::io::Error::last_os_error()),
        0 => Ok(None),
        copy => Ok(Some(copy)),
    }
}

/// Waits until the copy has ended without an error.
#[expect(unsafe_code, reason = "as for `fork`")]
fn ended(copy: libc::pid_t) -> Result<()> {
    let mut status = 0;
    // SAFETY: https://man7.org/linux/man-pages/man2/waitpid.2.html: `status` is valid for the call.
    let waited = unsafe { libc::waitpid(copy, &raw mut status, 0) };
    ensure!(waited == copy && status == 0, "the copy of the process ended with {status}");
    Ok(())
}
