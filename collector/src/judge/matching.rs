//! `muster catalogue match`: one line in, one line out, without server and host.
//!
//! Each line is judged alone, so nothing can corroborate it: evidence that does not prove a product is `suspect`.

use std::fmt::Write as _;

use muster_proto::model::{Kind, OrderId, Platform, Presence};
use serde_json::{Map, Value};

use super::combine::rank;
use super::detect::{presence, rule_name};
use super::hit::Strength;
use crate::rules::{
    Catalogue, Condition, EmbeddedCode, Order, OrderUnusable, Recognised, RuleSet, StateReading, Subject,
};

/// The keys that are added to a line.
const ADDED: [&str; 5] = ["product", "family", "also", "rule", "match"];

/// The answer for one line under an order; the gravest answer is the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Match {
    None,
    Exempt,
    Suspect,
    Remnant,
    Embedded,
    ManagementOnly,
    Prohibited,
}

impl Match {
    const fn name(self) -> &'static str {
        match self {
            Self::Prohibited => "prohibited",
            Self::ManagementOnly => "management-only",
            Self::Embedded => "embedded",
            Self::Remnant => "remnant",
            Self::Exempt => "exempt",
            Self::Suspect => "suspect",
            Self::None => "none",
        }
    }
}

/// Matches lines against the catalogue, under one order or under all active ones.
#[derive(Debug)]
pub struct Matcher {
    catalogue: Catalogue,
    orders: Vec<Order>,
}

impl Matcher {
    /// A matcher for one order, active or not, or for all active orders.
    ///
    /// # Errors
    /// There is no order with this id.
    pub fn new(rules: &RuleSet, order: Option<&OrderId>) -> Result<Self, OrderUnusable> {
        let orders = match order {
            Some(id) => vec![rules.order(id.as_str()).cloned().ok_or_else(|| OrderUnusable::Unknown(id.clone()))?],
            None => rules.active_orders().cloned().collect(),
        };
        Ok(Self { catalogue: rules.catalogue.clone(), orders })
    }

    /// The line with the answer added. A line that cannot be used is returned with `error`. Outcome lines of
    /// `muster-agent scan` and empty lines are returned unchanged.
    #[must_use]
    pub fn line(&self, line: &str) -> String {
        let text = line.trim();
        if text.is_empty() {
            return String::new();
        }
        match serde_json::from_str::<Value>(text) {
            Ok(Value::Object(record)) => self.record(text, record),
            Ok(_) => bad_line(text, "not a JSON object"),
            Err(error) => bad_line(text, &format!("not JSON: {error}")),
        }
    }

    fn record(&self, line: &str, mut record: Map<String, Value>) -> String {
        let is_observation = match record.get("record") {
            None => true,
            Some(Value::String(kind)) if kind == "observation" => true,
            Some(_) => return line.to_owned(),
        };
        debug_assert!(is_observation);
        let answer = match Input::of(&record) {
            Ok(input) => self.answer(&input),
            Err(reason) => {
                record.insert("error".to_owned(), Value::String(reason));
                return Value::Object(record).to_string();
            }
        };
        // Two equal keys would make the JSON ambiguous, so the answer replaces what the line has.
        if ADDED.iter().any(|key| record.contains_key(*key)) {
            ADDED.iter().for_each(|key| drop(record.remove(*key)));
            return extended(&Value::Object(record).to_string(), &answer);
        }
        // Extend the text itself, so that the order of keys and the spelling of numbers do not change.
        extended(line, &answer)
    }

