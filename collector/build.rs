//! Lists the rule files below `rules/`, so that the collector carries them as its defaults.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or(io::ErrorKind::NotFound)?).join("rules");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?).join("embedded_rules.rs");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=rules");
    let mut text = String::from("&[\n");
    for folder in ["vendors", "states", "catalogue", "calendars", "orders", "scenarios"] {
        let place = root.join(folder);
        println!("cargo::rerun-if-changed={}", place.display());
        for name in rule_files(&place)? {
            let path = place.join(&name);
            println!("cargo::rerun-if-changed={}", path.display());
            let _ = writeln!(text, "    ({:?}, include_str!({:?})),", format!("{folder}/{name}"), path);
        }
    }
    for name in rule_files(&root)? {
        let path = root.join(&name);
        println!("cargo::rerun-if-changed={}", path.display());
        let _ = writeln!(text, "    ({name:?}, include_str!({path:?})),");
    }
    text.push_str("]\n");
    fs::write(out, text)
}

fn rule_files(place: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    // A folder without files is not in a clean clone.
    if !place.exists() {
        return Ok(names);
    }
    for entry in fs::read_dir(place)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".toml") {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}
