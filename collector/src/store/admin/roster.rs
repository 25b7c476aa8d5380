//! The roster: the machines that should answer. Lists of machines are imported, and their entries are matched with hosts.
//!
//! ```text
//!  list ─► rows ─► records, one per source and row ─► entries, one per machine ─► a host, or candidates that a person reviews
//! ```

pub(crate) mod by_hand;
pub(crate) mod entries;
pub(crate) mod import;
mod moves;
pub(crate) mod pending;
mod records;

#[cfg(test)]
pub(super) fn statements() -> Vec<&'static str> {
    [
        by_hand::STATEMENTS,
        entries::STATEMENTS,
        import::STATEMENTS,
        moves::STATEMENTS,
        pending::STATEMENTS,
        records::STATEMENTS,
    ]
    .concat()
}
