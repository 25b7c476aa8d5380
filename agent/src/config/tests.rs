//! The layers of the settings, and the shipped file.

use super::*;

fn directory(files: &[(&str, &str)]) -> (tempfile::TempDir, Flags) {
    let dir = tempfile::tempdir().expect("temporary directory");
    std::fs::create_dir(dir.path().join("agent.d")).expect("made");
    for (path, text) in files {
        std::fs::write(dir.path().join(path), text).expect("written");
    }
    let flags = Flags { config: Some(dir.path().join("agent.toml")), ..Flags::default() };
    (dir, flags)
}

fn environment(variables: &[(&str, &str)]) -> BTreeMap<String, String> {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn the_shipped_file_has_every_key_with_its_default() {
    let shipped = include_str!("../../../deploy/config/agent.toml");
    let (_kept, flags) = directory(&[("agent.toml", shipped)]);
    let (_empty, bare) = directory(&[("agent.toml", "")]);
    // The one default that depends on who asks: the file shows root's.
    let state_dir = Some(PathBuf::from("/var/lib/muster-agent"));
    let flags = Flags { state_dir: state_dir.clone(), ..flags };
    let bare = Flags { state_dir, ..bare };
    assert_eq!(load(&flags, BTreeMap::new()).expect("valid"), load(&bare, BTreeMap::new()).expect("valid"));
    let keys = serde_json::to_value(Keys::default()).expect("JSON");
    let sections = keys.as_object().expect("a table").iter();
    let names = sections.flat_map(|(name, value)| match value.as_object() {
        Some(section) => section.keys().cloned().collect(),
        None => vec![name.clone()],
    });
    for name in names {
        let is_there = |line: &str| line.trim_start_matches("# ").starts_with(&format!("{name} = "));
        assert!(shipped.lines().any(is_there), "{name} is missing in deploy/config/agent.toml");
    }
}

#[test]
fn a_later_layer_wins_over_an_earlier_one() {
    let (_dir, mut flags) = directory(&[
        ("agent.toml", "collector = \"https://one:1\"\nstate_dir = \"/a\"\n[spool]\nmax_mib = 1\nmax_age = '2d'\n"),
        ("agent.d/10.toml", "[spool]\nmax_mib = 3\n"),
        ("agent.d/20.toml", "[scan]\nwatchlist = \"builtin\"\n"),
        ("agent.d/not-read.txt", "nonsense"),
    ]);
    flags.state_dir = Some("/b".into());
    let variables = environment(&[
        ("MUSTER_AGENT__SPOOL__MAX_AGE", "5d"),
        ("MUSTER_AGENT__TOKEN_FILE", "/t"),
        ("MUSTER_AGENTX", "not ours"),
    ]);
    let settings = load(&flags, variables).expect("valid");
    assert_eq!(settings.collector.as_deref(), Some("https://one:1"));
    assert_eq!(settings.state_dir, Path::new("/b"));
    assert_eq!(settings.spool_bytes, 3 << 20);
    assert_eq!(settings.spool_age, Duration::from_secs(5 * 24 * 3600));
    assert_eq!(settings.token_file.as_deref(), Some(Path::new("/t")));
    assert_eq!(settings.watchlist, WatchlistPolicy::Builtin);
}

#[test]
fn every_fault_is_reported_at_once_with_its_place() {
    let (_dir, flags) = directory(&[
        ("agent.toml", "colector = \"https://one:1\"\n[spool]\nmax_mib = 0\n"),
        ("agent.d/10.toml", "[scan\n"),
        ("agent.d/20.toml", "collector = \"http://plain\"\n[log]\nformat = \"xml\"\n"),
    ]);
    let variables = environment(&[("MUSTER_AGENT__LOK__TIME", "5"), ("MUSTER_AGENT__SCAN__TIME_LIMIT", "soon")]);
    let faults = load(&flags, variables).expect_err("faults");
    let text = faults.to_string();
    for part in [
        "have 7 faults",
        "agent.toml: colector: unknown key; did you mean \"collector\"?",
        "agent.toml: spool.max_mib: 0 is not between 1 and 1048576",
        "10.toml: ",
        "20.toml: collector: expected an address such as",
        "20.toml: log.format: unknown variant `xml`, expected one of `auto`, `text`, `json`",
        "the environment: lok.time: unknown key",
        "the environment: scan.time_limit: ",
    ] {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
}

#[test]
fn a_file_that_was_named_must_exist() {
    let flags = Flags { config: Some("/nonexistent/agent.toml".into()), ..Flags::default() };
    let faults = load(&flags, BTreeMap::new()).expect_err("a fault");
    assert!(faults.to_string().contains("/nonexistent/agent.toml"), "{faults}");
}

#[test]
fn an_address_has_a_host_and_no_path() {
    assert_eq!(collector_url("https://[::1]:7443"), Ok(("::1".to_owned(), 7443)));
    assert_eq!(collector_url("https://muster.example.org/"), Ok(("muster.example.org".to_owned(), 7443)));
    assert_eq!(collector_url("https://muster.example.org:443"), Ok(("muster.example.org".to_owned(), 443)));
    for bad in ["muster:7443", "http://muster", "https://muster/path", "https://user@muster", "https://"] {
        assert!(collector_url(bad).is_err(), "{bad}");
    }
}

#[test]
fn an_empty_path_is_a_fault_and_does_not_mean_the_current_directory() {
    let text = "state_dir = \"\"\ntoken_file = \"\"\n[proxy]\nca_file = \"\"\n[log]\nlevel = \"\"\n";
    let spool = "[spool]\nmax_mib = 9223372036854775807\n";
    let (_kept, flags) = directory(&[("agent.toml", text), ("agent.d/1.toml", spool)]);
    let faults = load(&flags, environment(&[("HTTPS_PROXY", "socks5://proxy:1")])).expect_err("faults").0;
    let mut keys: Vec<&str> = faults.iter().map(|fault| fault.key.as_str()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["HTTPS_PROXY", "log.level", "proxy.ca_file", "spool.max_mib", "state_dir", "token_file"]);
    let place = |key: &str| faults.iter().find(|fault| fault.key == key).map(|fault| fault.place.as_str());
    assert_eq!(place("HTTPS_PROXY"), Some("the environment"));
    assert!(place("spool.max_mib").is_some_and(|place| place.ends_with("1.toml")), "{faults:?}");
}
