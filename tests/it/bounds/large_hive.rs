//! The memory of a scan of a Windows machine whose registry has 150 MB: the agent reads the keys that it needs, and no hive
//! whole.

use std::path::Path;

use anyhow::Result;

use super::hive_writer::{Writer, wide};
use super::memory::Scan;

/// The target for a scan of an ordinary machine; hives of this size are ordinary.
const PEAK_KIB: u64 = 24 * 1024;
const HIVE_BYTES: usize = 150 * 1000 * 1000;
const PROGRAMS: usize = 500;

/// A SOFTWARE hive with programs, and classes that fill it.
fn software(path: &Path) -> Result<()> {
    let mut hive = Writer::new();
    let root = hive.key("ROOT", 0)?;
    let microsoft = hive.key("Microsoft", root)?;
    let (windows, uninstall) = hive.path(&["Windows", "CurrentVersion", "Uninstall"], microsoft)?;
    let (machine, _) = hive.path(&["Windows NT", "CurrentVersion", "ProfileList"], microsoft)?;
    hive.set_children(microsoft, &[windows, machine])?;
    let mut programs = Vec::new();
    for number in 0..PROGRAMS {
        let program = hive.key(&format!("program {number}"), uninstall)?;
        hive.set_values(program, &[("DisplayName", 1, &wide(&format!("Program {number}")))])?;
        programs.push(program);
    }
    hive.set_children(uninstall, &programs)?;
    let (classes, ids) = hive.path(&["Classes", "CLSID"], root)?;
    let mut filling = Vec::new();
    while hive.length() < HIVE_BYTES {
        let class = hive.key(&format!("{{{:032x}}}", filling.len()), ids)?;
        hive.set_values(class, &[("", 1, &[b'x'; 3000]), ("Bytes", 3, &[7; 9000])])?;
        filling.push(class);
    }
    hive.set_children(ids, &filling)?;
    hive.set_children(root, &[microsoft, classes])?;
    hive.write(root, path)
}

fn system(path: &Path) -> Result<()> {
    let mut hive = Writer::new();
    let root = hive.key("ROOT", 0)?;
    let select = hive.key("Select", root)?;
    hive.set_values(select, &[("Current", 4, &[1, 0, 0, 0])])?;
    let (control_set, services) = hive.path(&["ControlSet001", "Services"], root)?;
    let service = hive.key("klif", services)?;
    hive.set_values(service, &[("Type", 4, &[1, 0, 0, 0]), ("ImagePath", 1, &wide("klif.sys"))])?;
    hive.set_children(services, &[service])?;
    hive.set_children(root, &[select, control_set])?;
    hive.write(root, path)
}

#[test]
fn a_hive_of_150_mb_is_not_loaded() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let root = folder.path().join("root");
    let config = root.join("Windows/System32/config");
    software(&config.join("SOFTWARE"))?;
    system(&config.join("SYSTEM"))?;
    let scan = Scan::of(&root)?;
    println!("a hive of 150 MB: peak of {} KiB", scan.peak_kib);
    assert!(scan.peak_kib > 1024, "the memory was not measured");
    assert!(scan.peak_kib <= PEAK_KIB, "{} KiB", scan.peak_kib);
    let (outcome, reason) = scan.outcome("uninstall-keys")?;
    assert_eq!(outcome, "found", "{reason}");
    Ok(())
}
