//! Whether Windows needs a restart.

use crate::sources::windows::reader::Reader;

/// Keys that exist only until the restart.
const MARKS: &[&str] = &[
    r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending",
    r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootInProgress",
    r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\PackagesPending",
    r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired",
];
const SESSION: &str = r"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager";
const NAMES: &str = r"HKLM\SYSTEM\CurrentControlSet\Control\ComputerName";

/// Whether a restart is pending; `None` if something could not be read and nothing else shows one.
pub(in crate::sources::windows) fn is_pending(reader: &mut Reader<'_>) -> Option<bool> {
    let marked = MARKS.iter().any(|key| reader.keys(key).is_some());
    let session = reader.values(SESSION).unwrap_or_default();
    let renames = ["PendingFileRenameOperations", "PendingFileRenameOperations2"].iter().any(|name| {
        let files = session.get(name).and_then(|value| value.texts()).unwrap_or_default();
        files.iter().any(|file| !file.is_empty())
    });
    let active = reader.text(&format!("{NAMES}\\ActiveComputerName"), "ComputerName");
    let next = reader.text(&format!("{NAMES}\\ComputerName"), "ComputerName");
    let is_renamed = matches!((active, next), (Some(active), Some(next)) if !active.eq_ignore_ascii_case(&next));
    match marked || renames || is_renamed {
        true => Some(true),
        false if reader.builder.has_problem() => None,
        false => Some(false),
    }
}
