//! Prints durations for people.

use std::time::Duration;

const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// A duration with its two largest units: `3d 4h`, `2m 5s`, `40ms`.
#[must_use]
pub fn format_span(span: Duration) -> String {
    let mut rest = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let mut parts = Vec::new();
    for (name, size) in UNITS.iter().rev() {
        // Milliseconds matter only below a second.
        if rest >= *size && parts.len() < 2 && (parts.is_empty() || *name != "ms") {
            parts.push(format!("{}{name}", rest / size));
            rest %= size;
        }
    }
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}
