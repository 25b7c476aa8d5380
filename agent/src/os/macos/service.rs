//! launchd: writes the shipped job of a daemon, loads it and removes it. Below a root only the file is written, on every Unix, so
//! that this is tested on Linux. Nothing here was run on a Mac by a test.

use std::fs::{OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Manager, ServiceError, ServiceStatus, failed, run};
use crate::os::access;

const NAME: &str = "muster-agent";
/// By its place: root's PATH on a Mac may begin with a folder of a user.
const LAUNCHCTL: &str = "/bin/launchctl";
const JOB: &str = include_str!("../../../../deploy/macos/muster-agent.plist");
/// The program in the shipped job.
const SHIPPED: &str = "<string>/Library/Application Support/Muster/muster-agent</string>";
const OWN_JOB: &str = "Library/LaunchDaemons/muster-agent.plist";
/// The volume with everything that is not the system's own. A running Mac shows its folders at the top; below a root they are here
/// (firmlinks of macOS 10.15 and later).
const DATA: &str = "System/Volumes/Data";
/// The job in the domain of the system (`launchctl(1)`).
const LOADED: &str = "system/muster-agent";

/// How long launchd may take to unload the job: longer than `ExitTimeOut` in it.
const UNLOADED: Duration = Duration::from_secs(45);
/// How long it may take to start the program.
const STARTED: Duration = Duration::from_secs(10);
const SEE: Duration = Duration::from_millis(200);

pub(super) const MANAGER: Manager = Manager {
    install,
    uninstall,
    start,
    stop,
    status,
    where_the_log_is: Some("run `log show --last 1h --predicate 'process == \"muster-agent\"'`"),
};

fn install(program: &Path, root: Option<&Path>, start: bool) -> Result<Vec<String>, ServiceError> {
    let mut program = program.to_owned();
    if root.is_none() {
        // launchd would follow a link that somebody changes later.
        program = std::fs::canonicalize(&program).map_err(failed("find", &program))?;
        // The service may do everything, and so may who can change what it runs.
        access::check_program(&program)?;
    }
    let [path, ..] = places(root);
    write(&path, &job(&program))?;
    let mut done = vec![format!("wrote {}", path.display())];
    if root.is_some() {
        done.push(format!("launchd loads {NAME} at the next start of that system"));
        return Ok(done);
    }
    if unload()? {
        done.push(format!("launchctl bootout {LOADED}"));
    }
    if start {
        let (loaded, is_running) = load()?;
        done.extend(loaded);
        if !is_running {
            // Without an identity or a token it ends at once, which is no fault of the installation.
            done.push(format!("{NAME} is loaded and does not run yet; `muster-agent status` says why"));
        }
    } else {
        done.push(format!("launchd loads {NAME} at the next start of the system"));
    }
    Ok(done)
}

