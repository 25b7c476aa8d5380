//! What belongs to one host only: its platform, facts, state, and the days on which it is off.

use muster_proto::model::Kind;
use muster_proto::model::{
    HostFacts, HostState, Observation, Outcome, Platform, RealtimeEvidence, SignatureState, Timestamp, UnitState,
};

use super::Model;

/// A day of the model in milliseconds, and the start of day 0.
const DAY_MS: i64 = 86_400_000;
const FIRST_DAY_MS: i64 = 1_767_225_600_000;

/// What never changes on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Machine {
    pub(super) platform: Platform,
    pub(super) laptop: bool,
    pub(super) kaspersky: bool,
}

impl Model {
    pub(super) fn machine(&self, host: u64) -> Machine {
        let windows = self.happens("platform", &[host], self.shares.windows);
        Machine {
            platform: if windows { Platform::Windows } else { Platform::Linux },
            laptop: self.happens("laptop", &[host], self.shares.laptops),
            kaspersky: self.happens("kaspersky", &[host], self.shares.kaspersky),
        }
    }

    /// Whether the host is on at any time of the day.
    pub(crate) fn is_awake(&self, host: u64, day: u64) -> bool {
        !(self.machine(host).laptop && self.happens("asleep", &[host, day], self.shares.asleep))
    }

    pub(super) fn facts(&self, host: u64, machine: &Machine) -> HostFacts {
        let windows = machine.platform == Platform::Windows;
        HostFacts {
            hostname: format!("{}-{:x}-{host:06}", if windows { "ws" } else { "srv" }, self.seed & 0xfff),
            platform: machine.platform,
            os_name: if windows { "Microsoft Windows 11 Enterprise" } else { "Debian GNU/Linux 12 (bookworm)" }
                .to_owned(),
            kernel: if windows { "10.0.22631" } else { "6.1.0-28-amd64" }.to_owned(),
            architecture: "x86_64".to_owned(),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            offline_root: false,
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
            pending_reboot: Some(self.happens("reboot", &[host, day], 4)),
            ..HostState::default()
        };
        if machine.kaspersky {
            let name = if machine.platform == Platform::Windows { "AVP" } else { "kesl.service" };
            state.units.push(UnitState { name: name.to_owned(), active: true });
        }
        if machine.platform == Platform::Windows {
            let released = FIRST_DAY_MS.saturating_add(i64::try_from(day).unwrap_or(i64::MAX).saturating_mul(DAY_MS));
            let place = "wsc:Microsoft Defender".to_owned();
            state.realtime.push(RealtimeEvidence { place: place.clone(), on: !machine.kaspersky });
            let version = format!("1.421.{day}.0");
            state.signatures.push(SignatureState { place, version, released: Some(Timestamp::from_millis(released)) });
        }
        state
    }
}

/// The section of the `host` source: equal on all machines of one image and patch level.
pub(super) fn host_source(platform: Platform, build: &str) -> Vec<Observation> {
    let windows = platform == Platform::Windows;
    let mut os = Observation::new(Kind::Os, if windows { "windows" } else { "debian" });
    os.version = if windows { "11" } else { "12" }.to_owned();
    let mut kernel = Observation::new(Kind::Kernel, if windows { "nt" } else { "linux" });
    kernel.version = build.to_owned();
    let mut machine = Observation::new(Kind::Machine, "x86_64");
    machine.attributes.insert("virtualisation".to_owned(), "none".to_owned());
    vec![os, kernel, machine]
}
