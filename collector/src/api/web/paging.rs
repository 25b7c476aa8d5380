//! Below a list: how much of it is shown, the next page, the first one, and the whole as a file.

use super::format::{counted, number};
use super::query::Query;

/// The choices of rows.
const CHOICES: [usize; 4] = [50, 100, 200, 500];

/// What is below a list.
pub(super) struct Pager {
    /// `100 of 1,234 hosts`.
    pub(super) shown: String,
    /// The next page; empty on the last.
    pub(super) next: String,
    /// The first page; empty on it.
    pub(super) first: String,
    /// All rows of the list as a CSV file; empty if there is none.
    pub(super) download: String,
    /// How many rows a page may have: the number, the address, and whether it is so now.
    pub(super) rows: Vec<(usize, String, bool)>,
}

impl Pager {
    /// For a list at `path` that shows `shown` things, of `total` if that is known.
    pub(super) fn new(
        path: &str,
        query: &Query,
        next: Option<&str>,
        shown: usize,
        total: Option<u64>,
        noun: &str,
    ) -> Self {
        let of_page = u64::try_from(shown).unwrap_or(u64::MAX);
        let shown_text = match total {
            Some(total) if total != of_page => format!("{} of {}", number(of_page), counted(total, noun)),
            _ => counted(of_page, noun),
        };
        let whole = query.without("page");
        let now = query.rows().unwrap_or(CHOICES[1]);
        let choice = |rows: usize| (rows, whole.with("rows", &rows.to_string()).link(path), rows == now);
        Self {
            shown: shown_text,
            next: next.map(|next| query.with("page", next).link(path)).unwrap_or_default(),
            first: if query.has("page") { whole.link(path) } else { String::new() },
            download: String::new(),
            rows: CHOICES.into_iter().map(choice).collect(),
        }
    }

    /// The same with a file of all rows.
    pub(super) fn with_file(mut self, path: &str, query: &Query) -> Self {
        self.download = query.without("page").without("rows").link(path);
        self
    }
}

/// A choice of a menu: value, name, and whether it is chosen.
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) name: String,
    pub(super) chosen: bool,
}

/// The choices of a menu, with those that the question has chosen.
pub(super) fn choices(query: &Query, key: &str, of: impl IntoIterator<Item = (String, String)>) -> Vec<Choice> {
    let chosen: Vec<&str> = query.all(key).flat_map(|value| value.split(',')).collect();
    let choice = |(value, name): (String, String)| Choice { chosen: chosen.contains(&value.as_str()), value, name };
    of.into_iter().map(choice).collect()
}
