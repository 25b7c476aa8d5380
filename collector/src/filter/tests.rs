//! Tests of the filter language: what is read, what is refused, and which hosts match.

mod errors;
mod hosts;
mod properties;
mod reading;
