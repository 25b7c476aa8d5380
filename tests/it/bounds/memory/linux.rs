//! A Linux machine on which every source meets more than it keeps: databases as large as they may be, folders with too many
//! entries, texts as long as their files.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// More observations than a section holds.
const MANY: usize = 20_100;
/// With long texts, more observations than a source keeps.
const LARGE: usize = 15_000;
/// A little less than the most that is read of the largest databases.
const DATABASE: usize = 16_000_000;

/// Which files a folder gets.
struct Tree<'r>(&'r Path);

impl Tree<'_> {
    fn write(&self, path: &str, text: &str) -> Result<()> {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().context("a folder")?)?;
        Ok(fs::write(path, text)?)
    }

    /// Many files of one folder.
    fn files(&self, folder: &str, count: usize, file: impl Fn(usize) -> (String, String)) -> Result<()> {
        let folder = self.0.join(folder);
        fs::create_dir_all(&folder)?;
        for number in 0..count {
            let (name, text) = file(number);
            fs::write(folder.join(name), text)?;
        }
        Ok(())
    }

    /// Many folders with one file each.
    fn folders(&self, folder: &str, count: usize, file: impl Fn(usize) -> (String, String)) -> Result<()> {
        for number in 0..count {
            let (path, text) = file(number);
            self.write(&format!("{folder}/{path}"), &text)?;
        }
        Ok(())
    }
}

/// Text of stanzas up to a length.
fn stanzas(length: usize, stanza: impl Fn(usize) -> String) -> String {
    let mut text = String::with_capacity(length);
    for number in 0.. {
        let next = stanza(number);
        if text.len() + next.len() > length {
            break;
        }
        text.push_str(&next);
    }
    text
}

fn dpkg(tree: &Tree<'_>) -> Result<()> {
    let (status, maintainer) = ("Status: install ok installed", "M".repeat(280));
    let stanza = |number| {
        format!(
            "Package: package-{number:06}\n{status}\nVersion: 1.{number}\nArchitecture: amd64\nMaintainer: {maintainer}\n\n"
        )
    };
    tree.write("var/lib/dpkg/status", &stanzas(DATABASE, stanza))?;
    tree.files("var/lib/dpkg/updates", 100, |number| {
        let long = "M".repeat(18_000);
        let text = format!("Package: update-{number}\n{status}\nVersion: 1\nArchitecture: all\nMaintainer: {long}\n\n");
        (format!("{number:04}"), text)
    })?;
    tree.files("var/lib/dpkg/info", 25_000, |number| {
        (format!("package-with-a-name-{number:06}-aaaaaaaaaaaaaaaaa.list"), String::new())
    })
}

fn other_databases(tree: &Tree<'_>) -> Result<()> {
    let maintainer = "m".repeat(200);
    for place in ["lib", "usr/lib"] {
        let text = stanzas(DATABASE / 2, |number| {
            let provided = (0..60).fold(String::new(), |mut text, other| {
                let _ = write!(text, " p{number}-{other}");
                text
            });
            format!("P:{}-{number}\nV:1.{number}\nA:x86_64\nm:{maintainer}\np:{provided}\n\n", place.replace('/', "-"))
        });
        tree.write(&format!("{place}/apk/db/installed"), &text)?;
    }
    for place in ["usr/lib/opkg/status", "var/lib/opkg/status"] {
        let head = if place.starts_with("usr") { "one" } else { "two" };
        let text = stanzas(DATABASE / 2, |number| {
            format!("Package: {head}-{number:06}\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\n")
        });
        tree.write(place, &text)?;
    }
    tree.folders("var/lib/pacman/local", LARGE, |number| {
        let (name, packager) = (format!("pac-{number}-{}", "p".repeat(60)), "P".repeat(500));
        (format!("{name}-1.0-1/desc"), format!("%NAME%\n{name}\n\n%VERSION%\n1.0-1\n\n%PACKAGER%\n{packager}\n\n"))
    })?;
    rpm(tree)
}

