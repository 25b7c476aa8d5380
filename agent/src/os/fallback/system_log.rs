//! Systems that keep the standard error of a service.

use super::Severity;

pub(super) const fn is_needed() -> bool {
    false
}

pub(super) const fn report(_severity: Severity, _text: &str) {}
