//! Typed settings, in layers: defaults < file < `agent.d/*.toml` < environment < flags. All faults are reported at once.
//!
//! `Keys` has the settings as written, with their defaults; [`Settings`] has them as used.
//! A broken setting stops the agent: half a configuration could send to the wrong place.

mod edit;
mod proxy;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use muster_proto::model::{IdentityScope, UserScope};

pub use edit::{EditError, with_collector};
pub use muster_proto::settings::{ConfigFault, ConfigFaults, LogFormat};
pub use proxy::Proxy;

use muster_proto::settings::Layers;
use proxy::ProxyKeys;

use crate::os;
use crate::os::access::{self, AccessError};

/// Where a collector listens for agents unless its settings say otherwise.
const AGENTS_PORT: u16 = 7443;

const DAY: Duration = Duration::from_secs(86_400);

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
    /// `scan.time_limit`: how long one source may take.
    pub scan_time_limit: Duration,
    /// `scan.user_scope`: how much is reported about what people have in their homes.
    pub user_scope: UserScope,
    /// `scan.identity`: how much is reported about the hardware and the names of the machine.
    pub identity: IdentityScope,
    /// `proxy.url` and what belongs to it, or the environment's proxy.
    pub proxy: Option<Proxy>,
    /// `spool.max_mib`: how much may wait for the collector.
    pub spool_bytes: u64,
    /// `spool.max_age`: how long it may wait.
    pub spool_age: Duration,
    /// `log.level` or `-v`: a filter such as `info` or `muster_agent=debug`. `None` when neither is given: the service then
    /// logs from `info`, and the other commands from `warn`.
    pub log_level: Option<String>,
    /// `log.format`.
    pub log_format: LogFormat,
}

/// Whose watchlist the agent uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WatchlistPolicy {
    /// The one that it was built with, whatever a collector sends.
    Builtin,
    /// The collector's, within the agent's own bounds.
    Collector,
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