fn rpm(tree: &Tree<'_>) -> Result<()> {
    let folder = tree.0.join("var/lib/rpm");
    fs::create_dir_all(&folder)?;
    let database = rusqlite::Connection::open(folder.join("rpmdb.sqlite"))?;
    database.execute_batch("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB NOT NULL); BEGIN")?;
    for number in 0..i64::try_from(MANY)? {
        let texts = [
            (1000, format!("rpm-{number}{}", "n".repeat(200))),
            (1001, "1".repeat(200)),
            (1002, "2".repeat(200)),
            (1011, "V".repeat(500)),
            (1022, "x86_64".to_owned()),
        ];
        let (mut index, mut data) = (Vec::new(), Vec::new());
        for (tag, text) in &texts {
            for field in [*tag, 6, i32::try_from(data.len())?, 1] {
                index.extend(field.to_be_bytes());
            }
            data.extend(text.as_bytes());
            data.push(0);
        }
        let counts = [i32::try_from(texts.len())?, i32::try_from(data.len())?].map(i32::to_be_bytes).concat();
        let blob = [counts, index, data].concat();
        database.execute("INSERT INTO Packages VALUES (?1, ?2)", rusqlite::params![number + 1, blob])?;
    }
    Ok(database.execute_batch("COMMIT")?)
}

