//! What both backends decide: pure functions that take what is stored and return what to write.
//!
//! A backend loads, calls a decision, and writes. Nothing here knows SQL or waits for anything, so the tests beside each
//! decision need no database. Decisions are generic over a backend's row numbers.

pub(in crate::store) mod enroll;
pub(in crate::store) mod keys;
pub(in crate::store) mod silence;
pub(in crate::store) mod tally;
pub(in crate::store) mod tokens;
