//! Tests of the systemd-units source on canned roots.

use std::fs;
use std::os::unix::fs::symlink;

use muster_proto::model::{Outcome, Watchlist};

use super::super::canned::Canned;
use super::*;
use crate::sources::root::Root;

struct Machine(tempfile::TempDir);

impl Machine {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("temporary directory"))
    }
    fn file(&self, path: &str, text: &str) -> &Self {
        let file = self.0.path().join(path);
        fs::create_dir_all(file.parent().expect("a parent")).expect("made");
        fs::write(file, text).expect("written");
        self
    }
    fn link(&self, path: &str, target: &str) -> &Self {
        let link = self.0.path().join(path);
        fs::create_dir_all(link.parent().expect("a parent")).expect("made");
        symlink(target, link).expect("linked");
        self
    }
    fn read(&self) -> SourceReading {
        SystemdUnits.read(&ScanContext::new(Root::below(self.0.path()).expect("a root"), Watchlist::default()))
    }
}

fn found(reading: &SourceReading) -> Vec<(&str, &str, &str)> {
    let attribute = |o: &Observation| usize::from(o.attributes.get("enabled").is_some_and(|enabled| enabled == "yes"));
    reading.observations.iter().map(|o| (o.name.as_str(), o.state.as_str(), ["", "enabled"][attribute(o)])).collect()
}

#[test]
fn units_have_program_path_and_enablement() {
    let machine = Machine::new();
    machine
        .file("opt/kaspersky/kesl/bin/kesl", "")
        .file("opt/kaspersky/kesl/kesl.service", "[Service]\nExecStart=/opt/kaspersky/kesl/bin/kesl --secret\n")
        .link("etc/systemd/system/kesl.service", "/opt/kaspersky/kesl/kesl.service")
        .link("etc/systemd/system/multi-user.target.wants/kesl.service", "/etc/systemd/system/kesl.service")
        .file("usr/lib/systemd/system/gone.service", "[Service]\nExecStart=/usr/sbin/gone\n")
        .link("etc/systemd/system/stale.service", "/opt/removed/stale.service")
        .link("etc/systemd/system/off.service", "/dev/null")
        .link("etc/systemd/system/alias.service", "/usr/lib/systemd/system/gone.service")
        .file("usr/lib/systemd/system/basic.target", "[Unit]\n");
    let reading = machine.read();
    assert_eq!(reading.outcome, Outcome::Found, "{}", reading.reason);
    assert_eq!(
        found(&reading),
        [
            ("gone.service", "binary-missing", ""),
            ("kesl.service", "", "enabled"),
            ("off.service", "masked", ""),
            ("stale.service", "broken-link", ""),
        ]
    );
    let kesl = &reading.observations[1];
    assert_eq!(kesl.path, "/etc/systemd/system/kesl.service");
    assert_eq!(kesl.attributes["exec"], "/opt/kaspersky/kesl/bin/kesl");
}

#[test]
fn init_scripts_are_found() {
    let machine = Machine::new();
    machine
        .file("etc/init.d/kess", "#!/bin/sh\n")
        .file("etc/init.d/README", "")
        .link("etc/rc3.d/S20kess", "../init.d/kess");
    assert_eq!(found(&machine.read()), [("kess", "", "enabled")]);
}

#[test]
fn a_drop_in_overrides_the_program() {
    let machine = Machine::new();
    machine
        .file("usr/bin/new", "")
        .file("usr/lib/systemd/system/x.service", "[Service]\nExecStart=/usr/bin/old\n")
        .file("etc/systemd/system/x.service.d/10.conf", "[Service]\nExecStart=\nExecStart=new\n");
    assert_eq!(found(&machine.read()), [("x.service", "", "")]);
}

#[test]
fn a_machine_without_unit_directories_is_not_applicable() {
    assert_eq!(Machine::new().read().outcome, Outcome::NotApplicable);
    let machine = Machine::new();
    machine.file("etc/systemd/system/basic.target", "");
    assert_eq!(machine.read().outcome, Outcome::Empty);
}

