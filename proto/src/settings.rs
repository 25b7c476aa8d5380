//! Layers of settings, for the agent and the collector: reads each layer, checks it key by key, and merges them. The
//! struct of the settings is the only list of keys. All faults are reported at once, each with its place.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Read as _;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use config::{Environment, File, FileFormat, Source};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::suggest::did_you_mean;

/// How the log of a program is written: `log.format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// Text.
    Text,
    /// One JSON object a line.
    Json,
}

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
    /// Keys whose values are tables with names of their own; empty by default.
    tables: BTreeSet<String>,
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
        let none = BTreeSet::new();
        let leaves = leaves("", &merged, &none);
        let tables = leaves.iter().filter(|(_, value)| value.is_object()).map(|(key, _)| key.clone()).collect();
        let keys = leaves.into_iter().map(|(key, _)| key).collect();
        Self { merged, keys, tables, places: BTreeMap::new(), faults: Vec::new(), settings: PhantomData }
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
                // A later file covers an earlier one, so their order must not depend on the file system.
                files.sort();
                files.iter().for_each(|path| self.file(path));
            }
            // The directory is optional.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => self.whole_fault(&directory, format!("read the directory: {error}")),
        }
    }

    fn file(&mut self, path: &Path) {
        let text = match read_text(path) {
            Ok(text) => text,
            Err(error) => return self.whole_fault(path, format!("read the file: {error}")),
        };
        match File::from_str(&text, FileFormat::Toml).collect() {
            Ok(values) => self.layer(&path.display().to_string(), values),
            Err(error) => self.whole_fault(path, without_excerpt(&error.to_string())),
        }
    }

    /// Adds the variables `PREFIX__SECTION__KEY`, in upper or lower case.
    pub fn environment(&mut self, prefix: &str, variables: impl IntoIterator<Item = (String, String)>) {
        let start = format!("{prefix}__");
        let ours = variables.into_iter().filter(|(name, _)| name.to_ascii_uppercase().starts_with(&start)).collect();
        // Values stay text: a directory named `123` must not become a number. `set` reads numbers where a key wants one.
        let source = Environment::with_prefix(prefix).prefix_separator("__").separator("__");
        match source.source(Some(ours)).collect() {
            Ok(values) => self.layer("the environment", values),
            Err(error) => self.whole_fault(Path::new("the environment"), error.to_string()),
        }
    }

    fn layer(&mut self, place: &str, values: config::Map<String, config::Value>) {
        for (name, value) in values {
            // TOML has `nan` and `inf`, which JSON lacks: they become null here, and a fault in `set`.
            let value = value.try_deserialize::<Value>().unwrap_or_default();
            for (key, leaf) in leaves(&name, &value, &self.tables) {
                self.set(place, &key, leaf.clone());
            }
        }
    }

    /// Sets one key. Each is checked alone, so that every fault is found and has its place.
    pub fn set(&mut self, place: &str, key: &str, value: Value) {
        // Noted before the checks, because their faults name this layer.
        self.places.insert(key.to_owned(), place.to_owned());
        if !self.keys.contains(key) {
            return self.unknown(key, &value);
        }
        if value.is_null() {
            return self.fault(key, "has no value that can be used");
        }
        match check_alone::<K>(key, value) {
            Ok(value) => {
                if let Some(place) = self.merged.pointer_mut(&format!("/{}", key.replace('.', "/"))) {
                    *place = value;
                }
            }
            Err(reason) => self.fault(key, reason),
        }
    }

    fn unknown(&mut self, key: &str, value: &Value) {
        let section = format!("{key}.");
        // Only leaves are keys, so a section is known as the start of one.
        let is_section = self.keys.iter().any(|known| known.starts_with(&section));
        // Only an empty table is a leaf, and an empty section sets nothing.
        if is_section && value.is_object() {
            return;
        }
        if is_section {
            return self.fault(key, format!("expected a section, [{key}]"));
        }
        let hint = did_you_mean(key, self.keys.iter().map(String::as_str));
        self.fault(key, format!("unknown key{hint}"));
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

/// Faults; a table of the settings can report them without knowing the other tables.
impl<K> Layers<K> {
    /// Reports a fault of a key, in the layer that set it.
    pub fn fault(&mut self, key: &str, reason: impl Into<String>) {
        let place = self.places.get(key).map_or("the defaults", String::as_str).to_owned();
        self.faults.push(ConfigFault { place, key: key.to_owned(), reason: reason.into() });
    }

    /// Reports a fault of something that is no key of the settings, such as another variable of the environment.
    pub fn fault_at(&mut self, place: &str, key: &str, reason: impl Into<String>) {
        self.faults.push(ConfigFault { place: place.to_owned(), key: key.to_owned(), reason: reason.into() });
    }

    /// Reports a fault if the path is there and empty: it would mean the current directory.
    pub fn not_empty(&mut self, key: &str, path: Option<&Path>) {
        if path.is_some_and(|path| path.as_os_str().is_empty()) {
            self.fault(key, "is empty; remove the key or name a path");
        }
    }

    /// Reports a fault if the value is not within the limits, which are printed by `show`.
    pub fn limit<T: PartialOrd>(&mut self, key: &str, value: &T, (min, max): (T, T), show: impl Fn(&T) -> String) {
        if *value < min || *value > max {
            self.fault(key, format!("{} is not between {} and {}", show(value), show(&min), show(&max)));
        }
    }
}

/// Reads one value as the settings would. Variables of the environment are text, so a text that a key does not take is
/// tried as a number or a boolean, too.
fn check_alone<K: DeserializeOwned>(key: &str, value: Value) -> Result<Value, String> {
    let read = |value: &Value| {
        let name_it = |inner, name: &str| Value::Object(Map::from_iter([(name.to_owned(), inner)]));
        serde_json::from_value::<K>(key.rsplit('.').fold(value.clone(), name_it)).map(drop)
    };
    let Err(error) = read(&value) else { return Ok(value) };
    let parsed = value.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
    match parsed.filter(|parsed| (parsed.is_number() || parsed.is_boolean()) && read(parsed).is_ok()) {
        Some(parsed) => Ok(parsed),
        None => Err(without_types(&error.to_string())),
    }
}

/// The reason without Rust's types, which mean nothing to the reader.
fn without_types(reason: &str) -> String {
    let starts = ["usize", "u64", "u32", "u16", "u8"].map(|name| reason.strip_suffix(&format!("expected {name}")));
    match (starts.into_iter().flatten().next(), reason.strip_suffix("expected a duration")) {
        (Some(start), _) => format!("{start}expected a whole number"),
        (None, Some(start)) => format!("{start}expected a duration such as \"30s\""),
        (None, None) => reason.to_owned(),
    }
}

/// A fault of TOML without the line of the file that it quotes: the line may hold a password.
fn without_excerpt(fault: &str) -> String {
    let is_excerpt = |line: &&str| line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ').starts_with('|');
    fault.lines().filter(|line| !is_excerpt(line)).collect::<Vec<_>>().join("\n    ").trim_end().to_owned()
}

/// The values with their keys. The names in `tables` are keys, whatever is in them.
fn leaves<'v>(prefix: &str, value: &'v Value, tables: &BTreeSet<String>) -> Vec<(String, &'v Value)> {
    let Value::Object(table) = value else { return vec![(prefix.to_owned(), value)] };
    // Without its own leaf, an empty section with an unknown name would pass unnoticed.
    if (table.is_empty() && !prefix.is_empty()) || tables.contains(prefix) {
        return vec![(prefix.to_owned(), value)];
    }
    let key = |name: &str| if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
    table.iter().flat_map(|(name, value)| leaves(&key(name), value, tables)).collect()
}

