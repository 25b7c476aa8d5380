//! Makes hidden characters visible: controls, which a terminal runs as commands; bidirectional controls, which show a name in
//! another order; and characters without a shape, which make two different names look alike.
//!
//! Text and CSV get the notation `\u{202e}`. A backslash is not escaped, because Windows paths are full of them, so this
//! notation is for people; JSON gets `\u202e`, which a parser turns back into the character.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

use crate::model::is_hidden;

/// Whether no character is hidden apart from line breaks; cheap for ASCII, which is nearly everything.
fn is_plain(text: &str) -> bool {
    let ascii = |byte: u8| (0x20..0x7f).contains(&byte) || byte == b'\n';
    text.bytes().all(ascii) || !text.chars().any(|c| c != '\n' && is_hidden(c))
}

/// The text with every hidden character as `\u{202e}`. Line breaks remain.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    page(text, false)
}

/// As [`printable`], but with `colours` the sequences that set colours remain, for text in which a program has painted
/// something itself. All else that begins with an escape character is escaped.
#[must_use]
pub fn page(text: &str, colours: bool) -> Cow<'_, str> {
    if is_plain(text) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let colour = if colours { colour_sequence(rest) } else { 0 };
        let taken = colour.max(c.len_utf8());
        if colour > 0 || c == '\n' || !is_hidden(c) {
            shown.push_str(&rest[..taken]);
        } else {
            shown.extend(c.escape_unicode());
        }
        rest = &rest[taken..];
    }
    Cow::Owned(shown)
}

/// How many bytes the sequence `ESC [ digits and semicolons m` at the start of the text has; 0 if there is none.
fn colour_sequence(text: &str) -> usize {
    let Some(rest) = text.strip_prefix("\u{1b}[") else { return 0 };
    let digits = rest.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b';').count();
    if rest.as_bytes().get(digits) == Some(&b'm') { digits + 3 } else { 0 }
}

/// A JSON document with hidden characters written as `\u202e`. It has the same meaning: such characters occur only in
/// strings, because the line breaks and spaces between tokens are not hidden.
#[must_use]
pub fn json_text(json: &str) -> Cow<'_, str> {
    if is_plain(json) {
        return Cow::Borrowed(json);
    }
    let mut shown = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if c == '\n' || !is_hidden(c) {
            shown.push(c);
            continue;
        }
        // JSON writes characters beyond the first plane as two halves.
        for half in c.encode_utf16(&mut [0; 2]) {
            // Writing to a string cannot fail.
            let _ = write!(shown, "\\u{half:04x}");
        }
    }
    Cow::Owned(shown)
}

/// A cell of a file for spreadsheets: hidden characters are escaped, and a text that a spreadsheet would run as a formula is
/// quoted. Names come from hosts, which may be hostile.
#[must_use]
pub fn spreadsheet_cell(cell: &str) -> String {
    let mark = if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    format!("{mark}{}", printable(cell))
}

/// A writer that escapes hidden characters of the text that is written to it.
///
/// Each call must bring whole characters, as `serde_json`, `writeln!` and the log do; other bytes become U+FFFD.
#[derive(Debug)]
pub struct Escaping<W> {
    inner: W,
    form: Form,
}

#[derive(Debug, Clone, Copy)]
enum Form {
    Json,
    Text { colours: bool },
}

impl<W: Write> Escaping<W> {
    /// Escapes a JSON document as [`json_text`] does.
    pub const fn json(inner: W) -> Self {
        Self { inner, form: Form::Json }
    }

    /// Escapes text as [`page`] does.
    pub const fn text(inner: W, colours: bool) -> Self {
        Self { inner, form: Form::Text { colours } }
    }
}

impl<W: Write> Write for Escaping<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let shown = match self.form {
            Form::Json => json_text(&text),
            Form::Text { colours } => page(&text, colours),
        };
        self.inner.write_all(shown.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use regex_automata::meta::Regex;

    use super::*;

    #[test]
    fn the_table_has_exactly_the_hidden_characters_of_unicode() {
        let unicode = r"\A[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]\z";
        let unicode = Regex::new(unicode).expect("a pattern");
        let differs = |c: &char| unicode.is_match(c.encode_utf8(&mut [0; 4]).as_bytes()) != is_hidden(*c);
        let wrong: Vec<String> =
            ('\0'..=char::MAX).filter(differs).map(|c| format!("U+{:04X}", u32::from(c))).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn hidden_characters_become_visible_and_names_stay_as_they_are() {
        assert_eq!(printable("a\u{202e}b\u{2066}c\u{200b}d\u{1b}[2J"), r"a\u{202e}b\u{2066}c\u{200b}d\u{1b}[2J");
        assert_eq!(printable("tag\u{e0041}"), r"tag\u{e0041}");
        for name in ["كاسبرسكي", "卡巴斯基", "Касперский", "Zoë e\u{301}", "C:\\Programs", "two\nlines", "a\u{a0}b"]
        {
            assert_eq!(printable(name), name);
        }
    }

    #[test]
    fn of_all_sequences_only_colours_remain() {
        let painted = "\u{1b}[1;31moverdue\u{1b}[0m \u{1b}[2J\u{1b}]0;x\u{7}";
        assert_eq!(page(painted, true), "\u{1b}[1;31moverdue\u{1b}[0m \\u{1b}[2J\\u{1b}]0;x\\u{7}");
        assert!(!page(painted, false).contains('\u{1b}'));
    }

    #[test]
    fn json_keeps_its_meaning() {
        let value = serde_json::json!({ "na\u{200b}me": "a\u{202e}\u{7f}\u{e0041}\n\u{1b}", "list": [1, "卡"] });
        let mut bytes = Vec::new();
        serde_json::to_writer_pretty(Escaping::json(&mut bytes), &value).expect("written");
        let text = String::from_utf8(bytes).expect("text");
        assert!(text.contains(r"a\u202e\u007f\udb40\udc41\n\u001b") && text.contains('卡'), "{text}");
        assert!(!text.chars().any(|c| c != '\n' && is_hidden(c)), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).expect("JSON"), value);
    }
}
