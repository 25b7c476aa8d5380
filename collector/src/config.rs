//! Typed settings in layers: defaults < file < `collector.d/*.toml` < environment < command line. All faults are reported
//! at once.
//!
//! `Keys` has the settings as written, with their defaults; [`Settings`] has them as used. Secrets are files, never
//! settings.

mod flags;
mod span;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use muster_proto::model::{OrderId, Pace};

pub use flags::Flags;
pub use muster_proto::settings::{ConfigFault, ConfigFaults};
pub use span::format_span;

use muster_proto::settings::Layers;

/// The file that is read when `--config` names none.
pub const DEFAULT_FILE: &str = "/etc/muster/collector.toml";
/// What the names of environment variables begin with: `MUSTER_COLLECTOR__AGENTS__LISTEN`.
pub const ENVIRONMENT_PREFIX: &str = "MUSTER_COLLECTOR";

/// The settings as used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `data_dir`: database, CA, certificates, tokens; owner-only.
    pub data_dir: PathBuf,
    /// `[store]`: where everything is kept.
    pub store: StoreAddress,
    /// `[agents]`: the agents' port.
    pub agents: Agents,
    /// `[operators]`: the operators' port.
    pub operators: Operators,
    /// `[probes]`: health and metrics.
    pub probes: Probes,
    /// `[rules]`: catalogue and orders.
    pub rules: Rules,
    /// `[pace]`: when agents come back.
    pub pace: Pace,
    /// `drain.deadline`: how long open calls may take after a stop.
    pub drain: Duration,
    /// `[log]`: what is written to standard error.
    pub log: Log,
}

/// Where the store is, as `store::connect` wants it. It may hold a password, so it is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreAddress(String);

impl StoreAddress {
    /// The address itself.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.0
    }

    /// The file of an embedded store; `None` when it is a server.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        let path = self.0.strip_prefix("sqlite://").or_else(|| self.0.strip_prefix("sqlite:")).unwrap_or(&self.0);
        // Every other scheme belongs to a database server.
        (!path.contains("://")).then(|| Path::new(path))
    }
}

impl std::fmt::Debug for StoreAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.file() {
            Some(file) => write!(f, "StoreAddress({})", file.display()),
            None => f.write_str("StoreAddress(…)"),
        }
    }
}

/// The agents' port.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Agents {
    /// `agents.listen`.
    pub listen: SocketAddr,
    /// `agents.public_names`: names and addresses under which agents and operators reach this collector.
    #[serde(deserialize_with = "list")]
    pub public_names: Vec<String>,
    /// `agents.connections`: open connections at once.
    pub connections: usize,
    /// `agents.handshakes`: TLS handshakes at once; they are what costs processor time.
    pub handshakes: usize,
    /// `agents.handshake_timeout`: a peer that has not finished its handshake by then is dropped.
    #[serde(with = "humantime_serde")]
    pub handshake_timeout: Duration,
}

/// The operators' port.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Operators {
    /// `operators.listen`.
    pub listen: SocketAddr,
    /// `operators.connections`.
    pub connections: usize,
}

/// Health and metrics: plain HTTP, so on loopback by default.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Probes {
    /// `probes.listen`.
    pub listen: SocketAddr,
}

/// Catalogue and orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// `rules.overlay`: a directory of files over the embedded ones.
    pub overlay: Option<PathBuf>,
    /// `rules.active_orders`: when not empty, exactly these are judged; `all` is every one.
    pub active_orders: ActiveOrders,
    /// `rules.poll`: how often the overlay is looked at for changes.
    pub poll: Duration,
}

/// Which orders are judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActiveOrders {
    /// As the files of the orders say.
    AsWritten,
    /// Every order.
    All,
    /// These.
    Only(Vec<OrderId>),
}

/// What is written to standard error.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `log.filter`: `info`, or `muster_collector=debug,info`.
    pub filter: String,
    /// `log.format`: `auto` is text on a terminal and JSON otherwise.
    pub format: LogFormat,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// Text.
    Text,
    /// JSON, one object a line.
    Json,
}

/// The settings as written in files and variables, with their defaults. The only list of keys.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Keys {
    data_dir: PathBuf,
    store: StoreKeys,
    agents: Agents,
    operators: Operators,
    probes: Probes,
    rules: RulesKeys,
    pace: PaceKeys,
    drain: DrainKeys,
    log: Log,
}

#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct StoreKeys {
    url: String,
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RulesKeys {
    overlay: PathBuf,
    #[serde(deserialize_with = "list")]
    active_orders: Vec<String>,
    #[serde(with = "humantime_serde")]
    poll: Duration,
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PaceKeys {
    #[serde(with = "humantime_serde")]
    next: Duration,
    #[serde(with = "humantime_serde")]
    jitter: Duration,
    byte_budget: u64,
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct DrainKeys {
    #[serde(with = "humantime_serde")]
    deadline: Duration,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("/var/lib/muster"),
            store: StoreKeys::default(),
            agents: Agents::default(),
            operators: Operators::default(),
            probes: Probes::default(),
            rules: RulesKeys::default(),
            pace: PaceKeys::default(),
            drain: DrainKeys::default(),
            log: Log::default(),
        }
    }
}

impl Default for Agents {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([0, 0, 0, 0], 7443)),
            public_names: Vec::new(),
            connections: 20_000,
            handshakes: 256,
            handshake_timeout: Duration::from_secs(10),
        }
    }
}

impl Default for Operators {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 7444)), connections: 256 }
    }
}

impl Default for Probes {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 7480)) }
    }
}

