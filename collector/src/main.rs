//! `muster-collector`: decides the role and the exit code, nothing else.

fn main() {}
