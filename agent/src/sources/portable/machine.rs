//! Facts about the running system, from `sysinfo`.

use muster_proto::model::{HostFacts, Platform};
use sysinfo::System;

/// The facts about the running system; empty where it does not say.
pub(in crate::sources) fn facts(platform: Platform, offline_root: bool) -> HostFacts {
    HostFacts {
        hostname: System::host_name().unwrap_or_default(),
        platform,
        os_name: System::long_os_version().unwrap_or_default(),
        kernel: System::kernel_version().unwrap_or_default(),
        architecture: System::cpu_arch(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        offline_root,
    }
}
