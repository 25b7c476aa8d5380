//! The layers cover each other in their order, and every fault is seen at once.

use std::time::Duration;

use super::*;

fn with_file(text: &str) -> (tempfile::TempDir, Layers) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("collector.toml");
    std::fs::write(&file, text).expect("written");
    let flags = Flags { config: Some(file), ..Flags::default() };
    (directory, Layers { flags, environment: Vec::new() })
}

#[test]
fn the_defaults_alone_are_settings() {
    let (_directory, layers) = with_file("");
    let settings = Settings::load(&layers).expect("valid");
    assert_eq!(settings.data_dir, PathBuf::from("/var/lib/muster"));
    assert!(settings.probes.listen.ip().is_loopback() && settings.operators.listen.ip().is_loopback());
    assert_eq!(settings.rules.active_orders, ActiveOrders::AsWritten);
    assert_eq!(settings.pace.next, Duration::from_secs(300));
}

#[test]
fn a_higher_layer_covers_a_lower_one() {
    let (directory, mut layers) =
        with_file("data_dir = '/file'\n[pace]\nnext = '1m'\njitter = '1s'\n[drain]\ndeadline = '1s'");
    let beside = directory.path().join("collector.d");
    std::fs::create_dir(&beside).expect("made");
    std::fs::write(beside.join("20-b.toml"), "[pace]\nnext = '3m'").expect("written");
    std::fs::write(beside.join("10-a.toml"), "[pace]\nnext = '2m'\njitter = '2s'").expect("written");
    std::fs::write(beside.join("30-c.ini"), "not read").expect("written");
    layers.environment = vec![
        ("MUSTER_COLLECTOR__DRAIN__DEADLINE".to_owned(), "7s".to_owned()),
        ("MUSTER_COLLECTOR__AGENTS__PUBLIC_NAMES".to_owned(), "a.example, b.example".to_owned()),
        ("MUSTER_COLLECTOR__AGENTS__HANDSHAKES".to_owned(), "12".to_owned()),
        ("MUSTER_COLLECTOR__DATA_DIR".to_owned(), "/environment".to_owned()),
        ("MUSTER_SERVER".to_owned(), "not ours".to_owned()),
    ];
    layers.flags.data_dir = Some("/flags".to_owned());
    let settings = Settings::load(&layers).expect("valid");
    assert_eq!(settings.data_dir, PathBuf::from("/flags"));
    assert_eq!(settings.pace.next, Duration::from_secs(180), "the last file of the directory");
    assert_eq!(settings.pace.jitter, Duration::from_secs(2), "a file that says nothing covers nothing");
    assert_eq!(settings.drain, Duration::from_secs(7));
    assert_eq!(settings.agents.public_names, ["a.example", "b.example"]);
    assert_eq!(settings.agents.handshakes, 12);
}

#[test]
fn every_fault_is_reported_at_once_with_its_place() {
    let (directory, mut layers) = with_file(
        "[agents]\nlisten = 'nowhere'\nhandshake = 3\npublic_names = ['https://x']\n[pace]\nnext = 'soon'\n[log]\nformat = 4\n",
    );
    let beside = directory.path().join("collector.d");
    std::fs::create_dir(&beside).expect("made");
    std::fs::write(beside.join("broken.toml"), "[pace\n").expect("written");
    layers.environment = vec![("MUSTER_COLLECTOR__PROBES__LISTN".to_owned(), "127.0.0.1:1".to_owned())];
    layers.flags.orders = vec!["Not An Order".to_owned()];
    let faults = Settings::load(&layers).expect_err("faulty");
    let text = faults.to_string();
    for part in [
        "agents.listen: \"nowhere\" is not an address",
        "agents.handshake: there is no such key; did you mean agents.handshakes?",
        "\"https://x\" is neither a host name nor an address",
        "pace.next: \"soon\" is not a span of time",
        "log.format: a text is needed, and 4 stands there",
        "broken.toml: TOML parse error at line 1",
        "the environment: probes.listn: there is no such key; did you mean probes.listen?",
        "the flags: rules.active_orders: \"Not An Order\" is not a valid order id",
    ] {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
    assert_eq!(faults.0.len(), 8, "{text}");
}

#[test]
fn a_named_file_that_is_not_there_is_a_fault() {
    let flags = Flags { config: Some(PathBuf::from("/nonexistent/collector.toml")), ..Flags::default() };
    let faults = Settings::load(&Layers { flags, environment: Vec::new() }).expect_err("faulty");
    assert!(faults.to_string().contains("/nonexistent/collector.toml: the file cannot be read"), "{faults}");
}

#[test]
fn spans_are_read_and_written_as_people_do() {
    assert_eq!(parse_span("1h30m"), Ok(Duration::from_secs(5400)));
    assert_eq!(parse_span("250ms"), Ok(Duration::from_millis(250)));
    for wrong in ["", "5", "m", "5 minutes", "-1s", "99999999999999999999d", "18446744073709551615d"] {
        assert!(parse_span(wrong).is_err(), "{wrong}");
    }
    assert_eq!(format_span(Duration::from_secs(90_061)), "1d 1h");
    assert_eq!(format_span(Duration::from_millis(1_500)), "1s");
    assert_eq!(format_span(Duration::from_millis(40)), "40ms");
    assert_eq!(format_span(Duration::ZERO), "0s");
}

#[test]
fn the_shipped_file_has_every_key_with_its_default() {
    let shipped = include_str!("../../../deploy/config/collector.toml");
    let read = |text: &str| text.parse::<toml::Table>().expect("TOML");
    assert_eq!(read(shipped), read(DEFAULTS));
}
