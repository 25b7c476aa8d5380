//! Recorded answers of Windows Management Instrumentation: one JSON object a line, each with the class that was asked.
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

use serde_json::Value;

/// Limit of rows. A machine has some hundred processes.
const ROWS: usize = 65_536;

/// One row: properties by name.
#[derive(Debug, Clone, PartialEq, Default, serde::Deserialize)]
pub struct Row(BTreeMap<String, Value>);

/// The answer of one class.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Its rows; there may be none.
    Rows(Vec<Row>),
    /// Why there is no answer.
    Error(String),
}

/// The answers of all classes that were asked.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answers(BTreeMap<String, Answer>);

/// A line that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct WmiFault {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub what: String,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    class: String,
    row: Option<Row>,
    error: Option<String>,
}

impl Row {
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
            let known = answers.0.entry(line.class.to_ascii_lowercase()).or_insert(Answer::Rows(Vec::new()));
            match (line.row, line.error, known) {
                (Some(_), Some(_), _) => return Err(fault("a line has either a row or an error".to_owned())),
                (None, Some(error), known) => *known = Answer::Error(error),
                (Some(row), None, Answer::Rows(known)) => {
                    rows += 1;
                    if rows > ROWS {
                        return Err(fault(format!("more than {ROWS} rows")));
                    }
                    known.push(row);
                }
                (Some(_) | None, None, _) => {}
            }
        }
        Ok(answers)
    }

    /// The answer of a class; `None` if it was not asked.
    #[must_use]
    pub fn of(&self, class: &str) -> Option<&Answer> {
        self.0.get(&class.to_ascii_lowercase())
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
        assert_eq!(answers.of("root\\x:c"), Some(&Answer::Error("denied".to_owned())));
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

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>(), row in "(\\{\"class\":\"a\"|,\"row\":\\{\\}|,\"error\":\"x\"|\\}|\n){0,20}") {
            let _ = (Answers::parse(&text), Answers::parse(&row));
        }
    }
}
