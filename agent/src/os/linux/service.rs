//! systemd: writes the shipped unit, account and directory where an administrator's own files belong, so that they never
//! conflict with those of a package.

use std::io;
use std::path::{Path, PathBuf};

use super::{Manager, ServiceError, ServiceStatus, failed, run};

const NAME: &str = "muster-agent.service";
const UNIT: &str = include_str!("../../../../deploy/linux/muster-agent.service");
const ACCOUNT: &str = include_str!("../../../../deploy/linux/sysusers/muster-agent.conf");
const DIRECTORY: &str = include_str!("../../../../deploy/linux/tmpfiles/muster-agent.conf");

const OWN_UNIT: &str = "etc/systemd/system/muster-agent.service";
const OWN_ACCOUNT: &str = "etc/sysusers.d/muster-agent.conf";
const OWN_DIRECTORY: &str = "etc/tmpfiles.d/muster-agent.conf";
const WANTED: &str = "etc/systemd/system/multi-user.target.wants/muster-agent.service";
/// Where packages install the unit.
const PACKAGED: &[&str] = &["usr/lib/systemd/system/muster-agent.service", "lib/systemd/system/muster-agent.service"];

pub(super) const MANAGER: Manager =
    Manager { install, uninstall, start, stop, status, where_the_log_is: Some("read `journalctl -u muster-agent`") };

fn install(program: &Path, root: Option<&Path>, start: bool) -> Result<Vec<String>, ServiceError> {
    let at = |path: &str| root.unwrap_or(Path::new("/")).join(path);
    if let Some(unit) = packaged(root) {
        return Err(ServiceError::Packaged(unit));
    }
    let unit = UNIT.replace("ExecStart=/usr/bin/muster-agent ", &format!("ExecStart={} ", quoted(program)));
    let mut done = Vec::new();
    for (path, text) in [(OWN_ACCOUNT, ACCOUNT), (OWN_DIRECTORY, DIRECTORY), (OWN_UNIT, unit.as_str())] {
        write(&at(path), text)?;
        done.push(format!("wrote {}", at(path).display()));
    }
    if root.is_some() {
        link(&at(WANTED))?;
        done.push(format!("enabled {NAME} for the next boot of that system"));
        return Ok(done);
    }
    let enable: &[&str] = if start { &["systemctl", "enable", "--now", NAME] } else { &["systemctl", "enable", NAME] };
    for command in [
        // The account owns the directory, and the service needs both.
        &["systemd-sysusers", "/etc/sysusers.d/muster-agent.conf"][..],
        &["systemd-tmpfiles", "--create", "/etc/tmpfiles.d/muster-agent.conf"],
        &["systemctl", "daemon-reload"],
        enable,
    ] {
        run(command)?;
        done.push(command.join(" "));
    }
    Ok(done)
}

fn uninstall(root: Option<&Path>) -> Result<Vec<String>, ServiceError> {
    let at = |path: &str| root.unwrap_or(Path::new("/")).join(path);
    if let Some(unit) = packaged(root) {
        return Err(ServiceError::Packaged(unit));
    }
    let mut done = Vec::new();
    if root.is_none() && at(OWN_UNIT).exists() {
        // While the unit file still exists: systemd needs it to stop and disable the service.
        run(&["systemctl", "disable", "--now", NAME])?;
        done.push(format!("systemctl disable --now {NAME}"));
    }
    for path in [WANTED, OWN_UNIT, OWN_DIRECTORY, OWN_ACCOUNT] {
        if remove(&at(path))? {
            done.push(format!("removed {}", at(path).display()));
        }
    }
    if root.is_none() && !done.is_empty() {
        run(&["systemctl", "daemon-reload"])?;
    }
    done.push("kept /etc/muster (settings) and /var/lib/muster-agent (identity)".to_owned());
    Ok(done)
}

fn start() -> Result<Vec<String>, ServiceError> {
    systemctl("start")
}

fn stop() -> Result<Vec<String>, ServiceError> {
    systemctl("stop")
}

fn systemctl(verb: &str) -> Result<Vec<String>, ServiceError> {
    if !Path::new("/").join(OWN_UNIT).exists() && packaged(None).is_none() {
        return Err(ServiceError::NotInstalled(NAME));
    }
    run(&["systemctl", verb, NAME])?;
    Ok(vec![format!("systemctl {verb} {NAME}")])
}

