//! The width of text on a terminal, which differs from its number of characters: 卡 takes two columns, a combining accent
//! none.

use std::borrow::Cow;

use unicode_width::UnicodeWidthChar;

/// A narrower terminal is treated as this wide: below it no table is readable.
const NARROWEST: usize = 20;
/// The width of a terminal that does not know its size.
const USUAL: usize = 80;

/// The width of the terminal in columns; `None` if the output is not one. `COLUMNS` takes precedence over what the terminal
/// reports, as in `ls`.
#[must_use]
pub fn columns(is_terminal: bool) -> Option<usize> {
    if !is_terminal {
        return None;
    }
    let from_environment = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok()).filter(|width| *width > 0);
    let from_terminal = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    let width = from_environment.or_else(|| from_terminal().filter(|width| *width > 0)).unwrap_or(USUAL);
    Some(width.max(NARROWEST))
}

/// How many terminal columns a text takes. Terminals add up characters, so this does too.
#[must_use]
pub fn width(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().map(|c| c.width().unwrap_or(0)).sum() }
}

/// The text cut to at most `columns`, with `…` for what was cut.
#[must_use]
pub fn cut(text: &str, columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let mut shown = String::new();
    // The ellipsis takes one column.
    let mut left = columns.saturating_sub(1);
    for c in text.chars() {
        let width = c.width().unwrap_or(0);
        if width > left {
            break;
        }
        left -= width;
        shown.push(c);
    }
    if columns > 0 {
        shown.push('…');
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_by_columns_and_not_by_bytes() {
        assert_eq!(["abc", "卡巴斯基", "e\u{301}"].map(width), [3, 8, 1]);
        assert_eq!(cut("Kaspersky", 9), "Kaspersky");
        assert_eq!(cut("Kaspersky", 5), "Kasp…");
        assert_eq!(cut("卡巴斯基", 6), "卡巴…", "half a character does not fit");
        assert_eq!((cut("ab", 1), cut("ab", 0)), ("…".into(), "".into()));
    }

    #[test]
    fn only_a_terminal_has_a_width() {
        assert_eq!(columns(false), None);
        assert!(columns(true).is_some_and(|width| width >= NARROWEST));
    }
}