impl Default for RulesKeys {
    fn default() -> Self {
        Self { overlay: PathBuf::new(), active_orders: Vec::new(), poll: Duration::from_secs(10) }
    }
}

impl Default for PaceKeys {
    fn default() -> Self {
        Self { next: Duration::from_secs(300), jitter: Duration::from_secs(60), byte_budget: 0 }
    }
}

impl Default for DrainKeys {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(20) }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Auto }
    }
}

/// A list; in an environment variable, one string with commas.
fn list<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(serde::Deserialize)]
    #[serde(untagged, expecting = "expected a list of strings")]
    enum List {
        Items(Vec<String>),
        Text(String),
    }
    Ok(match serde::Deserialize::deserialize(deserializer)? {
        List::Items(items) => items,
        List::Text(text) => text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect(),
    })
}

impl Settings {
    /// Reads all layers. `environment` is the process' environment, given so that it can be another one.
    ///
    /// # Errors
    /// All faults of all layers, each with its place.
    pub fn load(flags: &Flags, environment: Vec<(String, String)>) -> Result<Self, ConfigFaults> {
        let mut layers = Layers::<Keys>::new();
        let file = flags.config.as_deref();
        layers.files(file.unwrap_or_else(|| Path::new(DEFAULT_FILE)), file.is_some());
        layers.environment(ENVIRONMENT_PREFIX, environment);
        for (key, value) in flags.settings() {
            layers.set("the command line", key, value);
        }
        // Settle even after faults, so that values outside their limits are reported in the same run.
        let settings = settle(layers.merged(), &mut layers);
        layers.finish().map(|()| settings)
    }

    /// A file of the data directory.
    #[must_use]
    pub fn file(&self, name: impl AsRef<Path>) -> PathBuf {
        self.data_dir.join(name)
    }
}

/// Checks limits and turns the settings as written into the settings as used.
fn settle(keys: Keys, layers: &mut Layers<Keys>) -> Settings {
    let (second, day) = (Duration::from_secs(1), Duration::from_secs(86_400));
    let span = |span: &Duration| format_span(*span);
    let (agents, rules, pace, drain) = (&keys.agents, &keys.rules, &keys.pace, &keys.drain);
    layers.limit("agents.connections", &agents.connections, (1, 1_000_000), usize::to_string);
    layers.limit("agents.handshakes", &agents.handshakes, (1, 65_536), usize::to_string);
    layers.limit("agents.handshake_timeout", &agents.handshake_timeout, (second / 10, second * 300), span);
    layers.limit("operators.connections", &keys.operators.connections, (1, 1_000_000), usize::to_string);
    layers.limit("rules.poll", &rules.poll, (second / 10, day), span);
    layers.limit("pace.next", &pace.next, (second, day * 7), span);
    layers.limit("pace.jitter", &pace.jitter, (Duration::ZERO, day), span);
    layers.limit("drain.deadline", &drain.deadline, (Duration::ZERO, second * 3600), span);
    for name in agents.public_names.iter().filter(|name| !is_public_name(name)) {
        layers.fault("agents.public_names", format!("{name:?} is not a host name or an address; omit scheme and port"));
    }
    if keys.data_dir.as_os_str().is_empty() {
        layers.fault("data_dir", "is empty; name a directory");
    }
    // Only `serve` starts the log; checked here, a bad filter is a fault in every verb.
    if let Err(error) = tracing_subscriber::EnvFilter::try_new(&keys.log.filter) {
        layers.fault("log.filter", format!("{:?} is not a filter: {error}", keys.log.filter));
    }
    Settings {
        store: store_address(&keys, layers),
        rules: Rules {
            overlay: Some(keys.rules.overlay).filter(|path| !path.as_os_str().is_empty()),
            active_orders: active_orders(&keys.rules.active_orders, layers),
            poll: keys.rules.poll,
        },
        data_dir: keys.data_dir,
        agents: keys.agents,
        operators: keys.operators,
        probes: keys.probes,
        pace: Pace { next: keys.pace.next, jitter: keys.pace.jitter, byte_budget: keys.pace.byte_budget },
        drain: keys.drain.deadline,
        log: keys.log,
    }
}

/// An empty address means the file in the data directory.
fn store_address(keys: &Keys, layers: &mut Layers<Keys>) -> StoreAddress {
    let url = &keys.store.url;
    if let Some((scheme, _)) = url.split_once("://")
        && !["sqlite", "postgres", "postgresql"].contains(&scheme)
    {
        // The scheme only: the rest of the address may hold a password.
        layers.fault("store.url", format!("unknown scheme {scheme:?}; use sqlite or postgres"));
    }
    StoreAddress(if url.is_empty() { keys.data_dir.join("muster.db").display().to_string() } else { url.clone() })
}

fn active_orders(names: &[String], layers: &mut Layers<Keys>) -> ActiveOrders {
    if names.is_empty() {
        return ActiveOrders::AsWritten;
    }
    if names.iter().any(|name| name == "all") {
        return ActiveOrders::All;
    }
    let mut ids = Vec::new();
    for name in names {
        match OrderId::new(name.as_str()) {
            Ok(id) => ids.push(id),
            Err(error) => layers.fault("rules.active_orders", error.to_string()),
        }
    }
    ActiveOrders::Only(ids)
}

fn is_public_name(name: &str) -> bool {
    if name.parse::<std::net::IpAddr>().is_ok() {
        return true;
    }
    // RFC 1035: a label has at most 63 bytes, and a name without its final dot at most 253.
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    name.len() <= 253 && name.split('.').all(label)
}

#[cfg(test)]
mod tests;