    fn answer(&self, input: &Input<'_>) -> Vec<(&'static str, Value)> {
        let subject = Subject::new(input.kind, [input.name, input.id, input.path], input.vendor, input.state);
        let stated = self.catalogue.read_state(input.kind, input.state);
        let mut found = self.catalogue.recognise(input.platform, &subject);
        if stated.condition == Condition::Absent {
            found.clear();
        }
        let mut matches: Vec<(Match, Recognised<'_>)> =
            found.into_iter().map(|one| (self.judge(input.platform, stated, one), one)).collect();
        // The strongest recogniser decides among products; the order only decides how the product is answered.
        matches.sort_by_key(|(answer, one)| {
            let shown = rank(presence(stated, one.recogniser.shows));
            std::cmp::Reverse((one.strength, *answer, shown))
        });
        let Some((answer, best)) = matches.first().copied() else {
            let empty = || Value::String(String::new());
            return vec![
                ("product", empty()),
                ("family", empty()),
                ("also", Value::Array(Vec::new())),
                ("rule", empty()),
                ("match", Value::from(Match::None.name())),
            ];
        };
        let mut also: Vec<Value> = Vec::new();
        for (_, one) in &matches {
            let id = Value::from(one.product.id.as_str());
            if one.product.id != best.product.id && !also.contains(&id) {
                also.push(id);
            }
        }
        vec![
            ("product", Value::from(best.product.id.as_str())),
            ("family", Value::from(best.product.family(input.platform))),
            ("also", Value::Array(also)),
            ("rule", Value::from(rule_name(input.platform, input.kind_name, best))),
            ("match", Value::from(answer.name())),
        ]
    }

    /// The gravest answer of all orders for a recognised product.
    fn judge(&self, platform: Platform, stated: StateReading, found: Recognised<'_>) -> Match {
        let answers = self.orders.iter().map(|order| under(order, platform, stated, found));
        answers.max().unwrap_or(Match::None)
    }
}

fn under(order: &Order, platform: Platform, stated: StateReading, found: Recognised<'_>) -> Match {
    // `covers` is false for exempt products, so exemption must be asked first.
    if order.exempts(found.product, platform) {
        return Match::Exempt;
    }
    if !order.covers(found.product, platform) {
        return Match::None;
    }
    let shown = presence(stated, found.recogniser.shows);
    if shown == Presence::Embedded && order.embedded_code == EmbeddedCode::Out {
        return Match::Exempt;
    }
    // Exempt code is exempt on weak evidence too, so the strength is asked after the exemptions.
    if found.strength != Strength::Proves {
        return Match::Suspect;
    }
    match shown {
        Presence::Active | Presence::Installed if order.prohibits(shown) => Match::Prohibited,
        Presence::ManagementOnly => Match::ManagementOnly,
        Presence::Embedded => Match::Embedded,
        Presence::Remnant => Match::Remnant,
        Presence::Suspect | Presence::Active | Presence::Installed => Match::Suspect,
        Presence::None | Presence::Unknown => Match::None,
    }
}

/// The fields of a line.
struct Input<'r> {
    platform: Platform,
    kind: Option<Kind>,
    kind_name: &'r str,
    name: &'r str,
    vendor: &'r str,
    id: &'r str,
    path: &'r str,
    state: &'r str,
}

impl<'r> Input<'r> {
    fn of(record: &'r Map<String, Value>) -> Result<Self, String> {
        let text = |key: &str| match record.get(key) {
            None | Some(Value::Null) => Ok(""),
            Some(Value::String(text)) => Ok(text.as_str()),
            Some(_) => Err(format!("`{key}`: expected a string")),
        };
        let platform = text("platform")?.trim();
        if platform.is_empty() {
            return Err("missing `platform`; expected linux, windows or macos".to_owned());
        }
        let known = platform.to_ascii_lowercase().parse();
        let platform =
            known.map_err(|_| format!("`platform`: unknown value {platform:?}, expected linux, windows or macos"))?;
        let kind_name = text("source_kind")?;
        // The version decides nothing here, but a value that is no string is still an error.
        text("version")?;
        let input = Self {
            platform,
            // An unknown kind is no error: the record is then matched by its names.
            kind: kind_of(kind_name.trim(), text("name")?),
            kind_name,
            name: text("name")?,
            vendor: text("vendor")?,
            id: text("id")?,
            path: text("path")?,
            state: text("state")?,
        };
        if input.name.is_empty() && input.id.is_empty() && input.path.is_empty() && input.vendor.is_empty() {
            return Err("nothing to match: the line has no `name`, `id`, `path` or `vendor`".to_owned());
        }
        Ok(input)
    }
}

/// The kind with this name, or with a name that other inventories use for it.
fn kind_of(name: &str, row: &str) -> Option<Kind> {
    let kind = match name {
        "uninstall" => Kind::UninstallKey,
        "app" => Kind::AppBundle,
        "process_path" => Kind::Process,
        "file_path" => Kind::Path,
        "kernel_extension" => Kind::Driver,
        "systemd" => Kind::Service,
        "package_file" => package_kind(row)?,
        _ => return name.parse().ok(),
    };
    Some(kind)
}

