//! Answers of Windows Management Instrumentation: rows of texts and numbers. They can be recorded as one JSON object a line,
//! each with the class that was asked.
//!
//! ```text
//! {"class": "root\\SecurityCenter2:AntiVirusProduct", "row": {"displayName": "Kaspersky", "productState": 266240}}
//! {"class": "root\\SecurityCenter2:FirewallProduct"}
//! {"class": "root\\cimv2:Win32_Process", "error": "denied"}
//! ```
//!
//! A line with `row` is one row of the answer, a line with the class alone says that it was asked and has no rows, and a line
//! with `error` says why there is no answer: `denied`, `absent`, `timed-out` or a text.

use std::collections::BTreeMap;

use muster_proto::limits;
use muster_proto::model::Outcome;
use serde_json::Value;

/// Limit of rows. A machine has some hundred processes.
pub const ROWS: usize = 65_536;

/// One row: properties by name.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Row(BTreeMap<String, Value>);

/// The answer of one class.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Its rows; there may be none.
    Rows(Vec<Row>),
    /// Why there is no answer.
    Error(WmiError),
}

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WmiError {
    /// The agent may not ask.
    #[error("permission denied")]
    Denied,
    /// The namespace or the class does not exist.
    #[error("the namespace or class does not exist")]
    Absent,
    /// There was no answer in time.
    #[error("timed out")]
    TimedOut,
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

/// The answers of all classes that were asked, each by the name of its class in lower case, with the name as it was spelled.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answers(BTreeMap<String, (String, Answer)>);

/// A line that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct WmiFault {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub what: String,
}

#[derive(serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
struct Line {
    class: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<BTreeMap<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl WmiError {
    /// The error with this code. <https://learn.microsoft.com/windows/win32/wmisdk/wmi-error-constants>
    #[must_use]
    pub fn of_code(code: u32) -> Self {
        match code {
            // WBEM_E_ACCESS_DENIED, E_ACCESSDENIED
            0x8004_1003 | 0x8007_0005 => Self::Denied,
            // WBEM_E_NOT_FOUND, WBEM_E_INVALID_NAMESPACE, WBEM_E_INVALID_CLASS
            0x8004_1002 | 0x8004_100e | 0x8004_1010 => Self::Absent,
            // WBEM_S_TIMEDOUT, RPC_E_TIMEOUT, WBEM_E_TIMED_OUT, WBEM_E_PROVIDER_TIMED_OUT
            0x0004_0004 | 0x8001_011f | 0x8004_1069 | 0x8004_1088 => Self::TimedOut,
            code => Self::Failed(format!("Windows answers with error {code:#010x}")),
        }
    }

    /// The outcome of a source that needs the answer.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self::Denied => Outcome::Denied,
            Self::TimedOut => Outcome::TimedOut,
            Self::Absent | Self::Failed(_) => Outcome::Failed,
        }
    }

    fn of_word(word: String) -> Self {
        match word.as_str() {
            "denied" => Self::Denied,
            "absent" => Self::Absent,
            "timed-out" => Self::TimedOut,
            _ => Self::Failed(word),
        }
    }

    fn word(&self) -> &str {
        match self {
            Self::Denied => "denied",
            Self::Absent => "absent",
            Self::TimedOut => "timed-out",
            Self::Failed(text) => text,
        }
    }
}

impl Row {
    /// Sets a property to a text, a whole number or a flag. A text is cut to what a path may have.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        let mut value = value.into();
        if let Value::String(text) = &mut value {
            let end = (0..=limits::PATH_BYTES.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
            text.truncate(end.unwrap_or_default());
        }
        if value.is_string() || value.is_boolean() || value.is_u64() || value.is_i64() {
            self.0.insert(name.to_owned(), value);
        }
    }

