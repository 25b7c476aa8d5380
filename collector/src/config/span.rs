//! Spans of time as people write them: `90s`, `5m`, `12h`, `7d`, `250ms`, and sums of these (`1h30m`).

use std::time::Duration;

/// A text that is no span of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a span of time: write 250ms, 90s, 5m, 12h or 7d")]
pub struct InvalidSpan {
    /// The text.
    pub text: String,
}

const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Reads a span.
///
/// # Errors
/// It is none, or too long to count.
pub fn parse_span(text: &str) -> Result<Duration, InvalidSpan> {
    let invalid = || InvalidSpan { text: text.chars().take(40).collect() };
    let mut rest = text.trim();
    let mut millis: u64 = 0;
    if rest.is_empty() {
        return Err(invalid());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(invalid)?;
        let count: u64 = rest[..digits].parse().map_err(|_| invalid())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit = UNITS.iter().find(|(name, _)| *name == &rest[..letters]).ok_or_else(invalid)?;
        rest = &rest[letters..];
        millis = count.checked_mul(unit.1).and_then(|part| millis.checked_add(part)).ok_or_else(invalid)?;
    }
    Ok(Duration::from_millis(millis))
}

/// Writes a span with its two largest units: `3d 4h`, `2m 5s`, `40ms`.
#[must_use]
pub fn format_span(span: Duration) -> String {
    let mut rest = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let mut parts = Vec::new();
    for (name, size) in UNITS.iter().rev() {
        // Below a second, only what is shorter than a second is worth its milliseconds.
        if rest >= *size && parts.len() < 2 && (parts.is_empty() || *name != "ms") {
            parts.push(format!("{}{name}", rest / size));
            rest %= size;
        }
    }
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}
