//! Tests of `launchd`.

use muster_proto::model::{Outcome, Watchlist};

use super::machine::{Mac, PROGRAM, one, rows};
use crate::sources::Source as _;
use crate::sources::macos::launchd::Launchd;

fn job(label: &str, program: &str) -> Vec<(&'static str, String)> {
    let arguments = format!("<array><string>{program}</string><string>--token=secret</string></array>");
    vec![("Label", label.to_owned()), ("ProgramArguments", arguments)]
}

fn with_job(mac: Mac, path: &str, label: &str, program: &str) -> Mac {
    let texts = job(label, program);
    let texts: Vec<(&str, &str)> = texts.iter().map(|(key, value)| (*key, value.as_str())).collect();
    mac.list(path, &texts)
}

#[test]
fn a_job_is_read_with_its_program_and_without_arguments() {
    let mac = with_job(
        Mac::new().file("Library/Application Support/Kaspersky Lab/KAV/Binaries/kav", PROGRAM),
        "Library/LaunchDaemons/com.kaspersky.kav.plist",
        "com.kaspersky.kav",
        "/library/application support/Kaspersky Lab/KAV/Binaries/kav",
    );
    let mac = with_job(mac, "Library/LaunchAgents/gone.plist", "com.kaspersky.kav.gui", "/Applications/Gone.app/x");
    let mac = with_job(mac, "Library/LaunchDaemons/apple.plist", "com.apple.x", "/usr/libexec/x");
    let mac = with_job(mac, "Library/LaunchDaemons/no-apple.plist", "com.apple.y", "/opt/y");
    let reading =
        mac.link("Library/LaunchDaemons/com.kaspersky.link.plist", "/Applications/Gone.app/x.plist").read(&Launchd);
    assert_eq!(reading.outcome, Outcome::Found, "{}", reading.reason);
    assert_eq!(
        rows(&reading),
        [
            "com.apple.y | /Library/LaunchDaemons/no-apple.plist |  | binary-missing",
            "com.kaspersky.kav | /Library/LaunchDaemons/com.kaspersky.kav.plist |  | ",
            "com.kaspersky.kav.gui | /Library/LaunchAgents/gone.plist |  | binary-missing",
            "com.kaspersky.link | /Library/LaunchDaemons/com.kaspersky.link.plist |  | broken-link",
        ]
    );
    assert!(!format!("{reading:?}").contains("secret"));
}

#[test]
fn a_program_on_a_disk_that_was_not_copied_is_not_gone() {
    let mac = with_job(Mac::new(), "Library/LaunchDaemons/a.plist", "a", "/Volumes/Disk/a");
    let reading = mac.read(&Launchd);
    assert_eq!((reading.outcome, one(&reading, "a").state.as_str()), (Outcome::Partial, ""));
    assert!(reading.reason.contains("another volume"), "{}", reading.reason);
}

#[test]
fn a_job_that_an_administrator_has_switched_off_is_still_installed() {
    let place = "private/var/db/com.apple.xpc.launchd/disabled.plist";
    let mac = with_job(Mac::new().file("opt/a", PROGRAM), "Library/LaunchDaemons/a.plist", "a", "/opt/a");
    let mac = with_job(mac, "Library/LaunchDaemons/b.plist", "b", "/opt/a");
    let reading = mac.list(place, &[("a", "<true/>"), ("b", "<false/>")]).read(&Launchd);
    assert_eq!([&one(&reading, "a").state, &one(&reading, "b").state], ["disabled", ""]);
}

#[test]
fn jobs_of_people_name_nobody() {
    let place = "Users/jane/Library/LaunchAgents/com.example.jane.agent.plist";
    let mac = with_job(Mac::new(), place, "com.example.Jane.agent", "/Users/jane/bin/agent");
    let mac = mac.file("Users/jane/bin/agent", PROGRAM);
    let watchlist = Watchlist { units: vec!["com.EXAMPLE.*".to_owned()], ..Watchlist::default() };
    let reading = Launchd.read(&mac.context(watchlist));
    let seen = one(&reading, "com.example.~.agent");
    assert_eq!(seen.id, "~/Library/LaunchAgents/com.example.~.agent.plist");
    let item = &reading.home_items[0];
    assert_eq!(
        (item.home.as_str(), item.place.as_str(), item.watched),
        ("/Users/jane", "launchd:com.example.~.agent", true)
    );
}

#[test]
fn a_file_that_cannot_be_read_has_the_name_of_a_job_and_is_a_problem() {
    let reading = Mac::new().file("Library/LaunchDaemons/com.kaspersky.klif_loader.plist", "<plist>").read(&Launchd);
    assert_eq!(reading.outcome, Outcome::Partial);
    assert_eq!(one(&reading, "com.kaspersky.klif_loader").state, "");
    assert_eq!(Mac::new().read(&Launchd).outcome, Outcome::Empty);
    for missing in ["Library/LaunchDaemons", "Library/LaunchAgents", "Users/Shared"] {
        assert_eq!(Mac::new().without(missing).read(&Launchd).outcome, Outcome::Failed, "{missing}");
    }
}

#[test]
fn a_job_that_launchd_would_refuse_is_named_by_its_file_and_is_a_problem() {
    let place = "Library/LaunchDaemons/com.kaspersky.kav.plist";
    for (texts, reason) in [
        (vec![("Program", "/opt/kav")], "the job has no label"),
        (vec![("Label", "com.kaspersky.kav")], "the job names no program"),
    ] {
        let reading = Mac::new().list(place, &texts).read(&Launchd);
        assert_eq!(reading.outcome, Outcome::Partial, "{texts:?}");
        assert_eq!(reading.reason, format!("/{place}: {reason}"));
        one(&reading, "com.kaspersky.kav");
    }
    let overrides = "private/var/db/com.apple.xpc.launchd/disabled.plist";
    let mac = with_job(Mac::new().file("opt/a", PROGRAM), "Library/LaunchDaemons/a.plist", "a", "/opt/a");
    let reading = mac.list(overrides, &[("a", "<array/>")]).read(&Launchd);
    assert_eq!((reading.outcome, one(&reading, "a").state.as_str()), (Outcome::Partial, ""));
}
