//! Facts about the running system, from `sysinfo`.

use muster_proto::model::{HostFacts, MachineIdentity, Platform};
use sysinfo::{Product, System};

use crate::sources::root::Root;

/// The facts about the machine as far as no file says them: of the running system, what it answers; of another root, none.
pub(in crate::sources) fn facts_of(platform: Platform, root: &Root) -> HostFacts {
    if root.is_running_system() {
        HostFacts { os_name: System::long_os_version().unwrap_or_default(), ..kernel_facts(platform) }
    } else {
        no_facts(platform, true)
    }
}

/// What the kernel says about the running system, without any file.
pub(in crate::sources) fn kernel_facts(platform: Platform) -> HostFacts {
    HostFacts {
        hostname: System::host_name().unwrap_or_default(),
        kernel: System::kernel_version().unwrap_or_default(),
        architecture: System::cpu_arch(),
        ..no_facts(platform, false)
    }
}

/// The facts of a machine of which nothing is known.
pub(in crate::sources) fn no_facts(platform: Platform, offline_root: bool) -> HostFacts {
    HostFacts {
        hostname: String::new(),
        platform,
        os_name: String::new(),
        kernel: String::new(),
        architecture: String::new(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        offline_root,
        identity: MachineIdentity::default(),
    }
}

/// The numbers that the running system has of its hardware.
pub(in crate::sources) fn product() -> MachineIdentity {
    MachineIdentity {
        serial: Product::serial_number().unwrap_or_default(),
        hardware_uuid: Product::uuid().unwrap_or_default().to_ascii_lowercase(),
        ..MachineIdentity::default()
    }
}
