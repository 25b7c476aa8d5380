//! The append-only history of verdict changes and operator deeds.