    /// A text; empty if it is missing or no text.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// A number, also one that is written as text.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        let value = self.get(name)?;
        value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
    }

    /// Yes or no, also one that is written as a number or as text.
    #[must_use]
    pub fn flag(&self, name: &str) -> Option<bool> {
        let value = self.get(name)?;
        match value.as_str().map(str::to_ascii_lowercase).as_deref() {
            Some("true" | "yes") => Some(true),
            Some("false" | "no") => Some(false),
            _ => value.as_bool().or_else(|| self.number(name).map(|number| number != 0)),
        }
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

impl Answers {
    /// Parses recorded answers. Empty lines and those that begin with `#` are left out.
    ///
    /// # Errors
    /// The first line that is invalid, and why.
    pub fn parse(text: &str) -> Result<Self, WmiFault> {
        let mut answers = Self::default();
        let mut rows = 0;
        for (at, text) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let fault = |what: String| WmiFault { line: at + 1, what };
            if text.trim().is_empty() || text.trim_start().starts_with('#') {
                continue;
            }
            let line: Line = serde_json::from_str(text).map_err(|error| fault(error.to_string()))?;
            let entry = answers.0.entry(line.class.to_ascii_lowercase());
            let (_, known) = entry.or_insert_with(|| (line.class, Answer::Rows(Vec::new())));
            match (line.row, line.error, known) {
                (Some(_), Some(_), _) => return Err(fault("a line has either a row or an error".to_owned())),
                (None, Some(error), known) => *known = Answer::Error(WmiError::of_word(error)),
                (Some(row), None, Answer::Rows(known)) => {
                    rows += 1;
                    if rows > ROWS {
                        return Err(fault(format!("more than {ROWS} rows")));
                    }
                    let mut kept = Row::default();
                    row.into_iter().for_each(|(name, value)| kept.set(&name, value));
                    known.push(kept);
                }
                (Some(_) | None, None, _) => {}
            }
        }
        Ok(answers)
    }

    /// The lines that [`Self::parse`] reads.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (class, answer) in self.0.values() {
            let line = |row, error| Line { class: class.clone(), row, error };
            let of_class: Vec<Line> = match answer {
                Answer::Rows(rows) if rows.is_empty() => vec![line(None, None)],
                Answer::Rows(rows) => rows.iter().map(|row| line(Some(row.0.clone()), None)).collect(),
                Answer::Error(error) => vec![line(None, Some(error.word().to_owned()))],
            };
            // Texts and numbers can always be written as JSON.
            lines.extend(of_class.iter().filter_map(|line| serde_json::to_string(line).ok()));
        }
        lines
    }

    /// Adds the answer of a class, in place of an earlier one.
    pub fn add(&mut self, class: &str, answer: Answer) {
        self.0.insert(class.to_ascii_lowercase(), (class.to_owned(), answer));
    }

    /// The answer of a class; `None` if it was not asked.
    #[must_use]
    pub fn of(&self, class: &str) -> Option<&Answer> {
        self.0.get(&class.to_ascii_lowercase()).map(|(_, answer)| answer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rows_errors_and_empty_answers_are_told_apart() {
        let text = "# recorded\n{\"class\": \"root\\\\x:A\", \"row\": {\"Name\": \"Kaspersky\", \"State\": \"266240\", \"n\": 7}}\n\n\
                    {\"class\": \"root\\\\X:B\"}\n{\"class\": \"root\\\\x:c\", \"error\": \"denied\"}\n";
        let answers = Answers::parse(text).expect("valid");
        let Some(Answer::Rows(rows)) = answers.of("ROOT\\x:a") else { panic!("no rows: {answers:?}") };
        assert_eq!(
            (rows[0].text("name"), rows[0].number("state"), rows[0].number("N")),
            ("Kaspersky", Some(266_240), Some(7))
        );
        assert_eq!((rows[0].text("n"), rows[0].text("other"), rows[0].number("name")), ("", "", None));
        assert_eq!(answers.of("root\\x:b"), Some(&Answer::Rows(Vec::new())));
        assert_eq!(answers.of("root\\x:c"), Some(&Answer::Error(WmiError::Denied)));
        assert_eq!(answers.of("root\\x:d"), None);
    }

    #[test]
    fn an_invalid_line_is_named() {
        for (text, line) in
            [("{", 1), ("\n{\"class\":\"a\",\"rows\":1}", 2), ("{\"class\":\"a\",\"row\":{},\"error\":\"x\"}", 1)]
        {
            assert_eq!(Answers::parse(text).map_err(|fault| fault.line), Err(line), "{text}");
        }
    }

    #[test]
    fn what_is_recorded_can_be_replayed() {
        let mut row = Row::default();
        row.set("displayName", "火绒安全软件");
        row.set("productState", 266_240);
        row.set("RealTimeProtectionEnabled", true);
        let mut answers = Answers::default();
        answers.add("root\\x:Rows", Answer::Rows(vec![row.clone(), row]));
        answers.add("root\\x:None", Answer::Rows(Vec::new()));
        for (class, error) in [
            ("a", WmiError::Denied),
            ("b", WmiError::Absent),
            ("c", WmiError::TimedOut),
            ("d", WmiError::Failed("x".into())),
        ] {
            answers.add(class, Answer::Error(error));
        }
        let text = answers.lines().join("\n");
        assert_eq!(Answers::parse(&text), Ok(answers), "{text}");
    }

    #[test]
    fn flags_are_read_from_every_spelling() {
        let mut row = Row::default();
        row.set("text", "True");
        row.set("off", "no");
        row.set("number", 1);
        row.set("flag", false);
        row.set("other", "perhaps");
        let read = ["text", "off", "number", "flag", "other", "none"].map(|name| row.flag(name));
        assert_eq!(read, [Some(true), Some(false), Some(true), Some(false), None, None]);
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let mut row = Row::default();
        row.set("displayName", "д".repeat(limits::PATH_BYTES));
        let length = row.text("displayName").len();
        assert!(length <= limits::PATH_BYTES && length + 2 > limits::PATH_BYTES, "{length}");
    }

    #[test]
    fn codes_of_windows_become_errors() {
        let outcomes = [
            (0x8004_1003, Outcome::Denied),
            (0x8007_0005, Outcome::Denied),
            (0x8004_100e, Outcome::Failed),
            (0x8001_011f, Outcome::TimedOut),
            (0x8004_1069, Outcome::TimedOut),
            (0x8004_1088, Outcome::TimedOut),
            (0x8004_1001, Outcome::Failed),
        ];
        for (code, outcome) in outcomes {
            assert_eq!(WmiError::of_code(code).outcome(), outcome, "{code:#x}");
        }
        assert_eq!(WmiError::of_code(0x8004_100e), WmiError::Absent);
        assert_eq!(WmiError::of_code(0x8004_1001).to_string(), "Windows answers with error 0x80041001");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>(), row in "(\\{\"class\":\"a\"|,\"row\":\\{\\}|,\"error\":\"x\"|\\}|\n){0,20}") {
            for text in [text, row] {
                if let Ok(answers) = Answers::parse(&text) {
                    prop_assert_eq!(Answers::parse(&answers.lines().join("\n")), Ok(answers));
                }
            }
        }
    }
}
