//! Typed settings, in layers: defaults < file < `agent.d/*.toml` < environment < flags. All faults are reported at once.
//!
//! As typed (`Layer`, every key may be absent) and as used ([`Settings`], every key has a value) are two structs.
//! A broken setting stops the agent: half a configuration could send to the wrong place.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::{ConfigError, Environment, File, FileFormat, Source, Value, ValueKind};

use muster_proto::model::UserScope;

use crate::os;

const ENVIRONMENT_PREFIX: &str = "MUSTER_AGENT";

/// The settings in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `collector`: where the collector listens, `https://host:port`. After enrolment the enrolled one, unless set.
    pub collector: Option<String>,
    /// `token_file`: a file with an enrolment token, for machines that enrol by themselves.
    pub token_file: Option<PathBuf>,
    /// `state_dir`: key, identity and spool; owner-only.
    pub state_dir: PathBuf,
    /// `look.watchlist`: whose watchlist is used.
    pub watchlist: WatchlistPolicy,
    /// `look.time_limit_s`: how long one source may take.
    pub look_time_limit: Duration,
    /// `look.user_scope`: how much is told of who has what in a home.
    pub user_scope: UserScope,
    /// `spool.max_mib`: how much may wait for the collector.
    pub spool_bytes: u64,
    /// `spool.max_age_days`: how long it may wait.
    pub spool_age: Duration,
    /// `log.level`: a filter such as `info` or `muster_agent=debug`.
    pub log_level: String,
    /// `log.format`.
    pub log_format: LogFormat,
}

/// Whose watchlist the agent uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WatchlistPolicy {
    /// The one that it was built with, whatever a collector sends.
    Builtin,
    /// The collector's, within the agent's own bounds.
    Collector,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// Text.
    Text,
    /// One JSON object a line.
    Json,
}

/// What the command line sets.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--config`: this file must exist.
    pub config: Option<PathBuf>,
    /// `--state-dir`.
    pub state_dir: Option<PathBuf>,
    /// `--collector`.
    pub collector: Option<String>,
    /// `-v`, once or more.
    pub verbose: u8,
}

/// One setting that cannot be used, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// File or variable.
    pub place: String,
    /// What is wrong.
    pub what: String,
}

/// Every fault that was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigFaults(pub Vec<Fault>);

