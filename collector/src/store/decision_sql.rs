//! Conditions and columns about waivers and dispositions in the statements of the hot tables, the same text for both backends.
//! `order` and `now` are parameters or literals, `host` is the column with the number of a host. `CROSS JOIN` makes SQLite begin with the index on
//! the host.

/// The stored state of what was approved: see the tables `waiver` and `disposition`.
pub(in crate::store) const APPROVED: i64 = 3;

/// How many hosts waivers in force under an order have together, and how many approved dispositions have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::store) struct DecidedAtMost {
    pub(in crate::store) waived: u64,
    pub(in crate::store) retired: u64,
}

impl DecidedAtMost {
    /// Whether no host is waived or retired.
    pub(in crate::store) const fn is_nothing(self) -> bool {
        self.waived == 0 && self.retired == 0
    }

    pub(in crate::store) const fn hosts(self) -> u64 {
        self.waived.saturating_add(self.retired)
    }
}

/// Whether the waiver `a` is in force.
pub(in crate::store) fn waiver_in_force(order: &str, now: &str) -> String {
    format!(
        "a.order_id = {order} AND a.state = {APPROVED} AND a.decided_at <= {now} AND a.until > {now}
         AND (a.ended_at IS NULL OR a.ended_at > {now})"
    )
}

/// Whether the disposition `d` retires its host `x`, unless that has reported since.
pub(in crate::store) fn disposition_in_force(now: &str) -> String {
    format!(
        "d.state = {APPROVED} AND d.decided_at <= {now} AND (x.ended_at IS NULL OR x.ended_at > {now})
         AND (x.returned_at IS NULL OR x.returned_at > {now})"
    )
}

/// Two columns about a host: since when it would have to be silent to be retired, and whether it is waived.
pub(in crate::store) fn columns(order: &str, now: &str) -> String {
    format!("{}, {}", retired_from(now), is_waived("h.no", order, now))
}

fn retired_from(now: &str) -> String {
    let in_force = disposition_in_force(now);
    format!(
        "(SELECT max(d.requested_at) FROM disposition_host x CROSS JOIN disposition d
          WHERE x.host = h.no AND d.no = x.disposition AND {in_force})"
    )
}

/// Whether a waiver covers the host.
pub(in crate::store) fn is_waived(host: &str, order: &str, now: &str) -> String {
    let in_force = waiver_in_force(order, now);
    format!(
        "EXISTS (SELECT 1 FROM waiver_host w CROSS JOIN waiver a
                 WHERE w.host = {host} AND a.no = w.waiver AND {in_force})"
    )
}

/// When the decision was approved that gives the host its lane, as [`crate::judge::HostDecisions::under`] chooses it; NULL if nothing
/// is decided.
pub(in crate::store) fn decided_since(host: &str, order: &str, now: &str, last_seen: &str) -> String {
    let (retired, waived) = (disposition_in_force(now), waiver_in_force(order, now));
    format!(
        "(SELECT d.decided_at FROM disposition_host x CROSS JOIN disposition d
          WHERE x.host = {host} AND d.no = x.disposition AND {retired} AND d.requested_at >= {last_seen}
          ORDER BY d.needs_second = 1 AND d.requested_by = d.decided_by, d.no LIMIT 1),
         (SELECT a.decided_at FROM waiver_host w CROSS JOIN waiver a
          WHERE w.host = {host} AND a.no = w.waiver AND {waived}
          ORDER BY a.requested_by = a.decided_by, a.no LIMIT 1)"
    )
}

/// Whether the host is retired, by its last check-in in this column.
pub(in crate::store) fn is_retired(now: &str, last_seen: &str) -> String {
    let in_force = disposition_in_force(now);
    format!(
        "EXISTS (SELECT 1 FROM disposition_host x CROSS JOIN disposition d
                 WHERE x.host = h.no AND d.no = x.disposition AND {in_force} AND d.requested_at >= {last_seen})"
    )
}

/// When a host of `h` was retired, by its last check-in in this column; NULL if it is not.
pub(in crate::store) fn left_at(now: &str, last_seen: &str) -> String {
    let in_force = disposition_in_force(now);
    format!(
        "(SELECT min(d.decided_at) FROM disposition_host x CROSS JOIN disposition d
          WHERE x.host = h.no AND d.no = x.disposition AND {in_force} AND d.requested_at >= {last_seen})"
    )
}

/// The numbers of all hosts that a waiver or a disposition in force names.
pub(in crate::store) fn hosts(order: &str, now: &str) -> String {
    format!(
        "SELECT w.host FROM waiver a JOIN waiver_host w ON w.waiver = a.no WHERE {}
         UNION SELECT x.host FROM disposition d JOIN disposition_host x ON x.disposition = d.no WHERE {}",
        waiver_in_force(order, now),
        disposition_in_force(now)
    )
}