/// The text of a settings file. A wrong path may name a huge file or a device without an end.
fn read_text(path: &Path) -> std::io::Result<String> {
    const LIMIT: u64 = crate::limits::SETTINGS_FILE_BYTES;
    let mut text = String::new();
    std::fs::File::open(path)?.take(LIMIT + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LIMIT {
        let what = format!("it has more than {LIMIT} bytes; write only settings into it");
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, what));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
    #[serde(default)]
    struct Keys {
        name: String,
        folder: Option<PathBuf>,
        log: Log,
        groups: BTreeMap<String, u64>,
    }

    #[derive(Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
    #[serde(default)]
    struct Log {
        lines: u64,
        colour: bool,
    }

    fn of(text: &str, variables: &[(&str, &str)]) -> (Keys, Vec<String>) {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("a.toml");
        std::fs::write(&file, text).expect("written");
        let mut layers = Layers::<Keys>::new();
        layers.files(&file, true);
        layers.environment("T", variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let keys = layers.merged();
        let faults = layers.finish().err().map(|faults| faults.0).unwrap_or_default();
        (keys, faults.into_iter().map(|fault| format!("{}: {}", fault.key, fault.reason)).collect())
    }

    #[test]
    fn a_variable_is_text_unless_its_key_wants_a_number_or_a_boolean() {
        let variables = [("T__NAME", "true"), ("T__FOLDER", "123"), ("t__log__lines", "7"), ("T__LOG__COLOUR", "true")];
        let (keys, faults) = of("", &variables);
        let log = Log { lines: 7, colour: true };
        assert_eq!(keys, Keys { name: "true".to_owned(), folder: Some("123".into()), log, groups: BTreeMap::new() });
        assert_eq!(faults, Vec::<String>::new());
    }

    #[test]
    fn a_number_that_json_lacks_is_a_fault_and_unsets_nothing() {
        assert_eq!(of("folder = nan", &[]).1, ["folder: has no value that can be used"]);
    }

    #[test]
    fn a_section_is_no_value_and_an_unknown_section_is_a_fault_even_if_it_is_empty() {
        assert_eq!(of("log = 1", &[]).1, ["log: expected a section, [log]"]);
        assert_eq!(of("[logs]", &[]).1.len(), 1);
        assert_eq!(of("[log]", &[]).1, Vec::<String>::new());
    }

    #[test]
    fn a_table_with_names_of_its_own_is_one_value() {
        let (keys, faults) = of("groups = { \"All.Staff\" = 1, \"CORP\\\\ops team\" = 2 }", &[]);
        let expected = [("All.Staff".to_owned(), 1), ("CORP\\ops team".to_owned(), 2)];
        assert_eq!((keys.groups, faults), (BTreeMap::from(expected), Vec::new()));
        let faults = of("groups = { a = 'x' }", &[]).1;
        assert!(faults[0].starts_with("groups: ") && faults[0].contains("whole number"), "{faults:?}");
        assert_eq!(of("[groups.a]\nb = 1", &[]).1.len(), 1);
    }

    #[test]
    fn a_syntax_fault_does_not_quote_the_line() {
        let faults = of("name = \"jane:hunter2\nfolder = 1", &[]).1;
        assert_eq!(faults.len(), 1);
        assert!(!faults[0].contains("hunter2") && faults[0].contains("line 1"), "{faults:?}");
    }

    #[test]
    fn a_huge_settings_file_is_a_fault_with_its_limit_and_a_remedy() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("agent.toml");
        std::fs::write(&path, "# x\n".repeat(100_000)).expect("written");
        let error = read_text(&path).expect_err("too large").to_string();
        assert_eq!(error, "it has more than 262144 bytes; write only settings into it");
    }
}