/// The settings as written in files and variables, with their defaults. The only list of keys.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Keys {
    collector: Option<String>,
    token_file: Option<PathBuf>,
    state_dir: Option<PathBuf>,
    scan: ScanKeys,
    proxy: ProxyKeys,
    spool: SpoolKeys,
    log: LogKeys,
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ScanKeys {
    watchlist: WatchlistPolicy,
    #[serde(with = "humantime_serde")]
    time_limit: Duration,
    user_scope: UserScope,
    identity: IdentityScope,
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SpoolKeys {
    max_mib: u64,
    #[serde(with = "humantime_serde")]
    max_age: Duration,
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LogKeys {
    level: Option<String>,
    format: LogFormat,
}

impl Default for Keys {
    fn default() -> Self {
        let (scan, spool, log) = (ScanKeys::default(), SpoolKeys::default(), LogKeys::default());
        Self { collector: None, token_file: None, state_dir: None, scan, proxy: ProxyKeys::default(), spool, log }
    }
}

impl Default for ScanKeys {
    fn default() -> Self {
        let time_limit = Duration::from_secs(60);
        let (user_scope, identity) = (UserScope::Watchlist, IdentityScope::Full);
        Self { watchlist: WatchlistPolicy::Collector, time_limit, user_scope, identity }
    }
}

impl Default for SpoolKeys {
    fn default() -> Self {
        Self { max_mib: 64, max_age: 30 * DAY }
    }
}

impl Default for LogKeys {
    fn default() -> Self {
        Self { level: None, format: LogFormat::Auto }
    }
}

/// Why settings are not used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// They have faults.
    #[error(transparent)]
    Faults(#[from] ConfigFaults),
    /// Others can change them.
    #[error("the settings are not safe")]
    Access(#[from] AccessError),
}

impl SettingsError {
    /// What to do, where the error does not say it.
    #[must_use]
    pub fn advice(&self) -> Option<String> {
        match self {
            Self::Access(error) => error.advice(),
            Self::Faults(_) => None,
        }
    }
}

/// As [`load`], but only settings that nobody but an administrator can change, for what acts with the rights of one.
///
/// # Errors
/// As [`load`]; also others can change a settings file or its folder (Windows).
pub fn load_safe(flags: &Flags, environment: BTreeMap<String, String>) -> Result<Settings, SettingsError> {
    let file = flags.config.clone().unwrap_or_else(os::default_config_file);
    access::check_settings(&file)?;
    let settings = load(flags, environment)?;
    // Somebody may have made the folder in between.
    access::check_settings(&file)?;
    Ok(settings)
}

/// Reads all layers. `environment` is the process' environment, given so that it can be another one.
///
/// # Errors
/// All faults of all layers, each with its file or `the environment`.
pub fn load(flags: &Flags, environment: BTreeMap<String, String>) -> Result<Settings, ConfigFaults> {
    let mut layers = Layers::<Keys>::new();
    layers.files(&flags.config.clone().unwrap_or_else(os::default_config_file), flags.config.is_some());
    layers.environment(ENVIRONMENT_PREFIX, environment.clone());
    let given = [("collector", flags.collector.clone()), ("state_dir", flags.state_dir.as_deref().map(text_of))];
    for (key, value) in given {
        if let Some(value) = value {
            layers.set("the command line", key, value.into());
        }
    }
    let keys = layers.merged();
    let settings = settle(keys, flags, &environment, &mut layers);
    layers.finish().map(|()| settings)
}

fn text_of(path: &Path) -> String {
    path.to_string_lossy().into_owned()
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

fn settle(keys: Keys, flags: &Flags, environment: &BTreeMap<String, String>, layers: &mut Layers<Keys>) -> Settings {
    if let Some(Err(expected)) = keys.collector.as_deref().map(collector_url) {
        layers.fault("collector", format!("expected {expected}"));
    }
    // A proxy's address may have a password in it, so it is not repeated.
    if let Some(Err(expected)) = keys.proxy.url.as_deref().map(proxy::check) {
        layers.fault("proxy.url", format!("expected {expected}"));
    }
    let span = |span: &Duration| humantime::format_duration(*span).to_string();
    layers.limit("scan.time_limit", &keys.scan.time_limit, (Duration::from_secs(1), Duration::from_secs(3600)), span);
    layers.limit("spool.max_mib", &keys.spool.max_mib, (1, 1 << 20), u64::to_string);
    layers.limit("spool.max_age", &keys.spool.max_age, (DAY, 3650 * DAY), span);
    layers.not_empty("state_dir", keys.state_dir.as_deref());
    layers.not_empty("token_file", keys.token_file.as_deref());
    for (key, path) in keys.proxy.files() {
        layers.not_empty(key, path);
    }
    if keys.log.level.as_deref() == Some("") {
        layers.fault("log.level", "is empty; remove the key or name a level");
    }
    let proxy = proxy::settle(keys.proxy, environment, os::machine_proxy).unwrap_or_else(|(origin, expected)| {
        let reason = format!("expected {expected}");
        if origin == "proxy.url" {
            layers.fault(origin, reason);
        } else if origin == proxy::OF_MACHINE {
            layers.fault_at("the machine's settings (WinHTTP)", origin, reason);
        } else {
            layers.fault_at("the environment", origin, reason);
        }
        None
    });
    let log_level = match flags.verbose {
        0 => keys.log.level,
        1 => Some("info,muster_agent=debug".to_owned()),
        _ => Some("debug,muster_agent=trace".to_owned()),
    };
    Settings {
        collector: keys.collector,
        token_file: keys.token_file,
        state_dir: flags.state_dir.clone().or(keys.state_dir).unwrap_or_else(os::default_state_dir),
        watchlist: keys.scan.watchlist,
        scan_time_limit: keys.scan.time_limit,
        user_scope: keys.scan.user_scope,
        identity: keys.scan.identity,
        proxy,
        spool_bytes: keys.spool.max_mib.saturating_mul(1 << 20),
        spool_age: keys.spool.max_age,
        log_level,
        log_format: keys.log.format,
    }
}

#[cfg(test)]
mod tests;