impl fmt::Display for ConfigFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration has {} fault{}", self.0.len(), if self.0.len() == 1 { "" } else { "s" })?;
        self.0.iter().try_for_each(|fault| write!(f, "\n  {}: {}", fault.place, fault.what))
    }
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Layer {
    collector: Option<String>,
    token_file: Option<PathBuf>,
    state_dir: Option<PathBuf>,
    look: LookLayer,
    spool: SpoolLayer,
    log: LogLayer,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LookLayer {
    watchlist: Option<WatchlistPolicy>,
    time_limit_s: Option<u64>,
    user_scope: Option<UserScope>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SpoolLayer {
    max_mib: Option<u64>,
    max_age_days: Option<u64>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LogLayer {
    level: Option<String>,
    format: Option<LogFormat>,
}

/// Reads all layers. `environment` is the process' environment, given so that it can be another one.
///
/// # Errors
/// Every fault of every layer, each with its file or variable.
pub fn load(flags: &Flags, environment: BTreeMap<String, String>) -> Result<Settings, ConfigFaults> {
    let mut faults = Vec::new();
    let mut builder = config::Config::builder();
    for path in files(flags, &mut faults) {
        let place = path.display().to_string();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => {
                faults.push(Fault { place, what: format!("it cannot be read: {error}") });
                continue;
            }
        };
        let file = File::from_str(&text, FileFormat::Toml);
        match file.collect() {
            Ok(values) => {
                let before = faults.len();
                check(&values, &place, |key| key.to_owned(), &mut faults);
                if faults.len() == before {
                    builder = builder.add_source(file);
                }
            }
            Err(error) => faults.push(Fault { place, what: one_line(&error) }),
        }
    }
    let variables = environment
        .into_iter()
        .filter(|(name, _)| name.starts_with(ENVIRONMENT_PREFIX) && name[ENVIRONMENT_PREFIX.len()..].starts_with("__"))
        .collect();
    let variables = Environment::with_prefix(ENVIRONMENT_PREFIX)
        .prefix_separator("__")
        .separator("__")
        .try_parsing(true)
        .source(Some(variables));
    match variables.collect() {
        Ok(values) => {
            let before = faults.len();
            let name = |key: &str| format!("{ENVIRONMENT_PREFIX}__{}", key.to_uppercase().replace('.', "__"));
            check(&values, "environment", name, &mut faults);
            if faults.len() == before {
                builder = builder.add_source(variables);
            }
        }
        Err(error) => faults.push(Fault { place: "environment".to_owned(), what: one_line(&error) }),
    }
    let built = builder.build().and_then(config::Config::try_deserialize::<Layer>);
    match built {
        Ok(layer) if faults.is_empty() => settle(layer, flags),
        Ok(_) => Err(ConfigFaults(faults)),
        Err(error) => {
            faults.push(Fault { place: "all layers together".to_owned(), what: one_line(&error) });
            Err(ConfigFaults(faults))
        }
    }
}

/// The files in the order in which they apply. The default file may be absent, one that was named may not.
fn files(flags: &Flags, faults: &mut Vec<Fault>) -> Vec<PathBuf> {
    let file = flags.config.clone().unwrap_or_else(os::default_config_file);
    let mut files = Vec::new();
    if flags.config.is_some() || file.exists() {
        files.push(file.clone());
    }
    let directory = file.parent().unwrap_or_else(|| Path::new(".")).join("agent.d");
    match std::fs::read_dir(&directory) {
        Ok(entries) => {
            let mut more: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
            more.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
            more.sort();
            files.extend(more);
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => faults.push(Fault {
            place: directory.display().to_string(),
            what: format!("the directory cannot be read: {error}"),
        }),
    }
    files
}

/// Holds every key of one layer against its type; alone, so that each fault is found and knows its place.
fn check(values: &config::Map<String, Value>, place: &str, spell: impl Fn(&str) -> String, faults: &mut Vec<Fault>) {
    for (key, value) in leaves("", values) {
        let Some((_, kind)) = KEYS.iter().find(|(known, _)| *known == key) else {
            let what = format!("unknown key {}", spell(&key));
            faults.push(Fault { place: place.to_owned(), what });
            continue;
        };
        if let Err(expected) = kind.check(value) {
            let what =
                format!("{} has the value {value:?}, expected is {expected}", spell(&key), value = value.to_string());
            faults.push(Fault { place: place.to_owned(), what });
        }
    }
}

fn leaves<'a>(prefix: &str, values: &'a config::Map<String, Value>) -> Vec<(String, &'a Value)> {
    let mut found = Vec::new();
    for (name, value) in values {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        if let ValueKind::Table(table) = &value.kind {
            found.extend(leaves(&key, table));
        } else {
            found.push((key, value));
        }
    }
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    found
}

enum Expected {
    Text,
    Url,
    Number(u64, u64),
    OneOf(&'static [&'static str]),
}

const KEYS: &[(&str, Expected)] = &[
    ("collector", Expected::Url),
    ("token_file", Expected::Text),
    ("state_dir", Expected::Text),
    ("look.watchlist", Expected::OneOf(&["builtin", "collector"])),
    ("look.time_limit_s", Expected::Number(1, 3600)),
    ("look.user_scope", Expected::OneOf(&["all", "watchlist", "none"])),
    ("spool.max_mib", Expected::Number(1, 1 << 20)),
    ("spool.max_age_days", Expected::Number(1, 3650)),
    ("log.level", Expected::Text),
    ("log.format", Expected::OneOf(&["auto", "text", "json"])),
];

impl Expected {
    fn check(&self, value: &Value) -> Result<(), String> {
        let text = || {
            let text = if let ValueKind::String(text) = &value.kind { text.clone() } else { String::new() };
            if text.is_empty() { Err("text".to_owned()) } else { Ok(text) }
        };
        match self {
            Self::Text => text().map(drop),
            Self::Url => collector_url(&text()?).map(drop),
            Self::OneOf(words) => {
                let text = text().unwrap_or_default();
                if words.contains(&text.as_str()) { Ok(()) } else { Err(format!("one of {}", words.join(", "))) }
            }
            Self::Number(least, most) => {
                let number = value.clone().into_uint().ok().filter(|number| (*least..=*most).contains(number));
                number.map(drop).ok_or_else(|| format!("a number from {least} to {most}"))
            }
        }
    }
}

/// Host and port of a collector's address.
///
/// # Errors
/// What the address should look like.
pub fn collector_url(text: &str) -> Result<(String, u16), String> {
    const FORM: &str = "an address such as https://muster.example.org:7443, without a path";
    let uri: http::Uri = text.parse().map_err(|_| FORM.to_owned())?;
    let path = uri.path_and_query().map_or("", |path| path.as_str());
    if uri.scheme_str() != Some("https") || !matches!(path, "" | "/") {
        return Err(FORM.to_owned());
    }
    let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| FORM.to_owned())?;
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(FORM.to_owned());
    }
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Ok((host, uri.port_u16().unwrap_or(443)))
}

