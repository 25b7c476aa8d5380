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
    let attribute = |o: &Observation| usize::from(o.attributes.contains_key("enabled"));
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
            ("stale.service", "unit-missing", ""),
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
