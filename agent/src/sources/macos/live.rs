//! What only the running macOS answers: the programs of its processes and its boot. Nothing here was run on a Mac by a test.

use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind};

use super::running::Running;

/// The programs of all processes. Those of other users say nothing to anybody but an administrator.
pub(super) fn running() -> Running {
    let Ok(mut system) = System::new() else { return Running { some_hidden: true, ..Running::default() } };
    let refresh = ProcessRefreshKind::nothing().with_exe(UpdateKind::Always);
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, refresh);
    let mut running = Running::default();
    for process in system.processes().values() {
        match process.exe().and_then(|path| path.to_str()).filter(|path| path.starts_with('/')) {
            Some(path) => drop(running.programs.insert(path.to_owned())),
            None => running.some_hidden = true,
        }
    }
    // The kernel is a process without a program.
    running.some_hidden &= !rustix::process::geteuid().is_root();
    running
}

/// An id that is new with every start: when the system started, in seconds.
pub(super) fn boot_id() -> String {
    System::boot_time().map(|started| format!("boot-{started}")).unwrap_or_default()
}
