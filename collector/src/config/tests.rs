//! The layers cover each other in their order, and every fault is seen at once.

use std::time::Duration;

use super::*;

struct Input {
    flags: Flags,
    environment: Vec<(String, String)>,
}

impl Input {
    fn load(&self) -> Result<Settings, ConfigFaults> {
        Settings::load(&self.flags, self.environment.clone())
    }
}

fn with_file(text: &str) -> (tempfile::TempDir, Input) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("collector.toml");
    std::fs::write(&file, text).expect("written");
    let flags = Flags { config: Some(file), ..Flags::default() };
    (directory, Input { flags, environment: Vec::new() })
}

#[test]
fn the_defaults_alone_are_settings() {
    let (_directory, layers) = with_file("");
    let settings = layers.load().expect("valid");
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
    let settings = layers.load().expect("valid");
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
    let faults = layers.load().expect_err("faulty");
    let text = faults.to_string();
    for part in [
        "agents.listen: invalid socket address syntax",
        "agents.handshake: unknown key; did you mean \"agents.handshakes\"?",
        "\"https://x\" is not a host name or an address",
        "pace.next: invalid value: string \"soon\", expected a duration such as \"30s\"",
        "log.format: ",
        "broken.toml: TOML parse error at line 1",
        "the environment: probes.listn: unknown key; did you mean \"probes.listen\"?",
        "the command line: rules.active_orders: \"Not An Order\" is not a valid order id",
    ] {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
    assert_eq!(faults.0.len(), 8, "{text}");
}

#[test]
fn the_company_certificate_needs_its_key_and_proxies_are_networks() {
    let (_directory, layers) = with_file(
        "[operators]\ncertificate = '/a.crt'\ntrusted_proxies = ['10.0.0.0/8', '10.1.2.3/8', 'proxy.example.com']\n",
    );
    let faults = layers.load().expect_err("faulty");
    let text = faults.to_string();
    for part in [
        "operators.key: is empty, but operators.certificate is set",
        "operators.trusted_proxies: \"10.1.2.3/8\" has host bits set; write 10.0.0.0/8",
        "operators.trusted_proxies: \"proxy.example.com\" is not an address or a network",
    ] {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
    assert_eq!(faults.0.len(), 3, "{text}");
    let (_directory, mut layers) = with_file("[operators]\ncertificate = '/a.crt'\nkey = '/a.key'\n");
    layers.environment =
        vec![("MUSTER_COLLECTOR__OPERATORS__TRUSTED_PROXIES".to_owned(), "10.0.0.0/8, ::1".to_owned())];
    let operators = layers.load().expect("valid").operators;
    assert_eq!(operators.company_certificate(), Some((Path::new("/a.crt"), Path::new("/a.key"))));
    assert_eq!(operators.proxies().len(), 2);
}

#[test]
fn the_public_address_is_an_origin() {
    let (_directory, layers) = with_file("[operators]\npublic_url = 'https://Muster.example.com:443/'\n");
    let settings = layers.load().expect("valid");
    assert_eq!(settings.operators.public_url.origin().as_deref(), Some("https://muster.example.com"));
    let (_directory, layers) = with_file("[operators]\npublic_url = 'http://muster.example.com'\n");
    let faults = layers.load().expect_err("faulty").to_string();
    assert!(faults.contains("operators.public_url: does not begin with https://"), "{faults}");
}

#[test]
fn a_named_file_that_is_missing_is_a_fault() {
    let flags = Flags { config: Some(PathBuf::from("/nonexistent/collector.toml")), ..Flags::default() };
    let faults = Settings::load(&flags, Vec::new()).expect_err("faulty");
    assert!(faults.to_string().contains("/nonexistent/collector.toml: read the file"), "{faults}");
}

#[test]
fn durations_are_printed_with_their_two_largest_units() {
    assert_eq!(format_span(Duration::from_secs(90_061)), "1d 1h");
    assert_eq!(format_span(Duration::from_millis(1_500)), "1s");
    assert_eq!(format_span(Duration::from_millis(40)), "40ms");
    assert_eq!(format_span(Duration::ZERO), "0s");
}

#[test]
fn the_shipped_file_has_every_key_with_its_default() {
    let shipped = include_str!("../../../deploy/config/collector.toml");
    let keys: serde_json::Value = toml::from_str(shipped).expect("TOML");
    let read: Keys = serde_json::from_value(keys.clone()).expect("settings");
    let json = |keys: &Keys| serde_json::to_value(keys).expect("JSON");
    assert_eq!(json(&read), json(&Keys::default()));
    let names = |value: &serde_json::Value| -> Vec<String> {
        let sections = value.as_object().expect("a table").iter();
        sections
            .flat_map(|(name, value)| {
                value
                    .as_object()
                    .map_or(vec![name.clone()], |inner| inner.keys().map(|key| format!("{name}.{key}")).collect())
            })
            .collect()
    };
    assert_eq!(names(&keys), names(&json(&read)), "every key is in the file");
}

#[test]
fn every_number_and_duration_of_the_shipped_file_is_a_limit_in_the_metrics() {
    let (_directory, layers) = with_file("[agents]\nconnections = 7\n");
    let limits = layers.load().expect("valid").limits;
    let value = |setting: &str| limits.iter().find(|limit| limit.setting == setting).map(|limit| limit.value);
    assert_eq!(value("agents.connections"), Some(7.0), "as set");
    assert_eq!(value("pace.next"), Some(300.0), "a duration in seconds");
    assert_eq!(value("log.filter"), None, "a text is no limit");
    let shipped: toml::Table = toml::from_str(include_str!("../../../deploy/config/collector.toml")).expect("TOML");
    for (table, keys) in &shipped {
        for (key, written) in keys.as_table().into_iter().flatten() {
            let is_limit = written.is_integer()
                || written.as_str().is_some_and(|text| text.starts_with(char::is_numeric) && !text.contains(':'));
            assert_eq!(value(&format!("{table}.{key}")).is_some(), is_limit, "{table}.{key}");
        }
    }
}

#[test]
fn agents_reach_the_collector_by_its_first_public_name() {
    let listening = |text: &str| text.parse().expect("an address");
    let mut agents = Agents::default();
    assert_eq!(agents.url(listening("0.0.0.0:7443")), "https://localhost:7443");
    assert_eq!(agents.url(listening("[::1]:7443")), "https://[::1]:7443");
    agents.public_names = vec!["muster.example.org".to_owned(), "10.0.0.1".to_owned()];
    assert_eq!(agents.url(listening("0.0.0.0:7000")), "https://muster.example.org:7000");
    agents.public_names = vec!["fd00::1".to_owned()];
    assert_eq!(agents.url(listening("0.0.0.0:7000")), "https://[fd00::1]:7000");
}
