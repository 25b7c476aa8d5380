//! What belongs to one host only: its platform, facts, state, and the days on which it is off.

use muster_proto::model::Kind;
use muster_proto::model::{
    HostFacts, HostState, MachineIdentity, Observation, Outcome, Platform, RealtimeEvidence, SignatureState, Timestamp,
    UnitState,
};

use super::{Model, Profile};

/// A day of the model in milliseconds, and the start of day 0.
const DAY_MS: i64 = 86_400_000;
const FIRST_DAY_MS: i64 = 1_767_225_600_000;

/// What never changes on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Machine {
    pub(super) platform: Platform,
    pub(super) laptop: bool,
    pub(super) kaspersky: Kaspersky,
    /// Whether CrowdStrike Falcon is active. Its protection does not depend on the date of signatures.
    pub(super) protected: bool,
    /// Whether a source that orders need cannot be read.
    pub(super) unreadable: bool,
    /// Whether it reports on day 0 only.
    pub(super) silent: bool,
}

/// How Kaspersky's products are present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kaspersky {
    /// They are not.
    None,
    /// They are installed and running.
    Installed,
    /// They were removed, and something is left.
    Remnant,
}

impl Model {
    pub(super) fn machine(&self, host: u64) -> Machine {
        let laptop = self.happens("laptop", &[host], self.shares.laptops);
        let drawn = self.chance("platform", &[host]).below(100);
        let not_macos = 100u64.saturating_sub(self.shares.macos);
        let windows = drawn < self.shares.windows;
        if self.profile == Profile::Distinct {
            let platform = if windows { Platform::Windows } else { Platform::Linux };
            let kaspersky = Kaspersky::None;
            return Machine { platform, laptop, kaspersky, protected: false, unreadable: false, silent: false };
        }
        let platform = match drawn {
            _ if windows => Platform::Windows,
            _ if drawn >= not_macos => Platform::Macos,
            _ => Platform::Linux,
        };
        let kaspersky = match () {
            () if self.happens("kaspersky", &[host], self.shares.kaspersky) => Kaspersky::Installed,
            () if self.happens("remnant", &[host], self.shares.remnants) => Kaspersky::Remnant,
            () => Kaspersky::None,
        };
        Machine {
            platform,
            laptop,
            kaspersky,
            protected: kaspersky != Kaspersky::None && self.happens("protected", &[host], self.shares.protected),
            unreadable: self.happens("unreadable", &[host], self.shares.unreadable),
            silent: self.happens("silent", &[host], self.shares.silent),
        }
    }

    /// Whether the host is on at any time of the day.
    pub(crate) fn is_awake(&self, host: u64, day: u64) -> bool {
        let machine = self.machine(host);
        let asleep = machine.laptop && self.happens("asleep", &[host, day], self.shares.asleep);
        !(asleep || machine.silent && day > 0)
    }

    pub(super) fn facts(&self, host: u64, machine: &Machine) -> HostFacts {
        let (prefix, os_name, kernel, architecture) = match machine.platform {
            Platform::Windows => ("ws", "Microsoft Windows 11 Enterprise", "10.0.22631", "x86_64"),
            Platform::Macos => ("mac", "macOS 15.1", "24.1.0", "aarch64"),
            Platform::Linux => ("srv", "Debian GNU/Linux 12 (bookworm)", "6.1.0-28-amd64", "x86_64"),
        };
        HostFacts {
            hostname: format!("{prefix}-{:x}-{host:06}", self.seed & 0xfff),
            platform: machine.platform,
            os_name: os_name.to_owned(),
            kernel: kernel.to_owned(),
            architecture: architecture.to_owned(),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            offline_root: false,
            identity: MachineIdentity::default(),
        }
    }

    pub(super) fn state(&self, host: u64, machine: &Machine, day: u64) -> HostState {
        // Machines restart about once a week, not all on the same day.
        let boot = (day + host % 7) / 7;
        let mut chance = self.chance("boot", &[host, boot]);
        let (first, second) = (chance.number(), chance.number());
        let mut state = HostState {
            boot_id: uuid::Uuid::from_u64_pair(first, second).to_string(),
            addresses: vec![format!("10.{}.{}.{}", host >> 16 & 0xff, host >> 8 & 0xff, host & 0xff)],
            units_outcome: Some(Outcome::Found),
            realtime_outcome: Some(Outcome::Found),
            pending_reboot: Some(self.happens("reboot", &[host, day], 4)),
            ..HostState::default()
        };
        let (kaspersky, falcon, evidence) = match machine.platform {
            Platform::Windows => ("AVP", "CSFalconService", "wsc:CrowdStrike Falcon Sensor"),
            Platform::Macos => ("com.kaspersky.kav", "com.crowdstrike.falcond", "sysext:com.crowdstrike.falcon.Agent"),
            Platform::Linux => ("kesl.service", "falcon-sensor.service", "bpf:falcon-sensor.service"),
        };
        if machine.kaspersky == Kaspersky::Installed {
            state.units.push(UnitState { name: kaspersky.to_owned(), active: true });
        }
        if machine.protected {
            state.units.push(UnitState { name: falcon.to_owned(), active: true });
            state.realtime.push(RealtimeEvidence { place: evidence.to_owned(), on: true });
            // On macOS an enabled extension protects only while its process runs.
            if let Some(extension) = evidence.strip_prefix("sysext:") {
                state.realtime.push(RealtimeEvidence { place: format!("process:{extension}"), on: true });
            }
        }
        if machine.platform == Platform::Windows {
            let released = FIRST_DAY_MS.saturating_add(i64::try_from(day).unwrap_or(i64::MAX).saturating_mul(DAY_MS));
            let place = "wsc:Microsoft Defender".to_owned();
            // Other protection turns Defender off, and on servers it stays off after the removal.
            let on = machine.kaspersky == Kaspersky::None;
            state.realtime.push(RealtimeEvidence { place: place.clone(), on });
            let version = format!("1.421.{day}.0");
            state.signatures.push(SignatureState { place, version, released: Some(Timestamp::from_millis(released)) });
        }
        state
    }
}

/// The section of the `host` source: equal on all machines of one image and patch level.
pub(super) fn host_source(platform: Platform, build: &str) -> Vec<Observation> {
    let (name, version, kernel, architecture) = match platform {
        Platform::Windows => ("windows", "11", "nt", "x86_64"),
        Platform::Macos => ("macos", "15.1", "darwin", "aarch64"),
        Platform::Linux => ("debian", "12", "linux", "x86_64"),
    };
    let mut os = Observation::new(Kind::Os, name);
    os.version = version.to_owned();
    let mut kernel = Observation::new(Kind::Kernel, kernel);
    kernel.version = build.to_owned();
    let mut machine = Observation::new(Kind::Machine, architecture);
    machine.attributes.insert("virtualisation".to_owned(), "none".to_owned());
    vec![os, kernel, machine]
}
