//! JSON in one spelling: object keys in the order of their bytes, no spaces, and no escapes but those that JSON demands.
//! `jq -cS` and Python's `json.dumps(…, sort_keys=True, separators=(",", ":"), ensure_ascii=False)` write the same.

use serde_json::Value;

/// The one spelling of a value.
pub(super) fn spelled(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => out.push_str(&value.to_string()),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            // The map of `serde_json` keeps another order if some crate of the build enables that feature.
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_unstable_by_key(|(key, _)| key.as_bytes());
            out.push('{');
            for (at, (key, item)) in sorted.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                out.push_str(&Value::String(key.clone()).to_string());
                out.push(':');
                write(item, out);
            }
            out.push('}');
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_sorted_at_every_depth_and_nothing_is_escaped_without_need() {
        let value = json!({ "b": [{ "z": 1, "a": null }, true], "a": "ä \"x\" \u{1}", "B": -2 });
        assert_eq!(spelled(&value), r#"{"B":-2,"a":"ä \"x\" \u0001","b":[{"a":null,"z":1},true]}"#);
    }
}
