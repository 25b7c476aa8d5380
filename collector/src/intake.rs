//! The agents' door: identity, limits, idempotence, pace.