#[test]
fn an_instance_has_its_own_name_and_the_drop_ins_of_its_template() {
    let root = Canned::new("rocky")
        .file("usr/lib/systemd/system/clamd@.service", "[Service]\nExecStart=/usr/sbin/clamd -c %i\n")
        .file("etc/systemd/system/clamd@.service.d/own.conf", "[Service]\nExecStart=\nExecStart=/opt/clam/clamd\n")
        .file("opt/clam/clamd", "")
        .link(
            "etc/systemd/system/multi-user.target.wants/clamd@scan.service",
            "/usr/lib/systemd/system/clamd@.service",
        );
    let reading = root.read(&SystemdUnits);
    let found = reading.observations.iter().find(|o| o.name == "clamd@scan.service").expect("the instance");
    assert_eq!((found.attributes["enabled"].as_str(), found.attributes["exec"].as_str()), ("yes", "/opt/clam/clamd"));
    assert_eq!(found.state, "");
}

#[test]
fn an_empty_unit_file_masks_and_a_link_to_another_directory_is_read() {
    let root = Canned::new("debian")
        .file("etc/systemd/system/off.service", "")
        .link("etc/systemd/system/vendor.service", "/opt/vendor/vendor.service")
        .file("opt/vendor/vendor.service", "[Service]\nExecStart=/opt/vendor/run\n");
    let reading = root.read(&SystemdUnits);
    let rows: Vec<_> = reading.observations.iter().map(|o| (o.name.as_str(), o.state.as_str())).collect();
    assert_eq!(rows, [("off.service", "masked"), ("vendor.service", "binary-missing")]);
}

#[test]
fn session_units_are_found_and_in_home_directories_only_watched_ones() {
    let watchlist = Watchlist { units: vec!["kesl*".to_owned()], ..Watchlist::default() };
    let root = Canned::new("debian")
        .file("etc/passwd", "jane:x:1000:1000::/srv/jane:/bin/sh\n")
        .file("usr/lib/systemd/user/eea-user-agent.service", "[Service]\nExecStart=/opt/eset/agent\n")
        .file("srv/jane/.config/systemd/user/kesl-gui.service", "[Service]\nExecStart=/srv/jane/kesl\n")
        .file("srv/jane/.config/systemd/user/diary.service", "[Service]\nExecStart=/srv/jane/diary\n");
    let reading = root.read_with(&SystemdUnits, watchlist);
    let rows: Vec<_> = reading.observations.iter().map(|o| (o.name.as_str(), o.attributes["type"].as_str())).collect();
    assert_eq!(rows, [("eea-user-agent.service", "user"), ("kesl-gui.service", "user")]);
    let home_items =
        HomeItem { home: "/srv/jane".to_owned(), place: "unit:kesl-gui.service".to_owned(), watched: true };
    assert_eq!(reading.home_items, [home_items]);
}

#[test]
fn scripts_that_openrc_starts_are_enabled() {
    let root = Canned::new("alpine")
        .file("etc/init.d/clamd", "#!/sbin/openrc-run\n")
        .link("etc/runlevels/default/clamd", "/etc/init.d/clamd");
    let reading = root.read(&SystemdUnits);
    assert_eq!(reading.observations[0].attributes["enabled"], "yes");
}

/// Name, state, enablement and path of each unit.
fn rows(root: &Canned) -> Vec<String> {
    let reading = root.read(&SystemdUnits);
    assert_eq!(reading.reason, "");
    let enabled = |o: &Observation| o.attributes.get("enabled").cloned().unwrap_or_default();
    let row = |o: &Observation| format!("{} [{}] [{}] {}", o.name, o.state, enabled(o), o.path);
    reading.observations.iter().map(row).collect()
}

const UNIT: &str = "[Service]\nExecStart=/opt/kaspersky/kesl/libexec/kesl\n";

#[test]
fn a_mask_without_a_unit_file_below_it_is_masked() {
    let root = Canned::new("ubuntu").link("etc/systemd/system/kesl.service", "/dev/null");
    assert_eq!(rows(&root), ["kesl.service [masked] [masked] /etc/systemd/system/kesl.service"]);
    let root = Canned::new("ubuntu").link("etc/systemd/system/kesl.service", "../../../dev/null");
    assert_eq!(rows(&root), ["kesl.service [masked] [masked] /etc/systemd/system/kesl.service"]);
}

