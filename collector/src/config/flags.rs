//! The options of `muster-collector` that set settings.

use std::path::PathBuf;

/// The options of the command line, which cover all other layers.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Flags {
    /// Settings file [default: /etc/muster/collector.toml]; `collector.d/*.toml` beside it is read too
    #[arg(long, value_name = "FILE", global = true, help_heading = "Global options")]
    pub config: Option<PathBuf>,
    /// Directory of the database, CA and tokens
    #[arg(long, value_name = "DIR", global = true, help_heading = "Global options")]
    pub data_dir: Option<String>,
    /// Database: sqlite:///FILE, or postgres://USER@HOST/DATABASE?passfile=FILE [default: muster.db in the data
    /// directory]
    #[arg(long, value_name = "URL", global = true, help_heading = "Global options")]
    pub store_url: Option<String>,
    /// Address and port for agents (mutual TLS)
    #[arg(long, value_name = "ADDRESS", global = true, help_heading = "Global options")]
    pub agents_listen: Option<String>,
    /// Address and port for operators (TLS; gRPC with a token, and the web board)
    #[arg(long, value_name = "ADDRESS", global = true, help_heading = "Global options")]
    pub operators_listen: Option<String>,
    /// Address and port for health and metrics (plain HTTP)
    #[arg(long, value_name = "ADDRESS", global = true, help_heading = "Global options")]
    pub probes_listen: Option<String>,
    /// Name or address by which agents and operators reach this collector; can be repeated
    #[arg(long = "public-name", value_name = "NAME", global = true, help_heading = "Global options")]
    pub public_names: Vec<String>,
    /// Directory of rule files that extend or replace the built-in ones
    #[arg(long, value_name = "DIR", global = true, help_heading = "Global options")]
    pub rules_overlay: Option<String>,
    /// Judge hosts under this order, or `all`; can be repeated [default: the active orders]
    #[arg(long = "order", value_name = "ID", global = true, help_heading = "Global options")]
    pub orders: Vec<String>,
}

impl Flags {
    /// The keys that options set, with their values.
    #[must_use]
    pub fn settings(&self) -> Vec<(&'static str, serde_json::Value)> {
        let texts = [
            ("data_dir", &self.data_dir),
            ("store.url", &self.store_url),
            ("agents.listen", &self.agents_listen),
            ("operators.listen", &self.operators_listen),
            ("probes.listen", &self.probes_listen),
            ("rules.overlay", &self.rules_overlay),
        ];
        let lists = [("agents.public_names", &self.public_names), ("rules.active_orders", &self.orders)];
        let texts = texts.into_iter().filter_map(|(key, value)| Some((key, value.clone()?.into())));
        let lists = lists.into_iter().filter(|(_, values)| !values.is_empty());
        texts.chain(lists.map(|(key, values)| (key, values.clone().into()))).collect()
    }
}