fn settle(layer: Layer, flags: &Flags) -> Result<Settings, ConfigFaults> {
    if let Some(url) = &flags.collector {
        collector_url(url).map_err(|expected| {
            let what = format!("{url:?} is no collector, expected is {expected}");
            ConfigFaults(vec![Fault { place: "--collector".to_owned(), what }])
        })?;
    }
    let level = match flags.verbose {
        0 => layer.log.level.unwrap_or_else(|| "info".to_owned()),
        1 => "info,muster_agent=debug".to_owned(),
        _ => "debug,muster_agent=trace".to_owned(),
    };
    Ok(Settings {
        collector: flags.collector.clone().or(layer.collector),
        token_file: layer.token_file,
        state_dir: flags.state_dir.clone().or(layer.state_dir).unwrap_or_else(os::default_state_dir),
        watchlist: layer.look.watchlist.unwrap_or(WatchlistPolicy::Collector),
        look_time_limit: Duration::from_secs(layer.look.time_limit_s.unwrap_or(60)),
        user_scope: layer.look.user_scope.unwrap_or(UserScope::Watchlist),
        spool_bytes: layer.spool.max_mib.unwrap_or(64) * 1024 * 1024,
        spool_age: Duration::from_secs(layer.spool.max_age_days.unwrap_or(30) * 24 * 3600),
        log_level: level,
        log_format: layer.log.format.unwrap_or(LogFormat::Auto),
    })
}

fn one_line(error: &ConfigError) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
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
        let shipped = include_str!("../../deploy/config/agent.toml");
        let (_kept, flags) = directory(&[("agent.toml", shipped)]);
        let (_empty, bare) = directory(&[("agent.toml", "")]);
        // The one default that depends on who asks: the file shows root's.
        let state_dir = Some(PathBuf::from("/var/lib/muster-agent"));
        let flags = Flags { state_dir: state_dir.clone(), ..flags };
        let bare = Flags { state_dir, ..bare };
        assert_eq!(load(&flags, BTreeMap::new()).expect("valid"), load(&bare, BTreeMap::new()).expect("valid"));
        for (key, _) in KEYS {
            let name = key.rsplit('.').next().unwrap_or(key);
            let is_there = |line: &str| line.trim_start_matches("# ").starts_with(&format!("{name} = "));
            assert!(shipped.lines().any(is_there), "{key} is missing in deploy/config/agent.toml");
        }
    }

    #[test]
    fn a_later_layer_wins_over_an_earlier_one() {
        let (_dir, mut flags) = directory(&[
            (
                "agent.toml",
                "collector = \"https://one:1\"\nstate_dir = \"/a\"\n[spool]\nmax_mib = 1\nmax_age_days = 2\n",
            ),
            ("agent.d/10.toml", "[spool]\nmax_mib = 3\n"),
            ("agent.d/20.toml", "[look]\nwatchlist = \"builtin\"\n"),
            ("agent.d/not-read.txt", "nonsense"),
        ]);
        flags.state_dir = Some("/b".into());
        let variables = environment(&[
            ("MUSTER_AGENT__SPOOL__MAX_AGE_DAYS", "5"),
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
            ("agent.d/10.toml", "[look\n"),
            ("agent.d/20.toml", "collector = \"http://plain\"\n[log]\nformat = \"xml\"\n"),
        ]);
        let variables = environment(&[("MUSTER_AGENT__LOK__TIME", "5"), ("MUSTER_AGENT__LOOK__TIME_LIMIT_S", "soon")]);
        let faults = load(&flags, variables).expect_err("faults");
        let text = faults.to_string();
        for part in [
            "has 7 faults",
            "agent.toml: unknown key colector",
            "agent.toml: spool.max_mib has the value \"0\"",
            "10.toml: ",
            "20.toml: collector has the value \"http://plain\"",
            "20.toml: log.format has the value \"xml\", expected is one of auto, text, json",
            "environment: unknown key MUSTER_AGENT__LOK__TIME",
            "environment: MUSTER_AGENT__LOOK__TIME_LIMIT_S has the value \"soon\"",
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
        assert_eq!(collector_url("https://muster.example.org/"), Ok(("muster.example.org".to_owned(), 443)));
        for bad in ["muster:7443", "http://muster", "https://muster/path", "https://user@muster", "https://"] {
            assert!(collector_url(bad).is_err(), "{bad}");
        }
    }
}
