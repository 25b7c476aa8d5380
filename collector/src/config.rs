//! Typed settings in layers: defaults < file < `collector.d/*.toml` < environment < command line. All faults are reported
//! at once.
//!
//! Each table of the file has its own file in `config/`, with its keys, their defaults and their bounds. `Keys` has the
//! settings as written; [`Settings`] has them as used. Secrets are files, never settings.

mod agents;
mod budgets;
mod drain;
mod editions;
mod enrollment;
mod flags;
mod limits;
mod list;
mod listeners;
mod log;
mod network;
mod oidc;
mod operators;
mod pace;
mod probes;
mod public_url;
mod retention;
mod rules;
mod searches;
mod span;
mod store;
mod uploads;
mod waivers;
mod web;

use std::path::{Path, PathBuf};
use std::time::Duration;

use muster_proto::model::Pace;

pub use agents::Agents;
pub use budgets::Budgets;
pub use editions::Editions;
pub use enrollment::Enrollment;
pub use flags::Flags;
pub use limits::SettingValue;
pub use listeners::Listeners;
pub use log::Log;
pub use muster_proto::settings::{ConfigFault, ConfigFaults};
pub use network::Network;
pub use oidc::Oidc;
pub use operators::Operators;
pub use probes::Probes;
pub use public_url::PublicUrl;
pub use retention::Retention;
pub use rules::{ActiveOrders, Rules};
pub use searches::Searches;
pub use span::format_span;
pub use store::{StoreAddress, StoreCheck};
pub use uploads::Uploads;
pub use waivers::Waivers;
pub use web::Web;

use drain::DrainKeys;
use muster_proto::settings::Layers;
use oidc::OidcKeys;
use pace::PaceKeys;
use rules::RulesKeys;
use store::StoreKeys;

/// The file that is read when `--config` names none.
pub const DEFAULT_FILE: &str = "/etc/muster/collector.toml";
/// What the names of environment variables begin with: `MUSTER_COLLECTOR__AGENTS__LISTEN`.
pub const ENVIRONMENT_PREFIX: &str = "MUSTER_COLLECTOR";

/// The settings as used.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// `data_dir`: database, CA, certificates, tokens; owner-only.
    pub data_dir: PathBuf,
    /// `[store]`: where everything is kept.
    pub store: StoreAddress,
    /// `store.check_…`: how the collector watches whether the store accepts writes.
    pub store_check: StoreCheck,
    /// `[agents]`: the agents' port.
    pub agents: Agents,
    /// `[operators]`: the operators' port.
    pub operators: Operators,
    /// `[oidc]`: the identity provider of the web board, if there is one.
    pub oidc: Option<Oidc>,
    /// `[listeners]`: bounds of connections.
    pub listeners: Listeners,
    /// `[uploads]`: what uploads of agents may take at once.
    pub uploads: Uploads,
    /// `[budgets]`: what hosts may send in an hour.
    pub budgets: Budgets,
    /// `[searches]`: what searches for software may take.
    pub searches: Searches,
    /// `[editions]`: how many editions of software the store may hold.
    pub editions: Editions,
    /// `[retention]`: how long the past of hosts is kept.
    pub retention: Retention,
    /// `[enrollment]`: how many hosts may enroll in a minute.
    pub enrollment: Enrollment,
    /// `[waivers]`: how many people a waiver needs, and how long it may last.
    pub waivers: Waivers,
    /// `[web]`: the pages of the operators' port.
    pub web: Web,
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
    /// Every numeric setting, for `/metrics`.
    pub limits: Vec<SettingValue>,
}

/// The settings as written in files and variables, with their defaults. The only list of keys.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Keys {
    data_dir: PathBuf,
    store: StoreKeys,
    agents: Agents,
    operators: Operators,
    oidc: OidcKeys,
    listeners: Listeners,
    uploads: Uploads,
    budgets: Budgets,
    searches: Searches,
    editions: Editions,
    retention: Retention,
    enrollment: Enrollment,
    waivers: Waivers,
    web: Web,
    probes: Probes,
    rules: RulesKeys,
    pace: PaceKeys,
    drain: DrainKeys,
    log: Log,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("/var/lib/muster"),
            store: StoreKeys::default(),
            agents: Agents::default(),
            operators: Operators::default(),
            oidc: OidcKeys::default(),
            listeners: Listeners::default(),
            uploads: Uploads::default(),
            budgets: Budgets::default(),
            searches: Searches::default(),
            editions: Editions::default(),
            retention: Retention::default(),
            enrollment: Enrollment::default(),
            waivers: Waivers::default(),
            web: Web::default(),
            probes: Probes::default(),
            rules: RulesKeys::default(),
            pace: PaceKeys::default(),
            drain: DrainKeys::default(),
            log: Log::default(),
        }
    }
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
    let limits = limits::numeric_settings(&keys);
    if keys.data_dir.as_os_str().is_empty() {
        layers.fault("data_dir", "is empty; name a directory");
    }
    keys.agents.check(layers);
    keys.operators.check(layers);
    keys.listeners.check(layers);
    keys.web.check(layers);
    keys.probes.check(layers);
    keys.uploads.check(layers);
    keys.budgets.check(layers);
    keys.searches.check(layers);
    keys.editions.check(layers);
    keys.retention.check(layers);
    keys.enrollment.check(layers);
    keys.waivers.check(layers);
    keys.store.check(layers);
    keys.log.check(layers);
    Settings {
        store_check: keys.store.watch(),
        store: keys.store.address(&keys.data_dir),
        rules: keys.rules.settle(layers),
        data_dir: keys.data_dir,
        agents: keys.agents,
        oidc: keys.oidc.settle(&keys.operators.public_url, layers),
        operators: keys.operators,
        listeners: keys.listeners,
        uploads: keys.uploads,
        budgets: keys.budgets,
        searches: keys.searches,
        editions: keys.editions,
        retention: keys.retention,
        enrollment: keys.enrollment,
        waivers: keys.waivers,
        web: keys.web,
        probes: keys.probes,
        pace: keys.pace.settle(layers),
        drain: keys.drain.settle(layers),
        log: keys.log,
        limits,
    }
}

#[cfg(test)]
mod tests;