/// The kind of package that an installer file installs.
fn package_kind(file: &str) -> Option<Kind> {
    let kinds = [
        (".deb", Kind::Deb),
        (".rpm", Kind::Rpm),
        (".apk", Kind::Apk),
        (".pkg.tar.zst", Kind::Pacman),
        (".snap", Kind::Snap),
        (".flatpak", Kind::Flatpak),
        (".msi", Kind::Msi),
        (".msix", Kind::Appx),
        (".exe", Kind::UninstallKey),
        (".pkg", Kind::Receipt),
        (".mpkg", Kind::Receipt),
        (".dmg", Kind::AppBundle),
    ];
    let file = file.trim().to_ascii_lowercase();
    kinds.into_iter().find(|(ending, _)| file.ends_with(ending)).map(|(_, kind)| kind)
}

/// The line with keys added at its end.
fn extended(line: &str, answer: &[(&'static str, Value)]) -> String {
    let body = line.trim_end().strip_suffix('}').unwrap_or(line).trim_end();
    let mut out = String::with_capacity(line.len() + 160);
    out.push_str(body);
    for (at, (key, value)) in answer.iter().enumerate() {
        let comma = if at == 0 && body.ends_with('{') { "" } else { "," };
        // Writing to a `String` cannot fail.
        let _ = write!(out, "{comma}\"{key}\":{value}");
    }
    out.push('}');
    out
}

fn bad_line(line: &str, reason: &str) -> String {
    // The line may be arbitrarily long, and its beginning is enough to find it.
    let shown: String = line.chars().take(200).collect();
    serde_json::json!({ "error": reason, "line": shown }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules;

    fn matched(line: &str) -> Value {
        let rules = rules::load(None).expect("the defaults load");
        let matcher = Matcher::new(&rules, None).expect("active orders");
        serde_json::from_str(&matcher.line(line)).expect("one JSON line")
    }

    #[test]
    fn a_line_keeps_its_keys_and_gains_the_answer() {
        let rules = rules::load(None).expect("the defaults load");
        let matcher = Matcher::new(&rules, None).expect("active orders");
        let line = r#"{"platform": "linux","source_kind":"deb","name":"kesl","n":1.50}"#;
        let out = matcher.line(line);
        assert!(
            out.starts_with(r#"{"platform": "linux","source_kind":"deb","name":"kesl","n":1.50,"product":"#),
            "{out}"
        );
        let out: Value = serde_json::from_str(&out).expect("JSON");
        assert_eq!(out["product"], "kaspersky-endpoint-security");
        assert_eq!(out["family"], "kesl");
        assert_eq!(out["match"], "prohibited");
        assert_eq!(out["rule"], "kaspersky-endpoint-security/linux/deb#1");
    }

    #[test]
    fn the_state_of_a_package_decides_whether_it_is_installed() {
        let with = |state: &str| {
            let line = serde_json::json!({"platform": "linux", "source_kind": "deb", "name": "kesl", "state": state});
            matched(&line.to_string())["match"].clone()
        };
        assert_eq!(with("ii"), "prohibited");
        assert_eq!(with("rc"), "remnant");
        assert_eq!(with("binary-missing"), "remnant");
        assert_eq!(with("pn"), "none");
        assert_eq!(with("hold ok installed"), "prohibited");
        assert_eq!(with("xq"), "suspect", "a state that no table lists");
    }

    #[test]
    fn a_bad_line_is_returned_with_its_error_and_an_outcome_line_unchanged() {
        assert!(matched("{\"name\":").get("error").is_some());
        assert!(matched("[1]")["error"].as_str().expect("text").contains("not a JSON object"));
        assert!(matched(r#"{"name":"x"}"#)["error"].as_str().expect("text").contains("missing `platform`"));
        let wrong = matched(r#"{"platform":"linux","name":7}"#);
        assert_eq!(wrong["error"], "`name`: expected a string");
        let outcome = r#"{"record":"outcome","source":"dpkg","outcome":"found"}"#;
        assert_eq!(matched(outcome), serde_json::from_str::<Value>(outcome).expect("JSON"));
    }

    #[test]
    fn added_keys_replace_existing_ones() {
        let out = matched(r#"{"platform":"linux","source_kind":"deb","name":"bash","product":"mine","match":"mine"}"#);
        assert_eq!((&out["match"], &out["product"]), (&Value::from("none"), &Value::from("")));
    }

    #[test]
    fn a_record_of_an_unknown_kind_matches_by_name() {
        let out = matched(r#"{"platform":"linux","source_kind":"inventory","name":"kesl"}"#);
        assert_eq!(out["match"], "prohibited");
    }
}
