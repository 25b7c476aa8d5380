//! How pages write numbers, times, lanes and texts of others.

use std::time::Duration;

use askama::Template;
use askama::filters::HtmlSafe;
use muster_proto::model::{Lane, Timestamp};
use muster_proto::terminal::printable;

/// `1,234,567`.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 host`, `1,234 hosts`.
pub(super) fn counted(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", number(count), if count == 1 { "" } else { "s" })
}

/// A text from a host, a file or a person: hidden characters are made visible, and after `most` characters it ends with `…`.
/// The template escapes what HTML would read.
pub(super) fn clean(text: &str, most: usize) -> String {
    let text = match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    };
    printable(&text).replace('\n', "\u{23ce} ")
}

/// A name: a text of one cell.
pub(super) fn name(text: &str) -> String {
    clean(text, 128)
}

/// A duration as people say it: `40 s`, `28 min`, `5 h`, `3 days`.
pub(super) fn span(span: Duration) -> String {
    match span.as_secs() {
        seconds @ ..60 => format!("{seconds} s"),
        seconds @ ..3_600 => format!("{} min", seconds / 60),
        seconds @ ..172_800 => format!("{} h", seconds / 3_600),
        seconds => counted(seconds / 86_400, "day"),
    }
}

/// An instant, in UTC.
#[derive(Debug, Clone, Template)]
#[template(
    ext = "html",
    source = r#"<time class="{{ kind }}" datetime="{{ utc }}" title="{{ title }}">{{ text }}</time>"#
)]
pub(super) struct Moment {
    kind: &'static str,
    utc: String,
    title: String,
    text: String,
}

impl HtmlSafe for Moment {}

impl Moment {
    /// `2026-11-30 14:40 UTC`; the script shows it in the viewer's zone.
    pub(super) fn at(at: Timestamp) -> Self {
        let (utc, text) = (at.whole_seconds().to_rfc3339(), minutes(at));
        Self { kind: "at", title: utc.clone(), utc, text }
    }

    /// A deadline: the script adds the viewer's zone and keeps UTC.
    pub(super) fn deadline(at: Timestamp) -> Self {
        Self { kind: "deadline", ..Self::at(at) }
    }

    /// `3m ago`, `in 2 days`.
    pub(super) fn ago(at: Timestamp, now: Timestamp) -> Self {
        let text = if at > now {
            format!("in {}", span(at.since(now)))
        } else if now.since(at) < Duration::from_secs(60) {
            "just now".to_owned()
        } else {
            format!("{} ago", span(now.since(at)))
        };
        Self { kind: "ago", utc: at.whole_seconds().to_rfc3339(), title: minutes(at), text }
    }
}

fn minutes(at: Timestamp) -> String {
    let utc = at.whole_seconds().to_rfc3339();
    match utc.get(..16) {
        Some(minute) if utc.ends_with('Z') => format!("{} UTC", minute.replace('T', " ")),
        _ => utc,
    }
}

/// A lane: a shape for its kind, then its word.
#[derive(Debug, Clone, Template)]
#[template(ext = "html", source = r#"<span class="lane {{ kind }} l-{{ name }}">{{ name }}</span>"#)]
pub(super) struct LaneMark {
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
}

impl HtmlSafe for LaneMark {}

impl LaneMark {
    pub(super) const fn of(lane: Lane) -> Self {
        let kind = match lane {
            // Somebody must act.
            Lane::Replace | Lane::Remove | Lane::Protect => "open",
            // Nobody has answered.
            Lane::Silent | Lane::Unknown | Lane::Missing => "blind",
            Lane::Confirm | Lane::Done | Lane::Clear => "good",
            Lane::Waived | Lane::Retired => "aside",
        };
        Self { name: lane.name(), kind }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        let shown = [0, 999, 1_000, 12_345, 1_234_567, u64::MAX].map(number);
        assert_eq!(shown, ["0", "999", "1,000", "12,345", "1,234,567", "18,446,744,073,709,551,615"]);
        assert_eq!([0, 1, 2_000].map(|count| counted(count, "host")), ["0 hosts", "1 host", "2,000 hosts"]);
    }

    #[test]
    fn a_hostile_text_is_visible_and_ends() {
        assert_eq!(clean("web\u{202e}1\u{0}\nx", 99), "web\\u{202e}1\\u{0}\u{23ce} x");
        assert_eq!(clean("äöü", 2), "äö…");
        assert!(clean(&"x".repeat(65_536), 128).chars().count() == 129);
    }

    #[test]
    fn times_say_their_zone_and_the_markup_is_escaped() {
        let at = Timestamp::from_millis(1_767_000_000_123);
        let shown = Moment::at(at).to_string();
        let utc = "2025-12-29T09:20:00Z";
        let expected = format!(r#"<time class="at" datetime="{utc}" title="{utc}">2025-12-29 09:20 UTC</time>"#);
        assert_eq!(shown, expected);
        let ago = |seconds: u64| Moment::ago(at, at.plus(Duration::from_secs(seconds))).text;
        let shown = [0, 61, 7_000, 172_799, 3 * 86_400].map(ago);
        assert_eq!(shown, ["just now", "1 min ago", "1 h ago", "47 h ago", "3 days ago"]);
        assert_eq!(Moment::ago(at.plus(Duration::from_secs(5 * 86_400)), at).text, "in 5 days");
        assert!(Moment::at(Timestamp::from_millis(i64::MAX)).to_string().contains("ms"), "a year beyond 9999");
    }

    #[test]
    fn every_lane_has_a_shape() {
        for lane in Lane::ALL {
            let html = LaneMark::of(*lane).to_string();
            assert!(html.contains(&format!(">{lane}<")) && html.contains(&format!("l-{lane}")), "{html}");
        }
    }
}
