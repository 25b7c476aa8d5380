//! The same numbers for every face: store to `model::report`.