#[test]
fn what_a_removed_product_leaves_is_named_by_its_links_and_not_by_its_drop_ins() {
    let root = Canned::new("ubuntu")
        .link("etc/systemd/system/kesl.service", "/dev/null")
        .file("etc/systemd/system/kesl.service.d/override.conf", "[Service]\nMemoryMax=2G\n")
        .file("etc/systemd/system/klnagent64.service.d/override.conf", "[Service]\nMemoryMax=2G\n")
        .link("etc/systemd/system/multi-user.target.wants/kesl.service", "/usr/lib/systemd/system/kesl.service")
        .link(
            "etc/systemd/system/multi-user.target.wants/klnagent64.service",
            "/usr/lib/systemd/system/klnagent64.service",
        )
        .link("etc/systemd/system/multi-user.target.wants/scan@1.service", "/usr/lib/systemd/system/scan@.service")
        .file("etc/systemd/system/only.service.d/override.conf", "[Service]\nMemoryMax=2G\n");
    assert_eq!(
        rows(&root),
        [
            "kesl.service [masked] [masked] /etc/systemd/system/kesl.service",
            "klnagent64.service [broken-link] [yes] /etc/systemd/system/multi-user.target.wants/klnagent64.service",
            "scan@1.service [broken-link] [yes] /etc/systemd/system/multi-user.target.wants/scan@1.service",
        ]
    );
}

#[test]
fn a_mask_above_an_installed_unit_switches_it_off_and_does_not_remove_it() {
    let masked = || {
        let root = Canned::new("ubuntu").link("etc/systemd/system/kesl.service", "/dev/null");
        root.file("usr/lib/systemd/system/kesl.service", UNIT)
    };
    let root = masked().executable("opt/kaspersky/kesl/libexec/kesl", "\x7fELF");
    assert_eq!(rows(&root), ["kesl.service [] [masked] /usr/lib/systemd/system/kesl.service"]);
    assert_eq!(
        rows(&masked()),
        ["kesl.service [masked] [masked] /etc/systemd/system/kesl.service"],
        "without a program"
    );
}

#[test]
fn a_unit_leads_to_its_program_through_links_and_overridden_files() {
    let root = Canned::new("ubuntu")
        .executable("opt/kaspersky/kesl/libexec/kesl", "\x7fELF")
        .link("etc/systemd/system/broken.service", "/opt/gone/broken.service")
        .file("usr/lib/systemd/system/broken.service", UNIT)
        .file("etc/systemd/system/moved.service", "[Service]\nExecStart=/opt/gone/moved\n")
        .file("usr/lib/systemd/system/moved.service", UNIT)
        .link("etc/systemd/system/gone.service", "/opt/gone/gone.service")
        .file("opt/kept/odd.service", UNIT)
        .link("etc/systemd/system/multi-user.target.wants/odd.service", "/opt/kept/odd.service")
        .link("etc/systemd/system/multi-user.target.wants/alias.service", "/usr/lib/systemd/system/moved.service");
    assert_eq!(
        rows(&root),
        [
            "broken.service [] [] /usr/lib/systemd/system/broken.service",
            "gone.service [broken-link] [] /etc/systemd/system/gone.service",
            "moved.service [] [] /usr/lib/systemd/system/moved.service",
            "odd.service [unit-missing] [yes] /etc/systemd/system/multi-user.target.wants/odd.service",
        ]
    );
}

