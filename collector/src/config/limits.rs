//! Every numeric setting with its value, for `/metrics`. It is derived from the settings as written, so a new key needs no
//! further code.

use serde::Serialize;
use serde_json::Value;

/// The value of one numeric setting.
#[derive(Debug, Clone, PartialEq)]
pub struct SettingValue {
    /// The key: `agents.connections`.
    pub setting: String,
    /// The number; durations in seconds.
    pub value: f64,
}

/// Every number and duration of these settings. `defaults` tells durations from other text.
pub(super) fn numeric_settings<K: Serialize + Default>(keys: &K) -> Vec<SettingValue> {
    let json = |keys: &K| serde_json::to_value(keys).unwrap_or_default();
    let mut found = Vec::new();
    collect("", &json(keys), &json(&K::default()), &mut found);
    found
}

fn collect(prefix: &str, value: &Value, default: &Value, found: &mut Vec<SettingValue>) {
    if let Value::Object(table) = value {
        for (name, inner) in table {
            let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            collect(&key, inner, default.get(name).unwrap_or(&Value::Null), found);
        }
    }
    // A text counts as a duration only if its default is one: a path may be named `5m`.
    let number = value.as_f64().or_else(|| seconds(default).and_then(|_| seconds(value)));
    found.extend(number.map(|value| SettingValue { setting: prefix.to_owned(), value }));
}

fn seconds(value: &Value) -> Option<f64> {
    humantime_serde::re::humantime::parse_duration(value.as_str()?).ok().map(|span| span.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[derive(Serialize, Default)]
    struct Keys {
        name: String,
        inner: Inner,
    }

    #[derive(Serialize, Default)]
    struct Inner {
        slots: usize,
        #[serde(with = "humantime_serde")]
        wait: Duration,
        names: Vec<String>,
        is_on: bool,
    }

    #[test]
    fn numbers_and_durations_are_found_and_nothing_else() {
        let inner = Inner { slots: 7, wait: Duration::from_millis(1500), names: vec!["5m".to_owned()], is_on: true };
        let found = numeric_settings(&Keys { name: "5m".to_owned(), inner });
        let expected = [("inner.slots", 7.0), ("inner.wait", 1.5)];
        assert_eq!(found, expected.map(|(setting, value)| SettingValue { setting: setting.to_owned(), value }));
    }
}
