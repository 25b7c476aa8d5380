//! Typed settings, in layers: defaults < file < `agent.d/*.toml` < environment < flags. All faults are reported at once.
//!
//! As typed (`Layer`, every key may be absent) and as used ([`Settings`], every key has a value) are two structs.
//! A broken setting stops the agent: half a configuration could send to the wrong place.

mod proxy;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::{ConfigError, Environment, File, FileFormat, Source, Value, ValueKind};
use muster_proto::model::UserScope;

pub use proxy::Proxy;
use proxy::ProxyLayer;

use crate::os;

/// Where a collector listens for agents unless its settings say otherwise.
const AGENTS_PORT: u16 = 7443;

const ENVIRONMENT_PREFIX: &str = "MUSTER_AGENT";

/// The settings in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `collector`: where the collector listens, `https://host:port`. After enrollment the enrolled one, unless set.
    pub collector: Option<String>,
    /// `token_file`: a file with an enrollment token, for machines that enroll by themselves.
    pub token_file: Option<PathBuf>,
    /// `state_dir`: key, identity and spool; owner-only.
    pub state_dir: PathBuf,
    /// `scan.watchlist`: whose watchlist is used.
    pub watchlist: WatchlistPolicy,
    /// `scan.time_limit_s`: how long one source may take.
    pub scan_time_limit: Duration,
    /// `scan.user_scope`: how much is reported about what people have in their homes.
    pub user_scope: UserScope,
    /// `proxy.url` and what belongs to it, or the environment's proxy.
    pub proxy: Option<Proxy>,
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
pub struct ConfigFault {
    /// File or variable.
    pub place: String,
    /// What is wrong.
    pub what: String,
}

/// Every fault that was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigFaults(pub Vec<ConfigFault>);

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
    scan: ScanLayer,
    proxy: ProxyLayer,
    spool: SpoolLayer,
    log: LogLayer,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ScanLayer {
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
    let others = environment.clone();
    let mut builder = config::Config::builder();
    for path in files(flags, &mut faults) {
        let place = path.display().to_string();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => {
                faults.push(ConfigFault { place, what: format!("it cannot be read: {error}") });
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
            Err(error) => faults.push(ConfigFault { place, what: one_line(&error) }),
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
        Err(error) => faults.push(ConfigFault { place: "environment".to_owned(), what: one_line(&error) }),
    }
    let built = builder.build().and_then(config::Config::try_deserialize::<Layer>);
    match built {
        Ok(layer) if faults.is_empty() => settle(layer, flags, &others),
        Ok(_) => Err(ConfigFaults(faults)),
        Err(error) => {
            faults.push(ConfigFault { place: "all layers together".to_owned(), what: one_line(&error) });
            Err(ConfigFaults(faults))
        }
    }
}

/// The files in the order in which they apply. The default file may be absent, one that was named may not.
fn files(flags: &Flags, faults: &mut Vec<ConfigFault>) -> Vec<PathBuf> {
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
        Err(error) => faults.push(ConfigFault {
            place: directory.display().to_string(),
            what: format!("the directory cannot be read: {error}"),
        }),
    }
    files
}

/// Holds every key of one layer against its type; alone, so that each fault is found and knows its place.
fn check(
    values: &config::Map<String, Value>,
    place: &str,
    spell: impl Fn(&str) -> String,
    faults: &mut Vec<ConfigFault>,
) {
    for (key, value) in leaves("", values) {
        let Some((_, kind)) = KEYS.iter().find(|(known, _)| *known == key) else {
            let what = format!("unknown key {}", spell(&key));
            faults.push(ConfigFault { place: place.to_owned(), what });
            continue;
        };
        if let Err(expected) = kind.check(value) {
            // A proxy's address may have a password in it that does not belong there.
            let value = if matches!(kind, Expected::Proxy) { "…".to_owned() } else { value.to_string() };
            let what = format!("{} has the value {value:?}, expected is {expected}", spell(&key));
            faults.push(ConfigFault { place: place.to_owned(), what });
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
    Proxy,
    Number(u64, u64),
    OneOf(&'static [&'static str]),
}

const KEYS: &[(&str, Expected)] = &[
    ("collector", Expected::Url),
    ("token_file", Expected::Text),
    ("state_dir", Expected::Text),
    ("scan.watchlist", Expected::OneOf(&["builtin", "collector"])),
    ("scan.time_limit_s", Expected::Number(1, 3600)),
    ("scan.user_scope", Expected::OneOf(&["all", "watchlist", "none"])),
    ("proxy.url", Expected::Proxy),
    ("proxy.no_proxy", Expected::Text),
    ("proxy.credentials_file", Expected::Text),
    ("proxy.ca_file", Expected::Text),
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
            Self::Proxy => proxy::check(&text()?),
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

/// Host and port of a collector's address; without a port the one that a collector has by default.
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
    Ok((host, uri.port_u16().unwrap_or(AGENTS_PORT)))
}

fn settle(layer: Layer, flags: &Flags, environment: &BTreeMap<String, String>) -> Result<Settings, ConfigFaults> {
    if let Some(url) = &flags.collector {
        collector_url(url).map_err(|expected| {
            let what = format!("{url:?} is no collector, expected is {expected}");
            ConfigFaults(vec![ConfigFault { place: "--collector".to_owned(), what }])
        })?;
    }
    let proxy = proxy::settle(layer.proxy, environment).map_err(|(place, expected)| {
        ConfigFaults(vec![ConfigFault {
            place: place.to_owned(),
            what: format!("it is no proxy, expected is {expected}"),
        }])
    })?;
    let level = match flags.verbose {
        0 => layer.log.level.unwrap_or_else(|| "info".to_owned()),
        1 => "info,muster_agent=debug".to_owned(),
        _ => "debug,muster_agent=trace".to_owned(),
    };
    Ok(Settings {
        collector: flags.collector.clone().or(layer.collector),
        token_file: layer.token_file,
        state_dir: flags.state_dir.clone().or(layer.state_dir).unwrap_or_else(os::default_state_dir),
        watchlist: layer.scan.watchlist.unwrap_or(WatchlistPolicy::Collector),
        scan_time_limit: Duration::from_secs(layer.scan.time_limit_s.unwrap_or(60)),
        user_scope: layer.scan.user_scope.unwrap_or(UserScope::Watchlist),
        proxy,
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
mod tests;