#[test]
fn a_link_to_a_file_with_another_name_is_an_alias_only_if_that_file_is_a_unit() {
    const OWN: &str = "[Service]\nExecStart=/srv/kesl/kesl\n";
    let root = Canned::new("ubuntu")
        .executable("srv/kesl/kesl", "\x7fELF")
        .file("srv/kesl/kesl-12.service", OWN)
        .file("srv/kesl/cron.service", OWN)
        .file("usr/lib/systemd/system/cron.service", OWN)
        .link("etc/systemd/system/crond.service", "../../../usr/lib/systemd/system/cron.service")
        .link("etc/systemd/system/chain.service", "kesl.service")
        .link("etc/systemd/system/kesl.service", "/srv/kesl/kesl-12.service")
        .link("etc/systemd/system/same-name.service", "/srv/kesl/cron.service")
        .link("etc/systemd/system/multi-user.target.wants/kesl.service", "/etc/systemd/system/kesl.service")
        .link("etc/systemd/system/multi-user.target.wants/removed.service", "/srv/kesl/kesl-12.service");
    assert_eq!(
        rows(&root),
        [
            "cron.service [] [] /usr/lib/systemd/system/cron.service",
            "kesl.service [] [yes] /etc/systemd/system/kesl.service",
            "removed.service [unit-missing] [yes] /etc/systemd/system/multi-user.target.wants/removed.service",
            "same-name.service [] [] /etc/systemd/system/same-name.service",
        ]
    );
    let reading = root.read(&SystemdUnits);
    assert_eq!(reading.observations[1].attributes["exec"], "/srv/kesl/kesl");
}

#[test]
fn a_program_is_missing_only_if_systemd_would_not_find_it() {
    let directory = "usr/lib/systemd/system";
    let root = Canned::new("ubuntu")
        .executable("srv/av x/kesl", "\x7fELF")
        .file(&format!("{directory}/escape.service"), "[Service]\nExecStart=/srv/av\\x20x/kesl\n")
        .file(&format!("{directory}/second.service"), "[Service]\nExecStart=-/gone\nExecStart=\"/srv/av x/kesl\"\n")
        .file(&format!("{directory}/jail.service"), "[Service]\nRootDirectory=/srv/jail\nExecStart=/opt/kesl\n")
        .file(&format!("{directory}/search.service"), "[Service]\nExecSearchPath=/srv/av\nExecStart=kesl\n")
        .file(&format!("{directory}/two.service"), "[Service]\nExecStart=-/gone\nExecStart=/gone/too\n");
    assert_eq!(
        rows(&root),
        [
            "escape.service [] [] /usr/lib/systemd/system/escape.service",
            "jail.service [] [] /usr/lib/systemd/system/jail.service",
            "search.service [] [] /usr/lib/systemd/system/search.service",
            "second.service [] [] /usr/lib/systemd/system/second.service",
            "two.service [binary-missing] [] /usr/lib/systemd/system/two.service",
        ]
    );
    assert_eq!(root.read(&SystemdUnits).observations[3].attributes["exec"], "/srv/av x/kesl");
}

#[test]
fn a_drop_in_replaces_the_one_with_its_name_and_applies_by_name() {
    let own = |program: &str| format!("[Service]\nExecStart=\nExecStart={program}\n");
    let root = Canned::new("ubuntu")
        .executable("opt/kaspersky/kesl/libexec/kesl", "\x7fELF")
        .executable("usr/bin/last", "\x7fELF")
        .file("usr/lib/systemd/system/empty.service", UNIT)
        .file("usr/lib/systemd/system/empty.service.d/10.conf", own("/gone"))
        .file("etc/systemd/system/empty.service.d/10.conf", "")
        .file("usr/lib/systemd/system/null.service", UNIT)
        .file("usr/lib/systemd/system/null.service.d/10.conf", own("/gone"))
        .link("etc/systemd/system/null.service.d/10.conf", "/dev/null")
        .file("usr/lib/systemd/system/gone.service", "[Service]\nExecStart=/gone\n")
        .link("etc/systemd/system/gone.service.d/10.conf", "/dev/null")
        .file("usr/lib/systemd/system/a-b.service", UNIT)
        .file("etc/systemd/system/a-b.service.d/10.conf", own("/gone"))
        .file("usr/lib/systemd/system/a-.service.d/20.conf", own("/usr/bin/last"));
    let reading = root.read(&SystemdUnits);
    assert_eq!((reading.outcome, reading.reason.as_str()), (Outcome::Found, ""));
    let exec = |o: &Observation| format!("{} [{}] {}", o.name, o.state, o.attributes["exec"]);
    assert_eq!(
        reading.observations.iter().map(exec).collect::<Vec<_>>(),
        [
            "a-b.service [] /usr/bin/last",
            "empty.service [] /opt/kaspersky/kesl/libexec/kesl",
            "gone.service [binary-missing] /gone",
            "null.service [] /opt/kaspersky/kesl/libexec/kesl",
        ]
    );
}

