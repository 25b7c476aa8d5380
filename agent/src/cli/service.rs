//! `service`: installs, removes, starts, stops and inspects the system service. Hosts that use the packages do not need it, but their
//! installers may call `service configure` and `service purge`.

mod configure;
mod purge;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use muster_proto::model::Platform;

use super::Output;
use crate::config::Flags;
use crate::os::service;
use crate::sources::root::{FileKind, Root, RootError};

/// Where the program is expected in an image: the path of the packages, then that of a manual installation.
const fn places(platform: Platform) -> &'static [&'static str] {
    match platform {
        Platform::Linux | Platform::Windows => &["/usr/bin/muster-agent", "/usr/local/bin/muster-agent"],
        Platform::Macos => &["/Library/Application Support/Muster/muster-agent"],
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Install the service and start it; on Linux this writes the unit and creates the account and the state directory, on
    /// macOS it writes the job of launchd, on Windows it also sets the restart rules, the fewest rights and the source in the
    /// Event Log. It can be run again
    Install(Install),
    /// Stop the service and remove it and its files; keep settings and identity
    Uninstall(Uninstall),
    /// Start the installed service
    Start(Steps),
    /// Stop the service; a running delivery may finish within ten seconds
    Stop(Steps),
    /// Show whether the service is installed, enabled and running
    Status(Status),
    /// Set the collector in the settings, and leave a token with which the service enrolls
    Configure(configure::Arguments),
    /// Delete settings, identity and spool of this machine's agent; the service must be stopped
    Purge(purge::Arguments),
}

#[derive(Debug, clap::Args)]
struct Place {
    /// Work on the image below DIR and start nothing
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct Install {
    #[command(flatten)]
    place: Place,
    /// Path of the program on the target system [default: this program; with --root: /usr/bin/muster-agent or
    /// /usr/local/bin/muster-agent, on macOS /Library/Application Support/Muster/muster-agent]
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
    /// Do not start the service
    #[arg(long)]
    no_start: bool,
    /// Output format
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value = "table")]
    output: Output,
}

#[derive(Debug, clap::Args)]
struct Uninstall {
    #[command(flatten)]
    place: Place,
    /// Output format
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value = "table")]
    output: Output,
}

#[derive(Debug, clap::Args)]
struct Steps {
    /// Output format
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value = "table")]
    output: Output,
}

#[derive(Debug, clap::Args)]
struct Status {
    #[command(flatten)]
    place: Place,
    /// Output format
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value = "table")]
    output: Output,
}

pub(super) fn run(arguments: &Arguments, flags: Flags) -> anyhow::Result<ExitCode> {
    let (done, output) = match &arguments.verb {
        Verb::Install(Install { place, program, no_start, output }) => {
            let system = system(place)?;
            let program = match program {
                Some(program) => existing_place(&system, &[program])?,
                // The path of this program need not exist on that system.
                None if place.root.is_some() => existing_place(&system, places(system.platform()))?,
                None => std::env::current_exe().context("cannot determine the path of this program")?,
            };
            let platform = system.platform();
            (service::install(platform, &program, place.root.as_deref(), !no_start)?, *output)
        }
        Verb::Uninstall(Uninstall { place, output }) => {
            let platform = system(place)?.platform();
            (service::uninstall(platform, place.root.as_deref())?, *output)
        }
        Verb::Start(Steps { output }) => (service::start()?, *output),
        Verb::Stop(Steps { output }) => (service::stop()?, *output),
        Verb::Status(status) => return show(status),
        Verb::Configure(arguments) => return configure::run(arguments, flags),
        Verb::Purge(arguments) => return purge::run(arguments, &flags),
    };
    print_done(output, &done)
}

fn print_done(output: Output, done: &[String]) -> anyhow::Result<ExitCode> {
    let record = serde_json::json!({ "done": done });
    super::print(output, &record, || done.iter().map(|line| format!("{line}\n")).collect())?;
    Ok(ExitCode::SUCCESS)
}

/// The target system. A directory that does not exist is an error: creating a mistyped one would leave the real image
/// without the service.
fn system(place: &Place) -> Result<Root, RootError> {
    place.root.as_ref().map_or_else(Root::running_system, |dir| Root::below(dir))
}

/// The first of these paths that is a file on the target system. Installing a service without its program would fail
/// only at the next boot, when nobody is watching.
fn existing_place(system: &Root, places: &[impl AsRef<Path>]) -> anyhow::Result<PathBuf> {
    for place in places {
        let place = place.as_ref();
        let path = place.to_str().filter(|_| place.is_absolute());
        let path = path.with_context(|| format!("{} is not an absolute path", place.display()))?;
        let kind = system.kind_at(path).with_context(|| format!("cannot check {path} on the target system"))?;
        if kind == Some(FileKind::File) {
            return Ok(place.to_owned());
        }
    }
    let checked: Vec<String> = places.iter().map(|place| place.as_ref().display().to_string()).collect();
    anyhow::bail!(
        "no program at {1} in {0}: copy muster-agent there first, or use --program",
        system.given_path().display(),
        checked.join(" or ")
    )
}

