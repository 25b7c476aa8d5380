//! `[rules]`: catalogue and orders.

use std::path::PathBuf;
use std::time::Duration;

use muster_proto::limits;
use muster_proto::model::OrderId;
use muster_proto::settings::Layers;

use super::list::list;
use super::span::format_span;

/// Catalogue and orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// `rules.overlay`: a directory of files over the embedded ones.
    pub overlay: Option<PathBuf>,
    /// `rules.active_orders`: when not empty, exactly these are judged; `all` is every one.
    pub active_orders: ActiveOrders,
    /// `rules.poll`: how often the overlay is looked at for changes.
    pub poll: Duration,
    /// `rules.file_bytes`: bytes of one file of the overlay.
    pub file_bytes: u64,
    /// `rules.files`: entries of all folders of the overlay.
    pub files: usize,
    /// `rules.read_deadline`: how long reading the overlay may take.
    pub read_deadline: Duration,
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

#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RulesKeys {
    overlay: PathBuf,
    #[serde(deserialize_with = "list")]
    active_orders: Vec<String>,
    #[serde(with = "humantime_serde")]
    poll: Duration,
    file_bytes: u64,
    files: usize,
    #[serde(with = "humantime_serde")]
    read_deadline: Duration,
}

impl Default for RulesKeys {
    fn default() -> Self {
        Self {
            overlay: PathBuf::new(),
            active_orders: Vec::new(),
            poll: Duration::from_secs(10),
            // `muster catalogue check` has no settings and uses the same values, so they are in the contract.
            file_bytes: limits::RULE_FILE_BYTES,
            files: limits::RULE_FILES,
            read_deadline: Duration::from_millis(limits::RULES_READ_MS),
        }
    }
}

impl RulesKeys {
    pub(super) fn settle<K>(self, layers: &mut Layers<K>) -> Rules {
        let (shortest, longest) = (Duration::from_millis(100), Duration::from_secs(86_400));
        layers.limit("rules.poll", &self.poll, (shortest, longest), |span| format_span(*span));
        layers.limit("rules.file_bytes", &self.file_bytes, (1024, 16 << 20), u64::to_string);
        layers.limit("rules.files", &self.files, (1, 100_000), usize::to_string);
        layers.limit("rules.read_deadline", &self.read_deadline, (shortest, longest / 24), |span| format_span(*span));
        Rules {
            overlay: Some(self.overlay).filter(|path| !path.as_os_str().is_empty()),
            active_orders: active_orders(&self.active_orders, layers),
            poll: self.poll,
            file_bytes: self.file_bytes,
            files: self.files,
            read_deadline: self.read_deadline,
        }
    }
}

fn active_orders<K>(names: &[String], layers: &mut Layers<K>) -> ActiveOrders {
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