#[test]
fn a_unit_without_a_command_starts_nothing() {
    let long = format!("[Service]\n{}ExecStart=/opt/kaspersky/kesl/libexec/kesl\n", "# long\n".repeat(20_000));
    let root = Canned::new("ubuntu")
        .executable("opt/kaspersky/kesl/libexec/kesl", "\x7fELF")
        .file("etc/systemd/system/comment.service", "# placeholder\n")
        .file("etc/systemd/system/exit.service", "[Unit]\nSuccessAction=exit\n")
        .file("etc/systemd/system/long.service", &long)
        .file("etc/systemd/system/nul.service", "\0".repeat(300))
        .file("etc/systemd/system/over.service", "# placeholder\n")
        .file("usr/lib/systemd/system/over.service", UNIT)
        .file("srv/folder/x", "")
        .link("etc/systemd/system/folder.service", "/srv/folder")
        .file("etc/systemd/system/kesl.timer", "[Timer]\nOnCalendar=daily\n");
    crate::os::test_kit::pipe(&root.path().join("etc/systemd/system/pipe.service"));
    assert_eq!(
        rows(&root),
        [
            "comment.service [no-command] [] /etc/systemd/system/comment.service",
            "exit.service [] [] /etc/systemd/system/exit.service",
            "folder.service [no-command] [] /etc/systemd/system/folder.service",
            "kesl.timer [] [] /etc/systemd/system/kesl.timer",
            "long.service [] [] /etc/systemd/system/long.service",
            "nul.service [no-command] [] /etc/systemd/system/nul.service",
            "over.service [] [] /usr/lib/systemd/system/over.service",
            "pipe.service [no-command] [] /etc/systemd/system/pipe.service",
        ]
    );
}

#[test]
fn a_unit_that_is_too_large_is_reported_by_name_and_the_limit_is_named() {
    let root = Canned::new("ubuntu").file("etc/systemd/system/kesl.service", "#\n".repeat(600_000));
    let reading = root.read(&SystemdUnits);
    assert_eq!(reading.outcome, Outcome::Partial);
    assert_eq!(reading.reason, "cannot read /etc/systemd/system/kesl.service (at most 1 MiB): file too large");
    assert_eq!(reading.observations[0].name, "kesl.service");
}

#[test]
fn a_mask_switches_off_an_init_script_and_a_masked_template_its_instances() {
    let root = Canned::new("debian")
        .file("etc/init.d/kess", "#!/bin/sh\n")
        .link("etc/systemd/system/kess.service", "/dev/null")
        .link("etc/systemd/system/scan@.service", "/dev/null")
        .file("usr/lib/systemd/system/scan@.service", "[Service]\nExecStart=/usr/bin/scan %i\n")
        .executable("usr/bin/scan", "\x7fELF")
        .link("etc/systemd/system/multi-user.target.wants/scan@1.service", "/usr/lib/systemd/system/scan@.service");
    assert_eq!(
        rows(&root),
        [
            "scan@.service [] [masked] /usr/lib/systemd/system/scan@.service",
            "scan@1.service [] [masked] /usr/lib/systemd/system/scan@.service",
            "kess [] [masked] /etc/init.d/kess",
        ]
    );
}

#[test]
fn an_init_script_leads_to_its_program_and_a_level_to_its_script() {
    let root = Canned::new("debian")
        .file("etc/init.d/gone", "#!/bin/sh\nDAEMON=/opt/gone/daemon\n")
        .file("etc/init.d/kept", "#!/bin/sh\nDAEMON=/usr/sbin/kept\n")
        .file("usr/sbin/kept", "")
        .link("etc/init.d/linked", "/opt/gone/linked")
        .link("etc/rc2.d/S20removed", "../init.d/removed");
    assert_eq!(
        rows(&root),
        [
            "gone [binary-missing] [] /etc/init.d/gone",
            "kept [] [] /etc/init.d/kept",
            "linked [broken-link] [] /etc/init.d/linked",
            "removed [broken-link] [yes] /etc/rc2.d/S20removed",
        ]
    );
}