fn show(arguments: &Status) -> anyhow::Result<ExitCode> {
    let platform = system(&arguments.place)?.platform();
    let status = service::status(platform, arguments.place.root.as_deref())?;
    super::print(arguments.output, &status, || {
        let or_unknown = |text: &str| if text.is_empty() { "unknown".to_owned() } else { text.to_owned() };
        let unit = status.unit.as_ref().map_or_else(|| "not installed".to_owned(), |unit| unit.display().to_string());
        let from = if status.packaged { " (from a package)" } else { "" };
        let rows = [
            ("service", format!("{unit}{from}")),
            ("enabled", or_unknown(&status.enabled)),
            ("active", or_unknown(&status.active)),
            ("status", or_unknown(&status.status_text)),
        ];
        rows.iter().map(|(name, value)| format!("{name:<10} {value}\n")).collect()
    })?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> tempfile::TempDir {
        tempfile::tempdir().expect("temporary directory")
    }

    fn put(image: &Path, path: &str) {
        let path = image.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, "program").expect("written");
    }

    fn install(image: &Path, program: Option<&str>) -> anyhow::Result<ExitCode> {
        let place = Place { root: Some(image.to_owned()) };
        run(
            &Arguments {
                verb: Verb::Install(Install {
                    place,
                    program: program.map(PathBuf::from),
                    no_start: false,
                    output: Output::Table,
                }),
            },
            Flags::default(),
        )
    }

    fn found(image: &Path, places: &[&str]) -> Result<PathBuf, String> {
        let system = Root::below(image).expect("a root");
        existing_place(&system, places).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn the_program_is_searched_in_the_image() {
        if !Path::new(places(Platform::Linux)[0]).is_absolute() {
            return crate::os::test_kit::left_out("paths that begin with a slash");
        }
        let image = image();
        let error = found(image.path(), places(Platform::Linux)).expect_err("nothing is there");
        assert!(error.contains("/usr/bin/muster-agent or /usr/local/bin/muster-agent"), "{error}");
        put(image.path(), "usr/local/bin/muster-agent");
        assert_eq!(found(image.path(), places(Platform::Linux)), Ok(PathBuf::from(places(Platform::Linux)[1])));
        put(image.path(), "usr/bin/muster-agent");
        assert_eq!(found(image.path(), places(Platform::Linux)), Ok(PathBuf::from(places(Platform::Linux)[0])));
        assert!(found(image.path(), &["opt/muster-agent"]).is_err(), "systemd requires an absolute path");
        assert!(found(image.path(), &["/usr/bin"]).is_err(), "a directory is not a program");
    }

    #[test]
    fn the_service_of_a_copied_mac_is_a_job_of_launchd() {
        if Root::running_platform() == Platform::Windows {
            return crate::os::test_kit::left_out("the files of services below a root");
        }
        let image = image();
        put(image.path(), "System/Library/CoreServices/SystemVersion.plist");
        install(image.path(), None).expect_err("no program is there");
        put(image.path(), "Library/Application Support/Muster/muster-agent");
        install(image.path(), None).expect("installed");
        let job = image.path().join("Library/LaunchDaemons/muster-agent.plist");
        assert!(job.exists() && !image.path().join("etc").exists());
        let place = Place { root: Some(image.path().to_owned()) };
        run(&Arguments { verb: Verb::Uninstall(Uninstall { place, output: Output::Table }) }, Flags::default())
            .expect("removed");
        assert!(!job.exists());
    }

    #[test]
    fn a_failed_installation_changes_nothing() {
        let image = image();
        for program in [None, Some("/opt/muster-agent")] {
            install(image.path(), program).expect_err("no program is there");
        }
        assert_eq!(std::fs::read_dir(image.path()).expect("listed").count(), 0, "something was written");
        let mistyped = image.path().join("mistyped");
        let place = || Place { root: Some(mistyped.clone()) };
        let status = Status { place: place(), output: Output::Table };
        install(&mistyped, None).expect_err("no such folder");
        for verb in [Verb::Uninstall(Uninstall { place: place(), output: Output::Table }), Verb::Status(status)] {
            run(&Arguments { verb }, Flags::default()).expect_err("no such folder");
        }
        assert!(!mistyped.exists(), "a folder was made of a typing error");
    }
}