fn applications(tree: &Tree<'_>) -> Result<()> {
    for number in 0..MANY {
        fs::create_dir_all(tree.0.join(format!("snap/snap-{number}-{}", "s".repeat(50))))?;
    }
    tree.files("var/lib/snapd/snaps", 2000, |number| (format!("other-{number}_1.snap"), String::new()))?;
    let snaps: Vec<String> =
        (0..150_000).map(|number| format!(r#""s{number}":{{"current":"1","active":true}}"#)).collect();
    tree.write("var/lib/snapd/state.json", &format!(r#"{{"data":{{"snaps":{{{}}}}}}}"#, snaps.join(",")))?;
    for (base, count, length) in [("var/lib/flatpak", 2500, 3000), ("home/jane/.local/share/flatpak", 40, 1_000_000)] {
        for number in 0..count {
            let (name, developer) = (format!("org.x{length}.App{number}"), "D".repeat(length));
            let deploy = format!("{base}/app/{name}/x86_64/stable/active");
            tree.write(&format!("{deploy}/metadata"), "[Application]\n")?;
            let text = format!("<component><developer_name>{developer}</developer_name></component>");
            tree.write(&format!("{deploy}/files/share/metainfo/{name}.metainfo.xml"), &text)?;
        }
    }
    let id = |number: usize| -> String {
        let letter = |at: u32| char::from(b'a' + u8::try_from(number >> (4 * (at % 8)) & 15).unwrap_or(0));
        (0..32).map(letter).collect()
    };
    tree.folders("home/jane/.config/chromium/Default/Extensions", 5200, |number| {
        let text = format!(r#"{{"name":"{0}","version":"{0}","author":"{0}"}}"#, "n".repeat(500));
        (format!("{}/1/manifest.json", id(number)), text)
    })?;
    let nested = format!(r#"{{"name":"{}","version":"1","x":[{}[]]}}"#, "n", "[],".repeat(300_000));
    tree.write(&format!("home/jane/.config/chromium/Default/Extensions/{}/1/manifest.json", "p".repeat(32)), &nested)?;
    let add_ons: Vec<String> = (0..200_000).map(|number| format!(r#"{{"id":"{number}"}}"#)).collect();
    tree.write("home/jane/.mozilla/firefox/x/extensions.json", &format!(r#"{{"addons":[{}]}}"#, add_ons.join(",")))
}

fn services_and_modules(tree: &Tree<'_>) -> Result<()> {
    for (folder, name, count) in [
        ("etc/systemd/system", "own", 5000),
        ("usr/lib/systemd/system", "unit", 9000),
        ("usr/lib/systemd/user", "session", 5000),
    ] {
        tree.files(folder, count, |number| {
            let text = format!("[Service]\nExecStart=/usr/bin/{}\n", "e".repeat(3000));
            (format!("{name}-{number}-{}.service", "u".repeat(40)), text)
        })?;
    }
    tree.files("etc/init.d", 4000, |number| {
        (format!("script-{number}"), format!("DAEMON=/usr/bin/{}\n", "e".repeat(3000)))
    })?;
    tree.files(&format!("usr/lib/modules/6.1/extra/{}", "k".repeat(100)), LARGE, |number| {
        (format!("module-{number}-{}.ko", "m".repeat(80)), String::new())
    })?;
    let lines: String = (0..600_000).map(|number| format!("{number:x}\n")).collect();
    tree.write("etc/modules-load.d/own.conf", &lines)?;
    tree.write(
        "usr/local/share/ca-certificates/own.crt",
        &format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", "A".repeat(4_000_000)),
    )
}

fn people(tree: &Tree<'_>) -> Result<()> {
    let accounts: String =
        (0..2_000).map(|number| format!("u{number}:x:{}:1::/home/user-{number:05}:/bin/sh\n", 1000 + number)).collect();
    tree.write("etc/passwd", &format!("root:x:0:0::/root:/bin/sh\n{accounts}"))?;
    for number in 0..1000 {
        fs::create_dir_all(tree.0.join(format!("home/h{number}-{}", "h".repeat(200))))?;
    }
    for number in 0..10_000 {
        fs::create_dir_all(tree.0.join(format!("opt/kaspersky-{number}-{}", "k".repeat(60))))?;
    }
    Ok(())
}

/// Fills the package databases only.
pub(super) fn fill_packages(root: &Path) -> Result<()> {
    let tree = Tree(root);
    dpkg(&tree)?;
    other_databases(&tree)
}

/// Makes every source of a Debian root meet more than it keeps.
pub(super) fn fill(root: &Path) -> Result<()> {
    let tree = Tree(root);
    dpkg(&tree)?;
    other_databases(&tree)?;
    applications(&tree)?;
    services_and_modules(&tree)?;
    people(&tree)
}

/// An honest large machine: 3,000 packages, 2,000 units, 300 extensions and 200 homes.
pub(super) fn large_but_honest(root: &Path) -> Result<()> {
    let tree = Tree(root);
    let path = root.join("var/lib/dpkg/status");
    let mut status = fs::read_to_string(&path)?;
    for number in 0..3000 {
        let description = " A line of the description of this package, of which there are some.\n".repeat(20);
        let _ = write!(
            status,
            "Package: library-with-a-name-{number}\nStatus: install ok installed\nPriority: optional\nSection: libs\n\
             Installed-Size: 1024\nMaintainer: Debian Maintainers <all@debian.example>\nArchitecture: amd64\n\
             Version: 1:2.{number}.0-3+deb12u1\nDescription: a library\n{description}\n"
        );
        tree.write(&format!("var/lib/dpkg/info/library-with-a-name-{number}.list"), "")?;
    }
    fs::write(path, status)?;
    tree.files("usr/lib/systemd/system", 2000, |number| {
        (
            format!("service-of-a-vendor-{number}.service"),
            "[Unit]\nDescription=x\n[Service]\nExecStart=/bin/sh\n".to_owned(),
        )
    })?;
    let mut accounts = "root:x:0:0::/root:/bin/sh\n".to_owned();
    for home in 0..200 {
        let _ = writeln!(accounts, "user{home}:x:{}:100::/home/user{home}:/bin/sh", 1000 + home);
        for number in 0..300 {
            let letter = |at: u32| char::from(b'a' + u8::try_from(number >> (4 * (at % 8)) & 15).unwrap_or(0));
            let id: String = (0..32).map(letter).collect();
            let text = format!(r#"{{"name":"Extension {number}","version":"1.2.3","author":"A vendor"}}"#);
            // Each user has ten of them, and one has all.
            if number % 30 == home % 30 || home == 7 {
                let folder = format!("home/user{home}/.config/google-chrome/Default/Extensions");
                tree.write(&format!("{folder}/{id}/1.2.3_0/manifest.json"), &text)?;
            }
        }
    }
    tree.write("etc/passwd", &accounts)
}