fn status(root: Option<&Path>) -> Result<ServiceStatus, ServiceError> {
    let own = root.unwrap_or(Path::new("/")).join(OWN_UNIT);
    let packaged = packaged(root);
    let mut status = ServiceStatus {
        packaged: packaged.is_some(),
        unit: own.exists().then_some(own).or(packaged),
        enabled: String::new(),
        active: String::new(),
        status_text: String::new(),
    };
    // Without a running systemd there is nothing to query, and no service is running.
    if root.is_some() || !Path::new("/run/systemd/system").exists() {
        return Ok(status);
    }
    let properties = run(&["systemctl", "show", NAME, "--property=UnitFileState,ActiveState,StatusText"])?;
    for (name, value) in properties.lines().filter_map(|line| line.split_once('=')) {
        match name {
            "UnitFileState" => value.clone_into(&mut status.enabled),
            "ActiveState" => value.clone_into(&mut status.active),
            "StatusText" => value.clone_into(&mut status.status_text),
            _ => {}
        }
    }
    Ok(status)
}

fn packaged(root: Option<&Path>) -> Option<PathBuf> {
    PACKAGED.iter().map(|path| root.unwrap_or(Path::new("/")).join(path)).find(|path| path.exists())
}

/// A path for `ExecStart=`: quoted if necessary, with `%` escaped.
fn quoted(program: &Path) -> String {
    let text = program.display().to_string().replace('\\', r"\\").replace('"', "\\\"").replace('%', "%%");
    if text.contains([' ', '"', '\\', '\'']) { format!("\"{text}\"") } else { text }
}

fn write(path: &Path, text: &str) -> Result<(), ServiceError> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(parent).and_then(|()| std::fs::write(path, text)).map_err(failed("write", path))
}

fn link(path: &Path) -> Result<(), ServiceError> {
    // symlink(2) does not replace an existing file.
    remove(path)?;
    let parent = path.parent().unwrap_or(Path::new("/"));
    // The target is a path of the installed system, so it does not include `root`.
    let linked = std::fs::create_dir_all(parent)
        .and_then(|()| std::os::unix::fs::symlink(format!("/etc/systemd/system/{NAME}"), path));
    linked.map_err(failed("write", path))
}

/// Removes a file. Returns whether it existed.
fn remove(path: &Path) -> Result<bool, ServiceError> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed("remove", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_installed_below_a_root_is_removed_again() {
        let root = tempfile::tempdir().expect("temporary directory");
        let below = Some(root.path());
        install(Path::new("/opt/my tools/muster-agent"), below, true).expect("installed");
        let unit = std::fs::read_to_string(root.path().join(OWN_UNIT)).expect("the unit");
        assert!(unit.contains("\nExecStart=\"/opt/my tools/muster-agent\" run\n"), "{unit}");
        assert!(root.path().join(WANTED).is_symlink());
        let status = status(below).expect("status");
        assert_eq!((status.unit, status.packaged), (Some(root.path().join(OWN_UNIT)), false));
        install(Path::new("/usr/local/bin/muster-agent"), below, false).expect("installed over");
        uninstall(below).expect("removed");
        let files = |dir: &str| std::fs::read_dir(root.path().join(dir)).expect("listed").count();
        assert_eq!((files("etc/sysusers.d"), files("etc/tmpfiles.d")), (0, 0));
        assert!(!root.path().join(OWN_UNIT).exists() && !root.path().join(WANTED).is_symlink());
        uninstall(below).expect("removing nothing is no error");
    }

    #[test]
    fn the_service_starts_with_whatever_lets_it_enroll() {
        for path in ["/etc/muster/enroll.token", "/var/lib/muster-agent/enroll.token"] {
            assert!(UNIT.contains(&format!("\nConditionPathExists=|{path}\n")), "{path}");
        }
    }

    #[test]
    fn a_packaged_service_is_left_to_the_package() {
        let root = tempfile::tempdir().expect("temporary directory");
        write(&root.path().join(PACKAGED[0]), UNIT).expect("written");
        for tried in [install(Path::new("/x"), Some(root.path()), true), uninstall(Some(root.path()))] {
            assert!(matches!(tried, Err(ServiceError::Packaged(_))), "{tried:?}");
        }
        assert!(status(Some(root.path())).expect("status").packaged);
    }

    #[test]
    fn a_program_path_is_quoted_for_systemd() {
        assert_eq!(quoted(Path::new("/usr/bin/muster-agent")), "/usr/bin/muster-agent");
        assert_eq!(quoted(Path::new("/a b/100%")), "\"/a b/100%%\"");
    }
}
