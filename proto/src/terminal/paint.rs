//! Colours and the width of a page. Both are for terminals only; a pipe or a file gets neither.

use std::io::{IsTerminal, stdout};

use super::width::columns;
use crate::model::Lane;

/// How to draw a page.
#[derive(Debug, Clone, Copy)]
pub struct Paint {
    colour: bool,
    width: Option<usize>,
}

impl Paint {
    /// With or without colours; `width` in terminal columns, `None` for a pipe or a file.
    #[must_use]
    pub const fn new(colour: bool, width: Option<usize>) -> Self {
        Self { colour, width }
    }

    /// No colours, and lines of any length.
    #[must_use]
    pub const fn plain() -> Self {
        Self::new(false, None)
    }

    /// What standard output takes. `NO_COLOR` and `TERM=dumb` switch colours off.
    #[must_use]
    pub fn of_stdout() -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let plain = set("NO_COLOR").is_some() || set("TERM").is_some_and(|term| term == "dumb");
        let terminal = stdout().is_terminal();
        Self::new(terminal && !plain, columns(terminal))
    }

    /// Whether colours are on.
    #[must_use]
    pub const fn has_colour(self) -> bool {
        self.colour
    }

    /// The width of the terminal; `None` if the output is not a terminal.
    #[must_use]
    pub const fn width(self) -> Option<usize> {
        self.width
    }

    fn code(self, code: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// Bold.
    #[must_use]
    pub fn bold(self, text: &str) -> String {
        self.code("1", text)
    }

    /// Less visible than the rest.
    #[must_use]
    pub fn dim(self, text: &str) -> String {
        self.code("2", text)
    }

    /// Bold and red.
    #[must_use]
    pub fn alarm(self, text: &str) -> String {
        self.code("1;31", text)
    }

    /// The colour of a lane: red for work, yellow for missing data, green for finished.
    #[must_use]
    pub fn lane(self, lane: Lane, text: &str) -> String {
        let code = if lane.is_finished() {
            "32"
        } else if lane.is_coverage_gap() {
            "33"
        } else {
            "31"
        };
        self.code(code, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_added_only_on_request() {
        assert_eq!(Paint::plain().lane(Lane::Replace, "replace"), "replace");
        assert_eq!(Paint::new(true, None).lane(Lane::Clear, "clear"), "\u{1b}[32mclear\u{1b}[0m");
    }
}
