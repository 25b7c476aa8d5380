//! Where settings come from, and in which order they cover each other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use config::builder::DefaultState;
use config::{Config, ConfigBuilder, Environment, File, FileFormat, Value};

use super::{ConfigFault, DEFAULT_FILE, DEFAULTS, ENVIRONMENT_PREFIX};

/// The flags that cover all other layers.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Flags {
    /// Settings file [default: /etc/muster/collector.toml]; `*.toml` of the directory beside it (`collector.d`) follow
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Directory of database, CA and tokens
    #[arg(long, value_name = "DIR", global = true)]
    pub data_dir: Option<String>,
    /// Where everything is kept: sqlite:///FILE, or postgres://USER@HOST/DATABASE with its password in a passfile
    /// [default: muster.db in the data directory]
    #[arg(long, value_name = "URL", global = true)]
    pub store_url: Option<String>,
    /// Address and port for agents (mutual TLS)
    #[arg(long, value_name = "ADDRESS", global = true)]
    pub agents_listen: Option<String>,
    /// Address and port for operators (TLS and a token)
    #[arg(long, value_name = "ADDRESS", global = true)]
    pub operators_listen: Option<String>,
    /// Address and port for health and metrics (plain HTTP)
    #[arg(long, value_name = "ADDRESS", global = true)]
    pub probes_listen: Option<String>,
    /// Name or address under which this collector is reached; may be repeated
    #[arg(long = "public-name", value_name = "NAME", global = true)]
    pub public_names: Vec<String>,
    /// Directory of catalogue and order files over the embedded ones
    #[arg(long, value_name = "DIR", global = true)]
    pub rules_overlay: Option<String>,
    /// Judge under exactly these orders (`all` is every one); may be repeated
    #[arg(long = "order", value_name = "ID", global = true)]
    pub orders: Vec<String>,
}

/// All that settings are read from; the environment is handed in, so that tests have their own.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    /// The flags.
    pub flags: Flags,
    /// Name and value of environment variables.
    pub environment: Vec<(String, String)>,
}

impl Layers {
    /// Merges all layers, lowest first. A broken file is a fault and is left out.
    pub(super) fn merge(&self, faults: &mut Vec<ConfigFault>) -> Vec<(String, Value)> {
        let mut builder = Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml));
        for path in self.files(faults) {
            builder = add_file(builder, &path, faults);
        }
        builder = builder.add_source(self.environment_layer());
        builder = self.add_flags(builder, faults);
        match builder.build().and_then(|config| config::Source::collect(&config)) {
            Ok(table) => table.into_iter().collect::<BTreeMap<_, _>>().into_iter().collect(),
            Err(error) => {
                faults.push(ConfigFault {
                    place: "the settings".to_owned(),
                    key: String::new(),
                    reason: error.to_string(),
                });
                Vec::new()
            }
        }
    }

    fn files(&self, faults: &mut Vec<ConfigFault>) -> Vec<PathBuf> {
        let main = self.flags.config.clone();
        let named = main.is_some();
        let main = main.unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
        let mut files = Vec::new();
        if named || main.exists() {
            files.push(main.clone());
        }
        let directory = main.with_extension("d");
        match std::fs::read_dir(&directory) {
            Ok(entries) => {
                let is_toml = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "toml");
                let mut more: Vec<PathBuf> =
                    entries.filter_map(Result::ok).map(|entry| entry.path()).filter(is_toml).collect();
                more.sort();
                files.extend(more);
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => faults.push(ConfigFault {
                place: directory.display().to_string(),
                key: String::new(),
                reason: format!("the directory cannot be read: {error}"),
            }),
        }
        files
    }

    fn environment_layer(&self) -> Environment {
        let prefix = format!("{ENVIRONMENT_PREFIX}__");
        let ours = |(name, _): &&(String, String)| name.to_ascii_uppercase().starts_with(&prefix);
        let source = self.environment.iter().filter(ours).cloned().collect();
        Environment::with_prefix(ENVIRONMENT_PREFIX).prefix_separator("__").separator("__").source(Some(source))
    }

    fn add_flags(
        &self,
        mut builder: ConfigBuilder<DefaultState>,
        faults: &mut Vec<ConfigFault>,
    ) -> ConfigBuilder<DefaultState> {
        let flags = &self.flags;
        let mut pairs: Vec<(&str, config::ValueKind)> = Vec::new();
        for (key, value) in [
            ("data_dir", &flags.data_dir),
            ("store.url", &flags.store_url),
            ("agents.listen", &flags.agents_listen),
            ("operators.listen", &flags.operators_listen),
            ("probes.listen", &flags.probes_listen),
            ("rules.overlay", &flags.rules_overlay),
        ] {
            if let Some(value) = value {
                pairs.push((key, value.clone().into()));
            }
        }
        for (key, values) in [("agents.public_names", &flags.public_names), ("rules.active_orders", &flags.orders)] {
            if !values.is_empty() {
                pairs.push((key, values.clone().into()));
            }
        }
        for (key, kind) in pairs {
            let origin = "the flags".to_owned();
            match builder.clone().set_override(key, Value::new(Some(&origin), kind)) {
                Ok(next) => builder = next,
                Err(error) => {
                    faults.push(ConfigFault { place: origin, key: key.to_owned(), reason: error.to_string() })
                }
            }
        }
        builder
    }
}

fn add_file(
    builder: ConfigBuilder<DefaultState>,
    path: &Path,
    faults: &mut Vec<ConfigFault>,
) -> ConfigBuilder<DefaultState> {
    let mut refuse = |reason: String| {
        faults.push(ConfigFault { place: path.display().to_string(), key: String::new(), reason });
    };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            refuse(format!("the file cannot be read: {error}"));
            return builder;
        }
    };
    // The reader of `toml` says line and column; the layering below would stop at the first broken file.
    if let Err(error) = toml::from_str::<toml::Table>(&text) {
        refuse(error.to_string().trim_end().replace('\n', "\n    "));
        return builder;
    }
    builder.add_source(File::from(path).format(FileFormat::Toml))
}
