//! Layers of settings, for the agent and the collector: reads each layer, checks it key by key, and merges them. The
//! struct of the settings is the only list of keys. All faults are reported at once, each with its place.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use config::{Environment, File, FileFormat, Source};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::suggest::did_you_mean;

/// One fault in the settings.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigFault {
    /// The file, `the environment` or `the command line`.
    pub place: String,
    /// The key, or empty if a whole file is faulty.
    pub key: String,
    /// What is wrong.
    pub reason: String,
}

/// All faults in the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigFaults(pub Vec<ConfigFault>);

impl fmt::Display for ConfigFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the settings have {} fault{}", self.0.len(), if self.0.len() == 1 { "" } else { "s" })?;
        self.0.iter().try_for_each(|ConfigFault { place, key, reason }| {
            let key = if key.is_empty() { String::new() } else { format!("{key}: ") };
            write!(f, "\n  {place}: {key}{reason}")
        })
    }
}

/// Collects layers for the settings `K`, the lowest first.
#[derive(Debug)]
pub struct Layers<K> {
    /// The defaults, covered by every valid value so far.
    merged: Value,
    keys: BTreeSet<String>,
    /// The layer that set a key.
    places: BTreeMap<String, String>,
    faults: Vec<ConfigFault>,
    settings: PhantomData<K>,
}

impl<K: Default + Serialize + DeserializeOwned> Default for Layers<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Default + Serialize + DeserializeOwned> Layers<K> {
    /// The defaults of `K`.
    #[must_use]
    pub fn new() -> Self {
        let merged = serde_json::to_value(K::default()).unwrap_or_default();
        let keys = leaves("", &merged).into_iter().map(|(key, _)| key).collect();
        Self { merged, keys, places: BTreeMap::new(), faults: Vec::new(), settings: PhantomData }
    }

    /// Adds a settings file, then the `*.toml` files of the directory beside it in the order of their names. The file may
    /// be absent unless it was named.
    pub fn files(&mut self, file: &Path, is_named: bool) {
        if is_named || file.exists() {
            self.file(file);
        }
        let directory = file.with_extension("d");
        match std::fs::read_dir(&directory) {
            Ok(entries) => {
                let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
                files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
                files.sort();
                files.iter().for_each(|path| self.file(path));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => self.whole_fault(&directory, format!("read the directory: {error}")),
        }
    }

    fn file(&mut self, path: &Path) {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => return self.whole_fault(path, format!("read the file: {error}")),
        };
        match File::from_str(&text, FileFormat::Toml).collect() {
            Ok(values) => self.layer(&path.display().to_string(), values),
            Err(error) => self.whole_fault(path, error.to_string().trim_end().replace('\n', "\n    ")),
        }
    }

    /// Adds the variables `PREFIX__SECTION__KEY`.
    pub fn environment(&mut self, prefix: &str, variables: impl IntoIterator<Item = (String, String)>) {
        let start = format!("{prefix}__");
        let ours = variables.into_iter().filter(|(name, _)| name.starts_with(&start)).collect();
        let source = Environment::with_prefix(prefix).prefix_separator("__").separator("__").try_parsing(true);
        match source.source(Some(ours)).collect() {
            Ok(values) => self.layer("the environment", values),
            Err(error) => self.whole_fault(Path::new("the environment"), error.to_string()),
        }
    }

    fn layer(&mut self, place: &str, values: config::Map<String, config::Value>) {
        for (name, value) in values {
            // Every value that TOML has is one of JSON's too.
            let value = value.try_deserialize::<Value>().unwrap_or_default();
            for (key, leaf) in leaves(&name, &value) {
                self.set(place, &key, leaf.clone());
            }
        }
    }

    /// Sets one key. Each is checked alone, so that every fault is found and has its place.
    pub fn set(&mut self, place: &str, key: &str, value: Value) {
        self.places.insert(key.to_owned(), place.to_owned());
        if !self.keys.contains(key) {
            let hint = did_you_mean(key, self.keys.iter().map(String::as_str));
            return self.fault(key, format!("unknown key{hint}"));
        }
        let alone = key
            .rsplit('.')
            .fold(value.clone(), |inner, name| Value::Object(Map::from_iter([(name.to_owned(), inner)])));
        match serde_json::from_value::<K>(alone) {
            Ok(_) => {
                if let Some(place) = self.merged.pointer_mut(&format!("/{}", key.replace('.', "/"))) {
                    *place = value;
                }
            }
            Err(error) => self.fault(key, error.to_string()),
        }
    }

    /// Reports a fault of a key, in the layer that set it.
    pub fn fault(&mut self, key: &str, reason: impl Into<String>) {
        let place = self.places.get(key).map_or("the defaults", String::as_str).to_owned();
        self.faults.push(ConfigFault { place, key: key.to_owned(), reason: reason.into() });
    }

    /// Reports a fault if the value is not within the limits, which are printed by `show`.
    pub fn limit<T: PartialOrd>(&mut self, key: &str, value: &T, (min, max): (T, T), show: impl Fn(&T) -> String) {
        if *value < min || *value > max {
            self.fault(key, format!("{} is not between {} and {}", show(value), show(&min), show(&max)));
        }
    }

    fn whole_fault(&mut self, path: &Path, reason: String) {
        self.faults.push(ConfigFault { place: path.display().to_string(), key: String::new(), reason });
    }

    /// The merged settings. Values with faults have their defaults.
    pub fn merged(&mut self) -> K {
        serde_json::from_value(self.merged.clone()).unwrap_or_else(|error| {
            self.fault("", error.to_string());
            K::default()
        })
    }

    /// Ends the collection.
    ///
    /// # Errors
    /// All faults that were found, sorted, each once.
    pub fn finish(mut self) -> Result<(), ConfigFaults> {
        self.faults.sort();
        self.faults.dedup();
        if self.faults.is_empty() { Ok(()) } else { Err(ConfigFaults(self.faults)) }
    }
}

fn leaves<'v>(prefix: &str, value: &'v Value) -> Vec<(String, &'v Value)> {
    let Value::Object(table) = value else { return vec![(prefix.to_owned(), value)] };
    let key = |name: &str| if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
    table.iter().flat_map(|(name, value)| leaves(&key(name), value)).collect()
}
