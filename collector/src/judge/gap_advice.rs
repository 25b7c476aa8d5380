//! What to do about a source that an order needs and that was not read completely, in the words of the platform that was
//! scanned. The sentence of the gap follows where it names the object and the place.

use muster_proto::model::{Outcome, Platform, Reason, SourceName};

/// Only the reason says whether the database is damaged or of a kind that nothing reads, so the advice has both.
const PACKAGES_BY_HAND: &str = "If the database that the reason names is damaged or missing, restore it from a backup, then \
    scan again. If it is one that Muster cannot read, search the packages by hand (on NixOS in the output of `nix-store -q \
    --requisites /run/current-system`); the host then stays unknown";

const RESTART_WMI: &str =
    "Restart the service Winmgmt and check that `winmgmt /verifyrepository` finds no fault, then scan again";

/// One denied key among many makes a source partial, so the advice names permissions too.
const REPAIR: &str = "If the reason says that permission is denied, run the agent as LocalSystem or as an administrator, or give \
    SYSTEM read access to the key or file that it names. If a hive is missing or was not closed, shut Windows down, or copy the hive \
    together with its logs (.LOG1, .LOG2) from Windows\\System32\\config. If a hive is damaged, check the disk with `chkdsk` and restore the hive from a backup or a \
    restore point. Then scan again";

/// The advice for a gap.
pub(super) fn advice(platform: Platform, gap: &Reason) -> String {
    let source = gap.source.map_or("the source", |source| source.name());
    let what = match gap.outcome {
        Some(Outcome::NotApplicable) | None => format!("Let the agent read {source}"),
        Some(outcome) => match platform {
            Platform::Windows => on_windows(gap.source, source, outcome),
            Platform::Linux | Platform::Macos => elsewhere(gap.source, source, outcome),
        },
    };
    // On the other platforms the permission says it all.
    let is_complete = gap.outcome == Some(Outcome::Denied) && platform != Platform::Windows;
    if is_complete { what } else { format!("{what}. {}", gap.text) }
}

fn on_windows(source: Option<SourceName>, name: &str, outcome: Outcome) -> String {
    let namespace = namespace(source);
    match (outcome, namespace) {
        (Outcome::Denied, Some(namespace)) => {
            format!("Run the agent as LocalSystem or as an administrator, or {}; then scan again", enable(namespace))
        }
        (Outcome::Denied, None) => format!(
            "Run the agent as LocalSystem or as an administrator, which may read what {name} needs. If it already is, give SYSTEM \
             read access to the key or file that the reason names; then scan again"
        ),
        (Outcome::TimedOut, Some(_)) => RESTART_WMI.to_owned(),
        (Outcome::TimedOut, None) => slow(name),
        // Processes are not needed on a disk, where there are none.
        (_, Some(_)) if source == Some(SourceName::Processes) => RESTART_WMI.to_owned(),
        // What Windows refuses is partial if its settings were read.
        (_, Some(namespace)) => format!(
            "Scan on the running Windows while its services wscsvc (Security Center) and Winmgmt (WMI) run. If the reason says that \
             permission is denied, run the agent as LocalSystem, or {}. A mounted disk cannot say what protects it, unless answers \
             were recorded there (`muster-agent scan --record-wmi FILE`, then `--wmi FILE`)",
            enable(namespace)
        ),
        (_, None) => REPAIR.to_owned(),
    }
}

/// What lets an account ask Windows Management Instrumentation (WMI).
fn enable(namespace: &str) -> String {
    format!("give its account the right \"Enable Account\" for the namespace {namespace} in wmimgmt.msc")
}

/// The namespace of Windows Management Instrumentation that a source asks; `None` if it asks none.
const fn namespace(source: Option<SourceName>) -> Option<&'static str> {
    match source {
        Some(SourceName::SecurityCenter) => Some(r"root\SecurityCenter2"),
        Some(SourceName::Defender) => Some(r"root\Microsoft\Windows\Defender"),
        Some(SourceName::Processes) => Some(r"root\cimv2"),
        _ => None,
    }
}

fn elsewhere(source: Option<SourceName>, name: &str, outcome: Outcome) -> String {
    use SourceName as S;
    match (outcome, source) {
        (Outcome::Denied, _) => format!("Grant the agent permission to read {name}"),
        (Outcome::TimedOut, _) => slow(name),
        (_, Some(S::SystemPackages)) => PACKAGES_BY_HAND.to_owned(),
        (_, Some(S::Dpkg | S::Rpm | S::Apk | S::Pacman)) => {
            format!("Repair what {name} reads, for example from a backup of the package database; then scan again")
        }
        _ => format!("Repair what {name} reads, then scan again"),
    }
}

fn slow(name: &str) -> String {
    format!("Find out why {name} is slow, or raise `scan.time_limit` in the agent's settings; then scan again")
}

#[cfg(test)]
mod tests {
    use muster_proto::model::ReasonKind;

    use super::*;

    /// Words that mean nothing on the other platforms.
    const OF_WINDOWS: &[&str] = &["LocalSystem", "SYSTEM", "registry", "hive", "chkdsk", "WMI", "Winmgmt", "wmimgmt"];
    const OF_OTHERS: &[&str] = &["package", "dpkg", "rpm", "nix"];

    #[test]
    fn the_advice_speaks_of_the_platform_that_was_scanned() {
        let outcomes = [Outcome::Denied, Outcome::Failed, Outcome::Partial, Outcome::TimedOut];
        for source in SourceName::ALL {
            for outcome in outcomes {
                let gap = |reason: &str| Reason {
                    source: Some(*source),
                    outcome: Some(outcome),
                    ..Reason::new(ReasonKind::Coverage, "coverage/x".to_owned(), reason)
                };
                let windows = advice(Platform::Windows, &gap("THE REASON")).replace(source.name(), "");
                assert!(windows.ends_with("THE REASON") && windows.contains("scan"), "{source} {outcome}: {windows}");
                for word in OF_OTHERS {
                    assert!(!windows.contains(word), "{source} {outcome}: {windows}");
                }
                for platform in [Platform::Linux, Platform::Macos] {
                    let other = advice(platform, &gap("")).replace(source.name(), "");
                    for word in OF_WINDOWS {
                        assert!(!other.contains(word), "{platform} {source} {outcome}: {other}");
                    }
                }
            }
        }
    }

    #[test]
    fn only_a_package_database_is_restored_as_one() {
        let of = |source: SourceName| {
            let outcome = Some(Outcome::Failed);
            let gap =
                Reason { source: Some(source), outcome, ..Reason::new(ReasonKind::Coverage, "x".to_owned(), "y") };
            advice(Platform::Linux, &gap)
        };
        assert!(of(SourceName::Dpkg).contains("a backup of the package database"));
        assert_eq!(of(SourceName::WatchPaths), "Repair what watch-paths reads, then scan again. y");
        assert_eq!(of(SourceName::SystemdUnits), "Repair what systemd-units reads, then scan again. y");
    }
}