fn uninstall(root: Option<&Path>) -> Result<Vec<String>, ServiceError> {
    let mut done = Vec::new();
    if root.is_none() && unload()? {
        done.push(format!("launchctl bootout {LOADED}"));
    }
    for path in places(root) {
        match std::fs::remove_file(&path) {
            Ok(()) => done.push(format!("removed {}", path.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed("remove", &path)(error)),
        }
    }
    done.push("kept /Library/Application Support/Muster (settings, identity, program)".to_owned());
    Ok(done)
}

fn start() -> Result<Vec<String>, ServiceError> {
    if !Path::new("/").join(OWN_JOB).exists() {
        return Err(ServiceError::NotInstalled(NAME));
    }
    if is_running() {
        return Ok(vec![format!("{NAME} runs already")]);
    }
    // launchd holds a job back that has ended at once, and `kickstart` does not wait.
    let mut done = Vec::new();
    if unload()? {
        done.push(format!("launchctl bootout {LOADED}"));
    }
    let (loaded, is_running) = load()?;
    done.extend(loaded);
    if is_running { Ok(done) } else { Err(ServiceError::State(format!("{NAME} is loaded and does not run"))) }
}

fn stop() -> Result<Vec<String>, ServiceError> {
    if !Path::new("/").join(OWN_JOB).exists() {
        return Err(ServiceError::NotInstalled(NAME));
    }
    // launchd would start a job again that only ends.
    Ok(if unload()? { vec![format!("launchctl bootout {LOADED}")] } else { vec![format!("{NAME} is stopped already")] })
}

fn status(root: Option<&Path>) -> Result<ServiceStatus, ServiceError> {
    let mut status = ServiceStatus {
        unit: places(root).into_iter().find(|path| path.exists()),
        packaged: false,
        enabled: String::new(),
        active: String::new(),
        status_text: String::new(),
    };
    if root.is_some() {
        return Ok(status);
    }
    match run(&[LAUNCHCTL, "print", LOADED]) {
        Ok(printed) => (status.active, status.status_text) = state(&printed),
        Err(ServiceError::Failed { .. }) => "not loaded".clone_into(&mut status.active),
        Err(error) => return Err(error),
    }
    // What cannot be read is unknown.
    if let Ok(printed) = run(&[LAUNCHCTL, "print-disabled", "system"]) {
        let is_disabled = disabled(&printed);
        status.enabled = if is_disabled { "disabled" } else { "enabled" }.to_owned();
    }
    Ok(status)
}

/// Where the job may be: first where launchd of that system reads it. A copy of both volumes as one tree has it at the top.
fn places(root: Option<&Path>) -> [PathBuf; 2] {
    let top = root.unwrap_or(Path::new("/"));
    let of_data = top.join(DATA);
    let at_top = top.join(OWN_JOB);
    // A link there would lead to the running system.
    let has_data = root.is_some() && std::fs::symlink_metadata(&of_data).is_ok_and(|data| data.is_dir());
    if has_data { [of_data.join(OWN_JOB), at_top] } else { [at_top.clone(), at_top] }
}

/// The shipped job with another program.
fn job(program: &Path) -> String {
    let program = program.display().to_string();
    let program = program.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    JOB.replace(SHIPPED, &format!("<string>{program}</string>"))
}

/// What `launchctl print` says of the job: its state, and its process or how it ended. The words are launchd's, and the form is
/// no promise (`launchctl(1)`), so what is not there is empty.
fn state(printed: &str) -> (String, String) {
    let of = |name: &str| {
        // Lines of the job itself begin with one tab; those of what is in it with more.
        let lines = printed.lines().filter_map(|line| line.strip_prefix('\t').filter(|rest| !rest.starts_with('\t')));
        lines.filter_map(|line| line.split_once(" = ")).find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let process = of("pid").map(|pid| format!("process {pid}"));
    let ended = || of("last exit code").map(|code| format!("last exit code {code}"));
    (of("state").unwrap_or_default().to_owned(), process.or_else(ended).unwrap_or_default())
}

/// Whether `launchctl print-disabled` names the job as one that an administrator has disabled: `"muster-agent" => disabled`, or
/// `=> true` up to macOS 12.
fn disabled(printed: &str) -> bool {
    let mut jobs = printed.lines().filter_map(|line| line.trim().split_once(" => "));
    let name = format!("\"{NAME}\"");
    jobs.any(|(job, state)| job == name && matches!(state.trim(), "disabled" | "true"))
}

/// Loads the job and waits until it runs. Returns what was done, and whether it runs: an agent without an identity ends at once.
fn load() -> Result<(Vec<String>, bool), ServiceError> {
    let path = Path::new("/").join(OWN_JOB).display().to_string();
    let mut done = Vec::new();
    // An administrator who starts it wants it to run, also after it was disabled.
    for command in [&[LAUNCHCTL, "enable", LOADED][..], &[LAUNCHCTL, "bootstrap", "system", &path]] {
        run(command)?;
        done.push(command.join(" "));
    }
    let begun = Instant::now();
    while !is_running() {
        if begun.elapsed() > STARTED {
            return Ok((done, false));
        }
        std::thread::sleep(SEE);
    }
    Ok((done, true))
}

fn is_running() -> bool {
    run(&[LAUNCHCTL, "print", LOADED]).is_ok_and(|printed| state(&printed).0 == "running")
}

/// Unloads the job and waits until it has ended. Returns whether it was loaded.
fn unload() -> Result<bool, ServiceError> {
    if !is_loaded()? {
        return Ok(false);
    }
    let begun = Instant::now();
    // It may say that the operation is in progress, which is no failure if the job is gone at the end.
    let refused = run(&[LAUNCHCTL, "bootout", LOADED]).err();
    while is_loaded()? {
        if begun.elapsed() > UNLOADED {
            return Err(refused.unwrap_or_else(|| ServiceError::State(format!("{NAME} does not stop"))));
        }
        std::thread::sleep(SEE);
    }
    Ok(true)
}

fn is_loaded() -> Result<bool, ServiceError> {
    match run(&[LAUNCHCTL, "print", LOADED]) {
        Ok(_) => Ok(true),
        Err(ServiceError::Failed { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// launchd loads only a file of root's that nobody else may change.
fn write(path: &Path, text: &str) -> Result<(), ServiceError> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let new: PathBuf = folder.join(format!(".{NAME}.new-{}", std::process::id()));
    let replaced = std::fs::create_dir_all(folder).and_then(|()| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        // Whatever the umask of the caller is.
        file.set_permissions(Permissions::from_mode(0o644))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, path)
    });
    if replaced.is_err() {
        // Best effort: the error of the failed write is what matters.
        let _ = std::fs::remove_file(&new);
    }
    replaced.map_err(failed("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_job_that_is_installed_below_a_root_is_removed_again() {
        let root = tempfile::tempdir().expect("temporary directory");
        let (below, path) = (Some(root.path()), root.path().join(OWN_JOB));
        for program in ["/opt/A & B/<agent>", "/Library/Application Support/Muster/muster-agent"] {
            install(Path::new(program), below, true).expect("installed");
            let job = plist::Value::from_file(&path).expect("a property list");
            let job = job.as_dictionary().expect("a dictionary");
            let of = |key: &str| job.get(key).unwrap_or_else(|| panic!("{key}"));
            let arguments: Vec<_> = of("ProgramArguments").as_array().expect("a list").iter().collect();
            let arguments: Vec<_> = arguments.into_iter().filter_map(plist::Value::as_string).collect();
            assert_eq!(arguments, [program, "run"]);
            assert_eq!(of("Label").as_string(), Some(NAME));
            assert_eq!((of("KeepAlive").as_boolean(), of("RunAtLoad").as_boolean()), (Some(true), Some(true)));
            assert_eq!(
                (of("ProcessType").as_string(), of("LowPriorityIO").as_boolean()),
                (Some("Background"), Some(true))
            );
            let mode = std::fs::metadata(&path).expect("there").permissions().mode();
            assert_eq!(mode & 0o7777, 0o644, "launchd refuses what others may write");
        }
        let files = || std::fs::read_dir(path.parent().expect("a folder")).expect("listed").count();
        assert_eq!((files(), status(below).expect("status").unit), (1, Some(path.clone())));
        let done = uninstall(below).expect("removed");
        assert!(done.contains(&format!("removed {}", path.display())), "{done:?}");
        assert_eq!((files(), status(below).expect("status").unit), (0, None));
        uninstall(below).expect("removing nothing is no error");
    }

    #[test]
    fn the_job_is_on_the_volume_from_which_launchd_reads_it() {
        let root = tempfile::tempdir().expect("temporary directory");
        let (below, path) = (Some(root.path()), root.path().join(DATA).join(OWN_JOB));
        // The volume of the system has empty folders in the places of those of the other one.
        std::fs::create_dir_all(root.path().join("Library")).expect("made");
        std::fs::create_dir_all(root.path().join(DATA)).expect("made");
        install(Path::new("/Library/Application Support/Muster/muster-agent"), below, true).expect("installed");
        let at_top = root.path().join(OWN_JOB);
        assert!(path.exists() && !at_top.exists());
        assert_eq!(status(below).expect("status").unit, Some(path.clone()));
        // One of a copy in one tree counts too, and goes too.
        std::fs::create_dir_all(at_top.parent().expect("a folder")).expect("made");
        std::fs::copy(&path, &at_top).expect("copied");
        uninstall(below).expect("removed");
        assert!(!path.exists() && !at_top.exists());
        assert_eq!(status(below).expect("status").unit, None);
    }

    #[test]
    fn the_state_is_what_launchd_prints_of_the_job_itself() {
        // The form of macOS 14, as printed for other daemons.
        let running = "system/muster-agent = {\n\tactive count = 1\n\tpath = /Library/LaunchDaemons/muster-agent.plist\n\t\
                       type = LaunchDaemon\n\tstate = running\n\n\tprogram = /x\n\targuments = {\n\t\t/x\n\t\trun\n\t}\n\n\t\
                       endpoints = {\n\t\tstate = spawned\n\t}\n\tpid = 4711\n\tlast exit code = (never exited)\n}\n";
        assert_eq!(state(running), ("running".to_owned(), "process 4711".to_owned()));
        let ended = running.replace("state = running", "state = not running").replace("\tpid = 4711\n", "");
        let ended = ended.replace("(never exited)", "78: EX_CONFIG");
        assert_eq!(state(&ended), ("not running".to_owned(), "last exit code 78: EX_CONFIG".to_owned()));
        assert_eq!(state("something else"), (String::new(), String::new()));
    }

    #[test]
    fn a_job_that_an_administrator_has_disabled_is_named_as_such() {
        let printed = |state: &str| {
            format!("disabled services = {{\n\t\"com.x\" => disabled\n\t\"muster-agent\" => {state}\n}}\n")
        };
        assert!(disabled(&printed("disabled")) && disabled(&printed("true")));
        assert!(!disabled(&printed("enabled")) && !disabled(&printed("false")) && !disabled(""));
        assert!(!disabled("\t\"muster-agent-other\" => disabled\n"));
    }
}
