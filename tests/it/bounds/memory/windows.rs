//! A Windows machine on which every source meets more than it keeps: full hives of the machine and of its users, and folders with
//! too many entries.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::bounds::hive_writer::{Writer, wide};

const PROGRAMS: usize = 10_000;
const PACKAGES: usize = 20_100;
const USERS: usize = 12;

type Value<'a> = (&'a str, u32, &'a [u8]);

/// Writes many keys with the same values below a key.
fn fill_key(
    hive: &mut Writer,
    key: u32,
    count: usize,
    name: impl Fn(usize) -> String,
    values: &[Value<'_>],
) -> Result<()> {
    let mut children = Vec::new();
    for number in 0..count {
        let child = hive.key(&name(number), key)?;
        hive.set_values(child, values)?;
        children.push(child);
    }
    hive.set_children(key, &children)
}

fn guid(number: usize) -> String {
    format!("{{{number:08X}-0000-0000-0000-000000000000}}")
}

fn software(path: &Path) -> Result<()> {
    let mut hive = Writer::new();
    let root = hive.key("ROOT", 0)?;
    let microsoft = hive.key("Microsoft", root)?;
    let (windows, version) = hive.path(&["Windows", "CurrentVersion"], microsoft)?;
    let (long, id) = (wide(&"x".repeat(400)), wide("{1}"));
    let program: &[Value<'_>] = &[("DisplayName", 1, &long), ("Publisher", 1, &long), ("DisplayVersion", 1, &long)];
    let uninstall = hive.key("Uninstall", version)?;
    fill_key(&mut hive, uninstall, PROGRAMS, |number| format!("program {number}"), program)?;
    let (installer, products) = hive.path(&["Installer", "UserData", "S-1-5-18", "Products"], version)?;
    let mut children = Vec::new();
    for number in 0..PROGRAMS {
        let product = hive.key(&format!("{number:032X}"), products)?;
        let properties = hive.key("InstallProperties", product)?;
        hive.set_values(properties, program)?;
        hive.set_children(product, &[properties])?;
        children.push(product);
    }
    hive.set_children(products, &children)?;
    hive.set_children(version, &[installer, uninstall])?;
    let (nt, nt_version) = hive.path(&["Windows NT", "CurrentVersion"], microsoft)?;
    let list = hive.key("ProfileList", nt_version)?;
    let mut profiles = Vec::new();
    for user in 0..USERS {
        let profile = hive.key(&format!("S-1-5-21-{user}"), list)?;
        hive.set_values(profile, &[("ProfileImagePath", 1, &wide(&format!(r"C:\Users\user{user}")))])?;
        profiles.push(profile);
    }
    hive.set_children(list, &profiles)?;
    let (schedule, cache) = hive.path(&["Schedule", "TaskCache"], nt_version)?;
    let (tree, tasks) = (hive.key("Tree", cache)?, hive.key("Tasks", cache)?);
    fill_key(&mut hive, tree, PROGRAMS, |number| format!("task {number} {}", "t".repeat(200)), &[("Id", 1, &id)])?;
    fill_key(&mut hive, tasks, 10, guid, &[("Actions", 3, &long)])?;
    hive.set_children(cache, &[tasks, tree])?;
    hive.set_children(nt_version, &[list, schedule])?;
    hive.set_children(microsoft, &[windows, nt])?;
    hive.set_children(root, &[microsoft])?;
    hive.write(root, path)
}

fn system(path: &Path) -> Result<()> {
    let mut hive = Writer::new();
    let root = hive.key("ROOT", 0)?;
    let select = hive.key("Select", root)?;
    hive.set_values(select, &[("Current", 4, &[1, 0, 0, 0])])?;
    let (control_set, services) = hive.path(&["ControlSet001", "Services"], root)?;
    let long = wide(&"x".repeat(400));
    let values: &[Value<'_>] = &[("Type", 4, &[16, 0, 0, 0]), ("ImagePath", 1, &long), ("DisplayName", 1, &long)];
    fill_key(&mut hive, services, PROGRAMS, |number| format!("service {number}"), values)?;
    hive.set_children(root, &[select, control_set])?;
    hive.write(root, path)
}

fn user(path: &Path) -> Result<()> {
    let mut hive = Writer::new();
    let root = hive.key("ROOT", 0)?;
    let (software, uninstall) =
        hive.path(&["Software", "Microsoft", "Windows", "CurrentVersion", "Uninstall"], root)?;
    let long = wide(&"x".repeat(400));
    fill_key(&mut hive, uninstall, 5000, |number| format!("program {number}"), &[("DisplayName", 1, &long)])?;
    hive.set_children(root, &[software])?;
    hive.write(root, path)
}

/// Makes every source of a Windows root meet more than it keeps.
pub(super) fn fill(root: &Path) -> Result<()> {
    let config = root.join("Windows/System32/config");
    software(&config.join("SOFTWARE"))?;
    system(&config.join("SYSTEM"))?;
    let folder = root.join("Windows/System32/Tasks");
    fs::create_dir_all(&folder)?;
    let task = format!("<Task><Actions><Exec><Command>C:\\{}.exe</Command></Exec></Actions></Task>", "x".repeat(3000));
    for number in 0..9000 {
        fs::write(folder.join(format!("file {number} {}", "f".repeat(100))), &task)?;
    }
    for number in 0..PACKAGES {
        let package = format!("Vendor.App{number}{}_1.0.0.0_x64__8wekyb3d8bbwe", "a".repeat(60));
        fs::create_dir_all(root.join("Program Files/WindowsApps").join(package))?;
    }
    for number in 0..USERS {
        let home = root.join(format!("Users/user{number}"));
        let hive = home.join("NTUSER.DAT");
        if number == 0 {
            user(&hive)?;
        } else {
            fs::create_dir_all(&home)?;
            fs::copy(root.join("Users/user0/NTUSER.DAT"), &hive)?;
        }
        let extensions = home.join("AppData/Local/Google/Chrome/User Data/Default/Extensions");
        for extension in 0..500 {
            let letter = |at: usize| {
                char::from(b'a' + u8::try_from((extension + number * 1000) >> (4 * (at % 4)) & 15).unwrap_or(0))
            };
            let folder = extensions.join((0..32).map(letter).collect::<String>()).join("1");
            fs::create_dir_all(&folder)?;
            let text = "n".repeat(500);
            fs::write(
                folder.join("manifest.json"),
                format!(r#"{{"name":"{text}","version":"{text}","author":"{text}"}}"#),
            )
            .context("a manifest")?;
        }
    }
    Ok(())
}
