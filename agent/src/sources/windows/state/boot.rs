//! What names the current start of Windows. It must be the same until the next start, because a removal is proven by a scan
//! after one, and the clock must not change it.

use crate::sources::registry::RegistryError;
use crate::sources::windows::reader::Reader;

/// The loader counts the starts here. The kernel has the same number as `KUSER_SHARED_DATA.BootId`.
/// <https://learn.microsoft.com/windows-hardware/drivers/ddi/ntddk/ns-ntddk-kuser_shared_data>
const COUNT: &str = r"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Memory Management\PrefetchParameters";

/// The id of this start; empty if it is unknown. A sleep, and the fast start that resumes the kernel, are no start.
///
/// Without a count, `started` is asked when the service manager started, which happens once per start. A count that cannot be
/// read is no reason to ask it: the id would change without a start.
pub(in crate::sources::windows) fn boot_id(reader: &Reader<'_>, started: impl FnOnce() -> Option<u64>) -> String {
    let count = reader.registry.value(COUNT, "BootId");
    match count.map(|value| value.number()) {
        Ok(Some(count)) if count > 0 => format!("boot-{count}"),
        Ok(_) | Err(RegistryError::Absent) => started().map(|time| format!("started-{time}")).unwrap_or_default(),
        Err(RegistryError::Denied | RegistryError::HiveDenied(_) | RegistryError::Broken { .. }) => String::new(),
    }
}

/// When the service manager of the running system started.
#[cfg(windows)]
pub(super) fn started() -> Option<u64> {
    crate::sources::windows::live::processes::start_of("services.exe")
}

#[cfg(not(windows))]
pub(super) const fn started() -> Option<u64> {
    None
}
