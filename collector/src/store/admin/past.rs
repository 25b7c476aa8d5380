//! Reading the past: what is known of it, and how many machines were in each lane at some instants.
//!
//! Hosts and entries of the roster are read in the order of their numbers, some thousand at a time, so the memory does not grow
//! with the fleet. Of a history only the rows are read that are asked for: those that the end of a day lies in.

pub(crate) mod bounds;
pub(crate) mod decisions;
mod lanes;
pub(crate) mod portion;
pub(crate) mod snapshot;
pub(crate) mod tally;
pub(crate) mod timeline;

/// Every statement of this module.
#[cfg(test)]
pub(in crate::store) fn statements() -> Vec<&'static str> {
    [
        bounds::STATEMENTS,
        decisions::STATEMENTS,
        portion::STATEMENTS,
        snapshot::STATEMENTS,
        tally::STATEMENTS,
        timeline::STATEMENTS,
    ]
    .concat()
}