#[test]
fn a_mask_in_a_home_directory_switches_off_the_unit_of_all_sessions() {
    let watchlist = || Watchlist { units: vec!["kesl*".to_owned()], ..Watchlist::default() };
    let home = || {
        Canned::new("debian")
            .file("etc/passwd", "jane:x:1000:1000::/srv/jane:/bin/sh\n")
            .link("srv/jane/.config/systemd/user/kesl-gui.service", "/dev/null")
            .link("srv/jane/.config/systemd/user/default.target.wants/kesl-old.service", "/opt/gone/kesl-old.service")
    };
    let row = |o: &Observation| format!("{} [{}] {}", o.name, o.state, o.attributes["type"]);
    let rows = |root: Canned| -> Vec<String> {
        root.read_with(&SystemdUnits, watchlist()).observations.iter().map(row).collect()
    };
    assert_eq!(rows(home()), ["kesl-gui.service [masked] user", "kesl-old.service [broken-link] user"]);
    let root = home().file("usr/lib/systemd/user/kesl-gui.service", "[Service]\nExecStart=/usr/bin/kesl-gui\n");
    let root = root.file("usr/bin/kesl-gui", "");
    assert_eq!(
        rows(root),
        ["kesl-gui.service [] user", "kesl-gui.service [] user", "kesl-old.service [broken-link] user"]
    );
}

#[test]
fn units_below_a_link_that_leads_nowhere_do_not_count_as_absent() {
    for (link, target) in [("etc/systemd", "/mnt/cfg/systemd"), ("etc/systemd/system", "/srv/units")] {
        let root = Canned::new("debian")
            .link(link, target)
            .file("usr/lib/systemd/system/x.service", "[Service]\nExecStart=/bin/sh\n")
            .executable("bin/sh", "");
        let reading = root.read(&SystemdUnits);
        assert_eq!((reading.outcome, reading.observations.len()), (Outcome::Partial, 1), "{link}");
        let expected = format!("/{link} leads to {target}, which does not exist");
        assert!(reading.reason.starts_with(&expected), "{}", reading.reason);
    }
}

#[test]
fn scripts_of_slackware_and_services_of_runit_are_services() {
    let enabled = |root: Canned, path: &str| {
        let reading = root.read(&SystemdUnits);
        let kesl = reading.observations.iter().find(|one| one.name == "kesl").expect("kesl").clone();
        assert_eq!((reading.outcome, kesl.path.as_str()), (Outcome::Found, path));
        (kesl.attributes.get("enabled").cloned().unwrap_or_default(), kesl.state)
    };
    let slackware = || Canned::new("slackware").file("etc/rc.d/rc.local", "").file("etc/rc.d/rc.M", "");
    assert_eq!(slackware().read(&SystemdUnits).observations, []);
    let started = slackware().executable("etc/rc.d/rc.kesl", "#!/bin/sh\n/srv/av/kesl\n");
    assert_eq!(enabled(started, "/etc/rc.d/rc.kesl"), ("yes".to_owned(), String::new()));
    assert_eq!(enabled(slackware().file("etc/rc.d/rc.kesl", ""), "/etc/rc.d/rc.kesl").0, "");
    let void = || Canned::new("void").executable("etc/sv/kesl/run", "#!/bin/sh\nexec /srv/av/kesl\n");
    assert_eq!(enabled(void(), "/etc/sv/kesl/run").0, "");
    let started = void().link("etc/runit/runsvdir/default/kesl", "/etc/sv/kesl");
    assert_eq!(enabled(started, "/etc/sv/kesl/run"), ("yes".to_owned(), String::new()));
    let gone = Canned::new("void").directory("etc/sv").link("etc/runit/runsvdir/default/kesl", "/etc/sv/kesl");
    assert_eq!(enabled(gone, "/etc/runit/runsvdir/default/kesl").1, "broken-link");
}
