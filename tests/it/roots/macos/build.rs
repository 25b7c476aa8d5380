//! Builds copied Macs: what every Mac has, and single things at their places.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::super::tools::{run, write};

/// The beginning of a program for Apple's processors.
const PROGRAM: &[u8] = &[0xcf, 0xfa, 0xed, 0xfe, 0x0c, 0, 0, 1, 0, 0, 0, 0, 2, 0, 0, 0];
const EXTENSIONS: &str = "Library/SystemExtensions/db.plist";
/// The person whose home a `~` is.
const HOME: &str = "Users/jane";

/// A dictionary of texts. A value that begins with `<` is XML.
pub(super) fn dictionary(texts: &[(&str, &str)]) -> String {
    let mut text = "<dict>".to_owned();
    for (key, value) in texts {
        let escaped = value.replace('&', "&amp;").replace('<', "&lt;");
        let value = if value.starts_with('<') { (*value).to_owned() } else { format!("<string>{escaped}</string>") };
        let _ = write!(text, "<key>{key}</key>{value}");
    }
    text + "</dict>"
}

fn list(root: &Path, place: &str, value: &str) -> Result<()> {
    let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \
                \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n<plist version=\"1.0\">\n";
    write(root, place, format!("{head}{value}\n</plist>\n"))
}

/// What every Mac has, with the name of the computer.
pub(super) fn mac(root: &Path, name: &str) -> Result<()> {
    let system = dictionary(&[("System", &dictionary(&[("ComputerName", name)]))]);
    list(root, "Library/Preferences/SystemConfiguration/preferences.plist", &dictionary(&[("System", &system)]))?;
    let version = [("ProductName", "macOS"), ("ProductVersion", "14.4.1"), ("ProductBuildVersion", "23E224")];
    list(root, "System/Library/CoreServices/SystemVersion.plist", &dictionary(&version))?;
    extensions(root, &[])?;
    application(root, "/Applications/Utilities/Terminal.app", &[("CFBundleIdentifier", "com.apple.Terminal")])?;
    for folder in ["Library/LaunchDaemons", "Library/LaunchAgents", "Users/Shared", "private/var/db/receipts", HOME] {
        std::fs::create_dir_all(root.join(folder))?;
    }
    std::os::unix::fs::symlink("private/var", root.join("var"))?;
    Ok(())
}

/// A path of the Mac below the root.
pub(super) fn below(path: &str) -> String {
    path.strip_prefix("~/").map_or_else(|| path.trim_start_matches('/').to_owned(), |rest| format!("{HOME}/{rest}"))
}

/// An application with its program.
pub(super) fn application(root: &Path, path: &str, texts: &[(&str, &str)]) -> Result<()> {
    let place = below(path);
    let texts: Vec<(&str, &str)> = texts.iter().copied().chain([("CFBundleExecutable", "main")]).collect();
    list(root, &format!("{place}/Contents/Info.plist"), &dictionary(&texts))?;
    write(root, &format!("{place}/Contents/MacOS/main"), PROGRAM)
}

/// A kernel extension.
pub(super) fn kext(root: &Path, path: &str, id: &str) -> Result<()> {
    let texts: &[(&str, &str)] = if id.is_empty() { &[] } else { &[("CFBundleIdentifier", id)] };
    list(root, &format!("{}/Contents/Info.plist", below(path)), &dictionary(texts))
}

/// A job of launchd, and its program if there is one.
pub(super) fn job(root: &Path, path: &str, label: &str, program: &str, has_program: bool) -> Result<()> {
    let arguments = format!("<array><string>{program}</string></array>");
    list(root, &below(path), &dictionary(&[("Label", label), ("ProgramArguments", &arguments)]))?;
    if has_program { write(root, &below(program), PROGRAM) } else { Ok(()) }
}

