//! Settings, layered: defaults < file < directory < environment < flags; every fault is reported at once.
//!
//! What is written (texts of files and variables) is read by `read`; what is used is [`Settings`]. A key that nobody
//! reads is a fault, so a misspelt one cannot be ignored. Secrets are never settings: they are files.

mod layers;
mod read;
mod span;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use muster_proto::model::{OrderId, Pace};

pub use layers::{Flags, Layers};
pub use read::{ConfigFault, ConfigFaults};
pub use span::{InvalidSpan, format_span, parse_span};

use read::Reader;

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agents {
    /// `agents.listen`.
    pub listen: SocketAddr,
    /// `agents.public_names`: names and addresses under which agents and operators reach this collector.
    pub public_names: Vec<String>,
    /// `agents.connections`: open connections at once.
    pub connections: usize,
    /// `agents.handshakes`: TLS handshakes at once; they are what costs processor time.
    pub handshakes: usize,
    /// `agents.handshake_timeout`: a peer that has not finished its handshake by then is dropped.
    pub handshake_timeout: Duration,
}

/// The operators' port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operators {
    /// `operators.listen`.
    pub listen: SocketAddr,
    /// `operators.connections`.
    pub connections: usize,
}

/// Health and metrics: plain HTTP, so on loopback by default.
#[derive(Debug, Clone, PartialEq, Eq)]
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// `log.filter`: `info`, or `muster_collector=debug,info`.
    pub filter: String,
    /// `log.format`: `auto` is text on a terminal and JSON otherwise.
    pub format: LogFormat,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// Text.
    Text,
    /// JSON, one object a line.
    Json,
}

/// The defaults, as a file would say them: what `deploy/config/collector.toml` explains key by key.
pub const DEFAULTS: &str = r#"
data_dir = "/var/lib/muster"
[store]
url = ""
[agents]
listen = "0.0.0.0:7443"
public_names = []
connections = 20000
handshakes = 256
handshake_timeout = "10s"
[operators]
listen = "127.0.0.1:7444"
connections = 256
[probes]
listen = "127.0.0.1:7480"
[rules]
overlay = ""
active_orders = []
poll = "10s"
[pace]
next = "5m"
jitter = "1m"
byte_budget = 0
[drain]
deadline = "20s"
[log]
filter = "info"
format = "auto"
"#;

impl Settings {
    /// Reads all layers.
    ///
    /// # Errors
    /// Everything that is wrong in any of them, each with where it stands.
    pub fn load(layers: &Layers) -> Result<Self, ConfigFaults> {
        let mut faults = Vec::new();
        let merged = layers.merge(&mut faults);
        let mut reader = Reader::new(merged, faults);
        let settings = read_settings(&mut reader);
        let faults = reader.finish();
        match settings {
            Some(settings) if faults.0.is_empty() => Ok(settings),
            _ => Err(faults),
        }
    }

    /// A file of the data directory.
    #[must_use]
    pub fn file(&self, name: impl AsRef<Path>) -> PathBuf {
        self.data_dir.join(name)
    }
}

fn read_settings(reader: &mut Reader) -> Option<Settings> {
    // Everything is read before anything is given up, so that all faults are seen.
    let data_dir = reader.path("data_dir");
    let url = reader.text("store.url");
    let agents = read_agents(reader);
    let operators_listen = reader.address("operators.listen");
    let operators_connections = reader.count("operators.connections", 1, 1_000_000);
    let probes_listen = reader.address("probes.listen");
    let rules = read_rules(reader);
    let pace = read_pace(reader);
    let drain = reader.span("drain.deadline", Duration::ZERO, Duration::from_secs(3600));
    let log = read_log(reader);
    let data_dir = match data_dir {
        Some(Some(path)) => Some(path),
        Some(None) => {
            reader.fault("data_dir", "it is empty: name a directory");
            None
        }
        None => None,
    };
    let store = read_store(reader, url, data_dir.as_deref());
    Some(Settings {
        data_dir: data_dir?,
        store: store?,
        agents: agents?,
        operators: Operators { listen: operators_listen?, connections: operators_connections? },
        probes: Probes { listen: probes_listen? },
        rules: rules?,
        pace: pace?,
        drain: drain?,
        log: log?,
    })
}

/// Empty is the file in the data directory.
fn read_store(reader: &mut Reader, url: Option<String>, data_dir: Option<&Path>) -> Option<StoreAddress> {
    let url = url?;
    if let Some((scheme, _)) = url.split_once("://")
        && !["sqlite", "postgres", "postgresql"].contains(&scheme)
    {
        reader.fault("store.url", &format!("{scheme:?} is none of sqlite, postgres"));
        return None;
    }
    Some(StoreAddress(if url.is_empty() { data_dir?.join("muster.db").display().to_string() } else { url }))
}

fn read_agents(reader: &mut Reader) -> Option<Agents> {
    let listen = reader.address("agents.listen");
    let public_names = reader.list("agents.public_names");
    let connections = reader.count("agents.connections", 1, 1_000_000);
    let handshakes = reader.count("agents.handshakes", 1, 65_536);
    let timeout = reader.span("agents.handshake_timeout", Duration::from_millis(100), Duration::from_secs(300));
    let public_names = public_names?;
    for name in &public_names {
        if !is_public_name(name) {
            reader.fault(
                "agents.public_names",
                &format!("{name:?} is neither a host name nor an address (no port, no scheme)"),
            );
        }
    }
    Some(Agents {
        listen: listen?,
        public_names,
        connections: connections?,
        handshakes: handshakes?,
        handshake_timeout: timeout?,
    })
}

fn read_rules(reader: &mut Reader) -> Option<Rules> {
    let overlay = reader.path("rules.overlay");
    let active = reader.list("rules.active_orders");
    let poll = reader.span("rules.poll", Duration::from_millis(100), Duration::from_secs(86_400));
    let active_orders = active.map(|names| read_active(reader, &names));
    Some(Rules { overlay: overlay?, active_orders: active_orders?, poll: poll? })
}

fn read_active(reader: &mut Reader, names: &[String]) -> ActiveOrders {
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
            Err(error) => reader.fault("rules.active_orders", &error.to_string()),
        }
    }
    ActiveOrders::Only(ids)
}

fn read_pace(reader: &mut Reader) -> Option<Pace> {
    let day = Duration::from_secs(86_400);
    let next = reader.span("pace.next", Duration::from_secs(1), day * 7);
    let jitter = reader.span("pace.jitter", Duration::ZERO, day);
    let byte_budget = reader.count("pace.byte_budget", 0, usize::MAX);
    let byte_budget = u64::try_from(byte_budget?).unwrap_or(u64::MAX);
    Some(Pace { next: next?, jitter: jitter?, byte_budget })
}

fn read_log(reader: &mut Reader) -> Option<Log> {
    let filter = reader.text("log.filter");
    let format = reader.text("log.format");
    if let Some(filter) = &filter
        && let Err(error) = tracing_subscriber::EnvFilter::try_new(filter)
    {
        reader.fault("log.filter", &format!("{filter:?} is not a filter: {error}"));
    }
    let format = match format?.as_str() {
        "auto" => LogFormat::Auto,
        "text" => LogFormat::Text,
        "json" => LogFormat::Json,
        other => {
            reader.fault("log.format", &format!("{other:?} is none of auto, text, json"));
            return None;
        }
    };
    Some(Log { filter: filter?, format })
}

fn is_public_name(name: &str) -> bool {
    if name.parse::<std::net::IpAddr>().is_ok() {
        return true;
    }
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
