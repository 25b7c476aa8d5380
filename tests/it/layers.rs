//! Rules about the tree that the compiler does not check: which module may use which, that files do not use each other
//! in a circle, where code may ask for the operating system or the time, and how a file begins. ARCHITECTURE.md has the
//! reasons; `layers/plan.rs` has the modules.

mod cycles;
mod lexer;
mod names;
mod paths;
mod phrases;
mod plan;

use std::path::{Path, PathBuf};

use plan::{CLOCK_MODULES, MODULES, OS_MODULES, WIRE_MODULES};

/// One source file: its path in the repository, and its text.
struct Source {
    path: String,
    text: String,
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the manifest folder has a parent").to_owned()
}

/// All Rust files of the workspace's crates, in order of their paths.
fn sources() -> Vec<Source> {
    let root = repository();
    let mut found = Vec::new();
    for part in ["proto", "agent", "collector", "tests"] {
        collect(&root, &root.join(part), &mut found);
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(found.len() > 20, "only {} Rust files were found below {}", found.len(), root.display());
    found
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<Source>) {
    for entry in std::fs::read_dir(folder).unwrap_or_else(|e| panic!("reading {}: {e}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("target") {
                collect(root, &path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            found.push(Source { path: path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), text });
        }
    }
}

/// Every rule that this file breaks.
fn breaches(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    found.extend(form_breaches(source));
    found.extend(module_breaches(source));
    found.extend(wire_breaches(source));
    found.extend(os_breaches(source));
    found.extend(clock_breaches(source));
    found.into_iter().map(|breach| format!("{}: {breach}", source.path)).collect()
}

fn form_breaches(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    if !source.text.starts_with("//! ") {
        found.push("does not open with `//!` that says what it is for".to_owned());
    }
    if source.path.ends_with("/mod.rs") {
        found.push("is a mod.rs; name the file after its module".to_owned());
    }
    let nameless = ["util", "utils", "common", "helper", "helpers", "misc", "shared", "stuff"];
    for part in source.path.trim_end_matches(".rs").split('/') {
        if nameless.contains(&part) {
            found.push(format!("`{part}` is no name for a module: it does not say what is in it"));
        }
    }
    found
}

/// The module of the plan that a file belongs to: the one with the longest path.
fn module_of(path: &str) -> Option<&'static plan::Module> {
    let path = path.trim_end_matches(".rs");
    MODULES
        .iter()
        .filter(|module| path.strip_prefix(module.place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
        .max_by_key(|module| module.place.len())
}

/// Whether this file is in a crate whose modules are planned.
fn is_planned(path: &str) -> bool {
    ["proto/src/", "agent/src/", "collector/src/"].iter().any(|place| path.starts_with(place))
}

fn module_breaches(source: &Source) -> Vec<String> {
    if !is_planned(&source.path) || ["lib.rs", "main.rs"].iter().any(|name| source.path.ends_with(name)) {
        return Vec::new();
    }
    let Some(module) = module_of(&source.path) else {
        return vec!["is in no module of the plan; see tests/it/layers/plan.rs".to_owned()];
    };
    let mut found = Vec::new();
    for used in paths::inside(&source.path, &source.text) {
        let Some(other) = module_of(&used) else { continue };
        if other.place != module.place && !module.may_use(other) {
            found.push(format!("{} must not use {} (`{used}`)", module.place, other.place));
        }
    }
    found.sort();
    found.dedup();
    found
}

fn wire_breaches(source: &Source) -> Vec<String> {
    let is_ours = is_planned(&source.path) && !source.path.starts_with("proto/src/");
    let may_see_it = WIRE_MODULES.iter().any(|module| plan::covers(module, &source.path));
    if !is_ours || may_see_it {
        return Vec::new();
    }
    let uses = paths::below(&source.text, "muster_proto").into_iter().any(|path| path.starts_with("wire"));
    if uses { vec![format!("uses `muster_proto::wire`; only {} may", WIRE_MODULES.join(", "))] } else { Vec::new() }
}

fn os_breaches(source: &Source) -> Vec<String> {
    if source.path.starts_with("tests/") || OS_MODULES.iter().any(|module| plan::covers(module, &source.path)) {
        return Vec::new();
    }
    lexer::asked_systems(&source.text)
        .into_iter()
        .map(|asked| format!("asks for the operating system (`{asked}`); only {} may", OS_MODULES.join(", ")))
        .collect()
}

fn clock_breaches(source: &Source) -> Vec<String> {
    let is_test = source.path.ends_with("tests.rs") || !is_planned(&source.path);
    if is_test || CLOCK_MODULES.iter().any(|module| plan::covers(module, &source.path)) {
        return Vec::new();
    }
    let asks = [("SystemTime", "now"), ("OffsetDateTime", "now_utc"), ("Utc", "now")];
    let reads = asks.iter().filter(|(kind, method)| paths::below(&source.text, kind).iter().any(|path| path == method));
    reads.map(|(kind, method)| format!("reads the clock (`{kind}::{method}`); time is an argument here")).collect()
}

#[test]
fn every_file_keeps_the_rules() {
    let found: Vec<String> = sources().iter().flat_map(breaches).collect();
    assert!(found.is_empty(), "{} breaches:\n{}", found.len(), found.join("\n"));
}

#[test]
fn the_files_of_a_crate_use_each_other_one_way() {
    let found: Vec<String> = cycles::cycles(&sources()).iter().map(cycles::Cycle::describe).collect();
    assert!(found.is_empty(), "{} cycles of files:\n{}", found.len(), found.join("\n"));
}

#[test]
fn every_module_of_the_plan_uses_only_modules_of_the_plan() {
    for module in MODULES {
        for used in module.uses {
            let place = format!("{}/{used}", module.crate_place());
            assert!(
                MODULES.iter().any(|other| other.place == place),
                "{} may use {place}, which is not in the plan",
                module.place
            );
        }
    }
}

#[test]
fn the_top_level_of_the_repository_is_fixed() {
    let expected = [
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE",
        "README.md",
        "agent",
        "collector",
        "deploy",
        "proto",
        "target",
        "tests",
    ];
    for entry in std::fs::read_dir(repository()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name.starts_with('.') || expected.contains(&name.as_str()), "{name} does not belong at the top level");
    }
}

#[test]
fn no_file_names_a_path_of_one_machine() {
    // Concatenated so that this file does not contain them.
    let marks = [concat!("../", "shared"), concat!("/wo", "rk/"), concat!("/ho", "me/user/")];
    for source in sources().iter().filter(|source| !source.path.starts_with("tests/it/layers")) {
        for mark in marks {
            assert!(!source.text.contains(mark), "{} names {mark}", source.path);
        }
    }
}

/// The checks themselves: each finds a planted breach and accepts similar code that is allowed.
mod checker {
    use super::{Source, breaches};

    fn of(path: &str, text: &str) -> Vec<String> {
        breaches(&Source { path: path.to_owned(), text: format!("//! Sample.\n{text}") })
    }

    fn assert_found(path: &str, text: &str, part: &str) {
        let found = of(path, text);
        assert!(found.iter().any(|breach| breach.contains(part)), "{path} with {text:?} gave {found:?}");
    }

    fn assert_clean(path: &str, text: &str) {
        let found = of(path, text);
        assert!(found.is_empty(), "{path} with {text:?} gave {found:?}");
    }

    #[test]
    fn the_judge_must_not_see_the_store() {
        assert_found("collector/src/judge/lane.rs", "use crate::store::Store;", "must not use collector/src/store");
        assert_found("collector/src/judge.rs", "use crate::{rules, store::Store};", "must not use collector/src/store");
        assert_found("collector/src/judge.rs", "fn f() { crate::store::open() }", "must not use collector/src/store");
        assert_found("collector/src/judge/lane.rs", "use super::super::store::Store;", "must not use");
        assert_clean("collector/src/judge/lane.rs", "use crate::rules::Catalogue; use super::presence::Hit;");
    }

    #[test]
    fn comments_and_strings_use_nothing() {
        assert_clean(
            "collector/src/judge.rs",
            "// crate::store::Store\n/* crate::store */ /// `crate::store`\nfn f() {}",
        );
        assert_clean(
            "collector/src/judge.rs",
            "const A: &str = \"crate::store::x\"; const B: &str = r#\"crate::store\"#;",
        );
        assert_clean("collector/src/judge.rs", "fn f<'a>(c: char) -> bool { c == '\"' || c == '\\'' } // crate::store");
    }

    #[test]
    fn a_module_uses_no_module_that_comes_after_it() {
        assert_found("agent/src/scan/diff.rs", "use crate::uplink::connect;", "must not use agent/src/uplink");
        assert_found("agent/src/sources/linux/dpkg.rs", "use crate::scan::ScanResult;", "must not use agent/src/scan");
        assert_found("collector/src/store/sqlite/host.rs", "use crate::api::grpc;", "must not use");
        assert_found("collector/src/store.rs", "use crate::judge::{Remediation, assess};", "must not use");
        assert_clean("collector/src/store.rs", "use crate::judge::{Hit, Remediation};");
        assert_found("collector/src/cli/board.rs", "use crate::store::Store;", "must not use");
        assert_clean("agent/src/scan/diff.rs", "use crate::sources::Source;");
        assert_clean("agent/src/app.rs", "use crate::{scan, spool, uplink};");
    }

    #[test]
    fn only_four_modules_see_the_wire() {
        assert_found("collector/src/reports/board.rs", "use muster_proto::wire::Board;", "uses `muster_proto::wire`");
        assert_found("agent/src/scan.rs", "use muster_proto::{model, wire};", "uses `muster_proto::wire`");
        assert_clean("agent/src/uplink/enroll.rs", "use muster_proto::wire;");
        assert_clean("collector/src/api/grpc/board.rs", "use muster_proto::wire::Board;");
    }

    #[test]
    fn only_the_platform_modules_ask_for_the_operating_system() {
        assert_found("agent/src/app.rs", "#[cfg(unix)] fn f() {}", "asks for the operating system");
        assert_found("agent/src/app.rs", "#[cfg(not(target_os = \"linux\"))] fn f() {}", "asks for");
        assert_found("collector/src/tls.rs", "fn f() { if cfg!(windows) {} }", "asks for");
        assert_found("collector/src/tls.rs", "#[cfg_attr(target_family = \"unix\", ignore)] fn f() {}", "asks for");
        assert_clean("agent/src/os/linux.rs", "#[cfg(target_os = \"linux\")] fn f() {}");
        assert_clean("collector/src/shutdown.rs", "#[cfg(unix)] fn f() {}");
        assert_clean("agent/src/app.rs", "#[cfg(test)] mod tests { /* #[cfg(unix)] */ }");
    }

    #[test]
    fn time_is_an_argument_except_in_the_modules_that_wire() {
        assert_found("collector/src/judge.rs", "fn f() { let now = std::time::SystemTime::now(); }", "reads the clock");
        assert_found("agent/src/scan.rs", "fn f() { let now = SystemTime::now(); }", "reads the clock");
        assert_found("collector/src/store.rs", "fn f() { OffsetDateTime::now_utc() }", "reads the clock");
        assert_clean("collector/src/clock.rs", "fn f() { SystemTime::now() }");
        assert_clean("collector/src/judge.rs", "fn f(now: Timestamp) -> SystemTime { SystemTime::UNIX_EPOCH }");
    }

    #[test]
    fn a_file_has_a_name_and_says_what_it_is_for() {
        let mute = Source { path: "agent/src/app.rs".to_owned(), text: "fn f() {}".to_owned() };
        assert!(breaches(&mute)[0].contains("does not open with"));
        assert_found("agent/src/scan/mod.rs", "", "mod.rs");
        assert_found("collector/src/store/utils.rs", "", "`utils` is no name");
        assert_found("collector/src/store/common/rows.rs", "", "`common` is no name");
        assert_found("collector/src/attic.rs", "", "in no module of the plan");
    }
}