/// A receipt: a list, or the folder of an old system.
pub(super) fn receipt(root: &Path, path: &str, id: &str, prefix: &str) -> Result<()> {
    if path.ends_with(".pkg") {
        return list(root, &format!("{}/Contents/Info.plist", below(path)), &dictionary(&[("IFMajorVersion", "1")]));
    }
    let texts = [("PackageIdentifier", id), ("PackageVersion", "1.0"), ("InstallPrefixPath", prefix)];
    list(root, &below(path), &dictionary(&texts))
}

/// A program, a text, or a folder with a text in it.
pub(super) fn file(root: &Path, path: &str, is_program: bool) -> Result<()> {
    let is_text = [".xml", ".log", ".plist"].iter().any(|ending| path.ends_with(ending));
    match (is_text, is_program) {
        (true, _) => write(root, &below(path), "text"),
        (false, true) => write(root, &below(path), PROGRAM),
        (false, false) => write(root, &format!("{}/notes.txt", below(path)), "text"),
    }
}

/// An extension of a browser.
pub(super) fn browser_extension(root: &Path, name: &str, id: &str) -> Result<()> {
    if id.ends_with(".safariextz") {
        return write(root, &format!("{HOME}/Library/Safari/Extensions/{id}"), "xar!");
    }
    if id.contains('.') {
        let archive = format!("{name}.safariextz");
        let entry = dictionary(&[("Archive File Name", &archive), ("Bundle Identifier", id)]);
        let installed = format!("<array>{entry}</array>");
        let place = format!("{HOME}/Library/Safari/Extensions/Extensions.plist");
        return list(root, &place, &dictionary(&[("Installed Extensions", &installed)]));
    }
    let place = format!("{HOME}/Library/Application Support/Google/Chrome/Default/Extensions/{id}/1.0_0/manifest.json");
    write(root, &place, format!("{{\"name\": \"{name}\", \"version\": \"1.0\", \"manifest_version\": 3}}"))
}

/// A system extension for the list: its team, id, category and state.
pub(super) type Listed<'l> = (&'l str, &'l str, &'l str, &'l str);

/// The list of system extensions, each with its copy.
pub(super) fn extensions(root: &Path, listed: &[Listed<'_>]) -> Result<()> {
    let mut entries = "<array>".to_owned();
    for (team, id, category, state) in listed {
        let staged = format!("Library/SystemExtensions/5A-01/{id}.systemextension");
        std::fs::create_dir_all(root.join(&staged))?;
        entries += &dictionary(&[
            ("identifier", id),
            ("teamID", team),
            ("state", state),
            ("categories", &format!("<array><string>com.apple.system_extension.{category}</string></array>")),
            ("bundleVersion", &dictionary(&[("CFBundleShortVersionString", "1.0"), ("CFBundleVersion", "1.0.1")])),
            ("originPath", &format!("/Applications/X.app/Contents/Library/SystemExtensions/{id}.systemextension")),
            ("stagedBundleURL", &dictionary(&[("relative", &format!("file:///{staged}/"))])),
        ]);
    }
    entries += "</array>";
    list(root, EXTENSIONS, &dictionary(&[("extensions", &entries), ("version", "<integer>1</integer>")]))
}

/// Rewrites every property list of a root in the binary form, with another implementation.
pub(super) fn in_binary(root: &Path) -> Result<()> {
    const REWRITE: &str = "import pathlib, plistlib, sys\n\
        for path in pathlib.Path(sys.argv[1]).rglob('*.plist'):\n\
        \x20   data = path.read_bytes()\n\
        \x20   if data.startswith(b'<?xml'):\n\
        \x20       path.write_bytes(plistlib.dumps(plistlib.loads(data), fmt=plistlib.FMT_BINARY))\n\
        \x20       print(path)\n";
    let written = run(Command::new("python3").arg("-c").arg(REWRITE).arg(root))?;
    ensure!(written.lines().count() > 2, "only {written:?} was rewritten");
    Ok(())
}

/// Removes what was there.
pub(super) fn remove(root: &Path, path: &str) -> Result<()> {
    let path = root.join(below(path));
    std::fs::remove_dir_all(&path).with_context(|| format!("remove {}", path.display()))
}
