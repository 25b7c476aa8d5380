//! Parsers of what only macOS has.

pub mod name;
