//! `muster`: the operators' program, a client of FleetService.

fn main() {}
