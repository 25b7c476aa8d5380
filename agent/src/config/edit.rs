//! Sets a key of a settings file and leaves the rest as it is: comments, order, ends of lines.
//!
//! The result is read again and compared. A file that cannot be changed safely is refused.

use std::ops::Range;

use toml::{Spanned, Table, Value};

/// Why a settings file cannot be changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// It cannot be read. The line is not quoted: it may hold a password.
    #[error("the file is not valid TOML: {0}")]
    Syntax(String),
    /// No edit changes this key and nothing else.
    #[error("cannot set `{0}` in this file; set it by hand")]
    Shape(&'static str),
}

#[derive(serde::Deserialize)]
struct Present {
    collector: Option<Spanned<Value>>,
}

/// The text of a settings file with this collector.
///
/// # Errors
/// The text is not valid, or the key cannot be set in it.
pub fn with_collector(text: &str, collector: &str) -> Result<String, EditError> {
    const KEY: &str = "collector";
    let syntax = |error: toml::de::Error| EditError::Syntax(error.message().to_owned());
    let present: Present = toml::from_str(text).map_err(syntax)?;
    let mut wanted: Table = toml::from_str(text).map_err(syntax)?;
    let value = Value::String(collector.to_owned());
    wanted.insert(KEY.to_owned(), value.clone());
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let line = format!("{KEY} = {value}{end}");
    let candidates: Vec<(Range<usize>, String)> = match present.collector {
        Some(old) => vec![(old.span(), value.to_string())],
        None => [after_example(text, KEY), Some(start(text))]
            .into_iter()
            .flatten()
            .map(|at| (at..at, line.clone()))
            .collect(),
    };
    let edits = candidates.into_iter().filter_map(|(range, new)| {
        let (before, after) = (text.get(..range.start)?, text.get(range.end..)?);
        // A file may end without the end of its last line.
        let gap =
            if range.is_empty() && !before.is_empty() && !before.ends_with(['\n', '\u{feff}']) { end } else { "" };
        Some(format!("{before}{gap}{new}{after}"))
    });
    let mut edits = edits.filter(|edited| toml::from_str::<Table>(edited).is_ok_and(|table| table == wanted));
    edits.next().ok_or(EditError::Shape(KEY))
}

/// The place after the comment that shows the key, before the first section.
fn after_example(text: &str, key: &str) -> Option<usize> {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        at += line.len();
        if line.starts_with('[') {
            return None;
        }
        let shown = line.strip_prefix('#').and_then(|comment| comment.trim_start().strip_prefix(key));
        if shown.is_some_and(|rest| rest.trim_start().starts_with('=')) {
            return Some(at);
        }
    }
    None
}

/// The start of the text, after its byte order mark.
fn start(text: &str) -> usize {
    if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &str = "https://muster.example.org:7443";

    #[test]
    fn the_key_is_set_and_everything_else_stays() {
        for (before, after) in [
            ("", "collector = \"URL\"\n"),
            ("# mine\n[scan]\nwatchlist = 'builtin'", "collector = \"URL\"\n# mine\n[scan]\nwatchlist = 'builtin'"),
            (
                "# a\n# collector = \"https://x\"\n\n[scan]\n# b\n",
                "# a\n# collector = \"https://x\"\ncollector = \"URL\"\n\n[scan]\n# b\n",
            ),
            ("#collector='x'", "#collector='x'\ncollector = \"URL\"\n"),
            ("collector='https://old' # why\r\n[log]\r\n", "collector=\"URL\" # why\r\n[log]\r\n"),
            ("# c\r\n[log]\r\n", "collector = \"URL\"\r\n# c\r\n[log]\r\n"),
            (
                "\"collector\" = \"\"\"\nhttps://old\"\"\"\nstate_dir = '/x'\n",
                "\"collector\" = \"URL\"\nstate_dir = '/x'\n",
            ),
            (
                "[log]\n# collector = 'x'\nlevel = 'info'\n",
                "collector = \"URL\"\n[log]\n# collector = 'x'\nlevel = 'info'\n",
            ),
            // The example is inside a text.
            (
                "token_file = '''\n# collector = 'x'\n'''\n",
                "collector = \"URL\"\ntoken_file = '''\n# collector = 'x'\n'''\n",
            ),
            ("\u{feff}# c\n", "\u{feff}collector = \"URL\"\n# c\n"),
        ] {
            let edited = with_collector(before, NEW).unwrap_or_else(|error| panic!("{before:?}: {error}"));
            assert_eq!(edited, after.replace("URL", NEW), "{before:?}");
            assert_eq!(with_collector(&edited, NEW).expect("edited again"), edited, "the second time nothing changes");
        }
    }

    #[test]
    fn the_shipped_file_can_be_edited() {
        let shipped = include_str!("../../../deploy/config/agent.toml");
        let edited = with_collector(shipped, NEW).expect("edited");
        let added: Vec<&str> = edited.lines().filter(|line| !shipped.lines().any(|old| old == *line)).collect();
        assert_eq!(added, [format!("collector = \"{NEW}\"")]);
        assert_eq!(edited.lines().count(), shipped.lines().count() + 1);
    }

    #[test]
    fn a_broken_file_is_refused_and_not_quoted() {
        let error = with_collector("[proxy]\nurl = \"http://user:secret@proxy\nx", NEW).expect_err("broken");
        assert!(error.to_string().starts_with("the file is not valid TOML"), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
