//! The closed list of the states that agents report, by kind of evidence. The agent writes only these, and
//! `muster catalogue check` names each that no table of states lists.

use super::closed_list::closed_list;
use super::observation::{Kind, Observation};

closed_list! {
    /// A state that an agent writes, other than those of dpkg and of system extensions.
    ReportedState {
        /// A unit file is a link to `/dev/null` or empty, and there is no unit file below it that it switches off.
        Masked = 1, "masked";
        /// A link starts a unit that has no unit file.
        UnitMissing = 2, "unit-missing";
        /// A link whose target does not exist.
        BrokenLink = 3, "broken-link";
        /// The program of a service or application does not exist, or the driver that a registry value or an approval names.
        BinaryMissing = 4, "binary-missing";
        /// A folder without any file, or a registry key without values and keys below it.
        NoFiles = 5, "no-files";
        /// A folder with files, none of which is a program.
        NoProgram = 6, "no-program";
        /// A running process whose program was removed or replaced since it started.
        Deleted = 7, "deleted";
        /// A snap, browser extension or job of launchd that is installed and switched off.
        Disabled = 8, "disabled";
        /// A flatpak whose files are there, but whose metadata is not.
        MetadataMissing = 9, "metadata-missing";
        /// A system extension that systemd has not merged into `/usr`.
        NotMerged = 10, "not-merged";
        /// The file of a service names no command, or is no regular file, so systemd starts nothing.
        NoCommand = 11, "no-command";
        /// A folder that was not examined to the end, or a file that may be a program: nothing says that it can run.
        Unclear = 12, "unclear";
        /// The folder of an installed program or package does not exist, or no file that a package installed.
        Missing = 13, "missing";
        /// Security Center has a registration of a program that does not exist.
        Orphaned = 14, "orphaned";
    }
}

impl ReportedState {
    /// The kinds of evidence that can have this state.
    #[must_use]
    pub const fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Masked | Self::UnitMissing | Self::NoCommand => &[Kind::Service],
            Self::BinaryMissing => {
                &[Kind::Service, Kind::Driver, Kind::Filter, Kind::Task, Kind::Registry, Kind::AppBundle, Kind::Launchd]
            }
            Self::BrokenLink => &[Kind::Service, Kind::Path, Kind::Launchd],
            Self::NoFiles => &[Kind::Path, Kind::Registry],
            Self::NoProgram | Self::Unclear => &[Kind::Path],
            Self::Missing => &[Kind::UninstallKey, Kind::Msi, Kind::Appx, Kind::Receipt, Kind::SystemExtension],
            Self::Orphaned => &[Kind::Wsc],
            Self::Deleted => &[Kind::Process],
            Self::Disabled => &[Kind::Snap, Kind::BrowserExtension, Kind::Launchd],
            Self::MetadataMissing => &[Kind::Flatpak],
            Self::NotMerged => &[Kind::Package],
        }
    }
}

/// The states of system extensions that `sysextd` of macOS writes. An agent reports them as they are, also those that a later
/// macOS may add.
pub const SYSTEM_EXTENSION: &[&str] = &[
    "activated_enabled",
    "activated_disabled",
    "activated_enabling",
    "activated_waiting_for_user",
    "activated_waiting_to_upgrade",
    "activated_waiting_to_upgrade_on_reboot",
    "activated_waiting_for_upgrade",
    "realizing",
    "validating",
    "validating_by_category",
    "terminated_waiting_to_uninstall_on_reboot",
    "terminating_for_disable",
    "terminating_for_disable_but_still_running",
    "terminating_for_uninstall",
    "terminating_for_uninstall_but_still_running",
    "terminating_for_uninstall_via_delegate",
    "terminating_for_upgrade_via_delegate",
    "uninstalling",
    "uninstalled",
];

/// dpkg's words for what is wanted of a package, each with the letter that `dpkg -l` prints.
pub const DPKG_WANTED: &[(&str, char)] =
    &[("unknown", 'u'), ("install", 'i'), ("hold", 'h'), ("deinstall", 'r'), ("purge", 'p')];

/// dpkg's words for the status of a package, each with the letter that `dpkg -l` prints.
pub const DPKG_STATUS: &[(&str, char)] = &[
    ("not-installed", 'n'),
    ("config-files", 'c'),
    ("half-installed", 'H'),
    ("unpacked", 'U'),
    ("half-configured", 'F'),
    ("triggers-awaited", 'W'),
    ("triggers-pending", 't'),
    ("installed", 'i'),
];

/// The letter that `dpkg -l` prints for a package that must be installed again.
pub const DPKG_REINSTALL: char = 'R';

/// Every state that an agent can report, with its kind of evidence.
#[must_use]
pub fn agent_states() -> Vec<(Kind, String)> {
    let mut states = Vec::new();
    for state in ReportedState::ALL {
        states.extend(state.kinds().iter().map(|kind| (*kind, state.name().to_owned())));
    }
    states.extend(SYSTEM_EXTENSION.iter().map(|state| (Kind::SystemExtension, (*state).to_owned())));
    for (_, wanted) in DPKG_WANTED {
        for (_, status) in DPKG_STATUS {
            let letters: String = [*wanted, *status].into_iter().collect();
            // opkg and xbps have the same states under other words, so the agent writes the same letters.
            for kind in [Kind::Deb, Kind::Package] {
                states.push((kind, format!("{letters}{DPKG_REINSTALL}")));
                states.push((kind, letters.clone()));
            }
        }
    }
    states
}

impl Observation {
    /// Sets the state. An agent sets a state in no other way, except for dpkg's letters and the states of
    /// system extensions.
    pub fn set_state(&mut self, state: ReportedState) {
        debug_assert!(state.kinds().contains(&self.kind), "{} is no state of {}", state.name(), self.kind);
        state.name().clone_into(&mut self.state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_a_kind_and_is_in_the_list_once() {
        assert!(ReportedState::ALL.iter().all(|state| !state.kinds().is_empty()));
        let states = agent_states();
        let distinct: std::collections::BTreeSet<_> = states.iter().collect();
        assert_eq!(distinct.len(), states.len());
        for state in [(Kind::Deb, "ii"), (Kind::Deb, "rHR"), (Kind::Service, "masked"), (Kind::Path, "no-program")] {
            assert!(states.contains(&(state.0, state.1.to_owned())), "{state:?}");
        }
    }
}
