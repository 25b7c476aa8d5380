//! The check of the whole store: what `muster-collector check` prints. The crash tests use it too.

use muster_proto::canonical;
use muster_proto::model::Digest;
use muster_proto::terminal::Progress;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::dictionary::Table;
use super::fault::{Step, StoreFault};
use super::{index, row, section, snapshot, unreferenced};
use crate::store::decide::sealed::SealedCheck;
use crate::store::number_set::NumberSet;
use crate::store::{StoreCheck, body, postings, snapshot_codec};

/// Faults of one kind that are listed one by one; the rest is only counted.
const LISTED: usize = 20;

/// Each statement finds rows that must not exist. Its line names them by their first column.
const RULES: &[(&str, &str)] = &[
    (
        "the current snapshot of host {} is not complete",
        "SELECT hex(h.id) FROM host h JOIN snapshot l ON l.no = h.snapshot WHERE l.complete <> 1",
    ),
    (
        "the earlier snapshots of host {} do not end before the current one begins",
        "SELECT DISTINCT hex(h.id) FROM host_snapshot p JOIN host h ON h.no = p.host
         WHERE h.snapshot_since IS NULL OR p.since >= h.snapshot_since",
    ),
    (
        "host {} has the same snapshot twice in a row in its history",
        "SELECT DISTINCT hex(h.id) FROM (
             SELECT host, snapshot, lead(snapshot) OVER (PARTITION BY host ORDER BY since) AS next FROM (
                 SELECT host, since, snapshot FROM host_snapshot
                 UNION ALL SELECT no, snapshot_since, snapshot FROM host WHERE snapshot IS NOT NULL
             )
         ) p JOIN host h ON h.no = p.host WHERE p.next = p.snapshot",
    ),
    (
        "the states of host {} do not end before the current one begins",
        "SELECT DISTINCT hex(h.id) FROM host_state p JOIN host h ON h.no = p.host
         WHERE h.state_since IS NULL OR p.since >= h.state_since",
    ),
    (
        "the gaps of host {} overlap in time",
        "SELECT DISTINCT hex(h.id) FROM (
             SELECT host, since, until, lead(since) OVER (PARTITION BY host ORDER BY since) AS next FROM host_gap
         ) p JOIN host h ON h.no = p.host WHERE p.until <= p.since OR p.next < p.until",
    ),
    (
        "the lanes of host {} overlap in time",
        "SELECT DISTINCT hex(h.id) FROM (
             SELECT host, since, until, lead(since) OVER (PARTITION BY host, order_no ORDER BY since) AS next FROM (
                 SELECT host, order_no, since, until FROM verdict_history
                 UNION ALL SELECT host, order_no, since, NULL FROM verdict
             )
         ) p JOIN host h ON h.no = p.host
         WHERE p.until <= p.since OR p.next < p.until OR (p.until IS NULL AND p.next IS NOT NULL)",
    ),
    (
        "a dictionary has the same text twice: {}",
        "SELECT text FROM phrase GROUP BY text HAVING count(*) > 1
         UNION ALL SELECT name FROM title WHERE no IN (SELECT title FROM edition)
             GROUP BY name, vendor, kind, platform HAVING count(*) > 1
         UNION ALL SELECT 'edition ' || min(no) FROM edition
             GROUP BY title, version, from_name, id, state HAVING count(*) > 1",
    ),
    (
        "edition {} has no title or no version",
        "SELECT CAST(e.no AS TEXT) FROM edition e LEFT JOIN title t ON t.no = e.title LEFT JOIN version v ON v.no = e.version
         WHERE t.no IS NULL OR v.no IS NULL",
    ),
    (
        "the tally differs from a recount: {}",
        "SELECT 'order ' || (SELECT id FROM orders WHERE no = order_no) || ', site ' || (SELECT id FROM site WHERE no = t.site)
                || ', lane ' || lane || ', in scope ' || in_scope || ', listed ' || listed || ': ' || sum(kept) || ' stored, ' || sum(counted) || ' counted'
         FROM (
             SELECT order_no, site, lane, in_scope, listed, hosts AS kept, 0 AS counted FROM tally
             UNION ALL
             SELECT v.order_no, h.site, v.lane, v.in_scope, h.listed, 0, count(*) FROM verdict v JOIN host h ON h.no = v.host
             GROUP BY v.order_no, h.site, v.lane, v.in_scope, h.listed
         ) t GROUP BY order_no, site, lane, in_scope, listed HAVING sum(kept) <> sum(counted)",
    ),
    (
        "the number of entries of the roster differs from a recount: {}",
        "SELECT 'state ' || state || ', site ' || site || ', platform ' || platform || ': ' || sum(kept) || ' stored, '
                || sum(counted) || ' counted'
         FROM (SELECT state, site, platform, entries AS kept, 0 AS counted FROM roster_count
               UNION ALL
               SELECT state, counted_site, platform, 0, count(*) FROM roster_entry GROUP BY state, counted_site, platform) t
         GROUP BY state, site, platform HAVING sum(kept) <> sum(counted)",
    ),
    (
        "host {} is counted as a machine of the roster and is none, or the other way round",
        "SELECT hex(h.id) FROM host h LEFT JOIN roster_entry e ON e.host = h.no WHERE h.listed <> (e.no IS NOT NULL)",
    ),
    (
        "waiver {} covers more hosts than were asked for",
        "SELECT CAST(x.waiver AS text) FROM waiver_host x LEFT JOIN waiver w ON w.no = x.waiver WHERE coalesce(w.state, 0) <> 1
         GROUP BY x.waiver, w.hosts HAVING count(*) > coalesce(w.hosts, 0)",
    ),
    (
        "the number of hosts differs from a recount: {}",
        "SELECT 'site ' || (SELECT id FROM site WHERE no = t.site) || ': ' || sum(kept) || ' stored, ' || sum(counted)
                || ' counted'
         FROM (SELECT site, hosts AS kept, 0 AS counted FROM site_hosts
               UNION ALL SELECT site, 0, count(*) FROM host GROUP BY site) t
         GROUP BY site HAVING sum(kept) <> sum(counted)",
    ),
    (
        "host {} has neither a verdict nor a place on the judge queue",
        "SELECT hex(h.id) FROM host h WHERE h.ticket IS NULL
         AND EXISTS (SELECT 1 FROM orders) AND NOT EXISTS (SELECT 1 FROM verdict v WHERE v.host = h.no)
         AND EXISTS (SELECT 1 FROM verdict)",
    ),
    (
        "host {} has no row for its last check-in",
        "SELECT hex(h.id) FROM host h WHERE NOT EXISTS (SELECT 1 FROM host_check_in s WHERE s.host = h.no)",
    ),
    (
        "host {} does not have exactly one key in use",
        "SELECT hex(h.id) FROM host h
         WHERE (SELECT count(*) FROM host_key k WHERE k.host = h.no AND k.status = 1) <> 1",
    ),
    (
        "a mark belongs to no host: number {}",
        "SELECT CAST(m.host AS TEXT) FROM host_mark m WHERE NOT EXISTS (SELECT 1 FROM host h WHERE h.no = m.host)",
    ),
    (
        "enrollment token {} was used more often than allowed",
        "SELECT id FROM enrollment_token WHERE max_uses > 0 AND uses > max_uses",
    ),
];

pub(super) fn check(sql: &Connection, progress: &Progress) -> Step<StoreCheck> {
    let mut check = StoreCheck::default();
    let mut faults = Vec::new();
    listed(sql, "PRAGMA integrity_check", "the database file is damaged: {}", &mut faults, |text| text != "ok")?;
    listed(sql, "PRAGMA foreign_key_check", "table {} refers to a row that does not exist", &mut faults, |_| true)?;
    // The records take nearly all of the time.
    let records = "SELECT (SELECT count(*) FROM section) + (SELECT count(*) FROM snapshot)";
    progress.expect(sql.query_row(records, [], |row| row.get::<_, i64>(0))?.cast_unsigned());
    sections(sql, progress, &mut check, &mut faults)?;
    snapshots(sql, progress, &mut check, &mut faults)?;
    index_of_search(sql, &mut faults)?;
    faults.extend(ledger(sql)?);
    for (sentence, find) in RULES {
        listed(sql, find, sentence, &mut faults, |_| true)?;
    }
    let hosts: i64 = sql.query_row("SELECT count(*) FROM host", [], |row| row.get(0))?;
    check.hosts = hosts.cast_unsigned();
    check.unreferenced = unreferenced::count(sql)?;
    check.faults = faults;
    Ok(check)
}

fn listed(
    sql: &Connection,
    find: &str,
    sentence: &str,
    faults: &mut Vec<String>,
    is_fault: impl Fn(&str) -> bool,
) -> Step<()> {
    let mut statement = sql.prepare(find)?;
    let mut rows = statement.query([])?;
    let mut more = 0;
    let first = faults.len();
    while let Some(found) = rows.next()? {
        let what: String = found.get(0)?;
        if !is_fault(&what) {
            continue;
        }
        if faults.len() - first < LISTED {
            faults.push(sentence.replace("{}", &what));
        } else {
            more += 1;
        }
    }
    if more > 0 {
        faults.push(format!("{}: and {more} more", sentence.replace("{}", "…")));
    }
    Ok(())
}

/// Rebuilds every section and compares the digest of its bytes.
fn sections(sql: &Connection, progress: &Progress, check: &mut StoreCheck, faults: &mut Vec<String>) -> Step<()> {
    each(sql, "SELECT digest FROM section", |found| {
        check.sections += 1;
        progress.advance(1);
        let Some(digest) = digest(found, "a section", faults)? else { return Ok(()) };
        match section::get(sql, &mut Table(sql), &digest) {
            Ok(Some(section)) if section.digest() == digest => {}
            Ok(_) => faults.push(format!("section {} is rebuilt with another digest", digest.short())),
            Err(StoreFault::Damaged { what, reason }) => faults.push(format!("{what} is damaged: {reason}")),
            Err(other) => return Err(other),
        }
        Ok(())
    })
}

/// Rebuilds every snapshot and compares its digest. The sections of a complete snapshot must exist.
fn snapshots(sql: &Connection, progress: &Progress, check: &mut StoreCheck, faults: &mut Vec<String>) -> Step<()> {
    each(sql, "SELECT digest, entries, complete FROM snapshot", |found| {
        check.snapshots += 1;
        progress.advance(1);
        let Some(digest) = digest(found, "a snapshot", faults)? else { return Ok(()) };
        let complete: bool = found.get(2)?;
        match snapshot::read(sql, &digest, &found.get::<_, Vec<u8>>(1)?, complete) {
            Ok(snapshot) if canonical::snapshot_digest(&snapshot) == digest => {}
            Ok(_) => faults.push(format!("snapshot {} is rebuilt with another digest", digest.short())),
            Err(StoreFault::Damaged { what, reason }) => faults.push(format!("{what} is damaged: {reason}")),
            Err(other) => return Err(other),
        }
        Ok(())
    })
}

/// Compares the search index with the sections and the snapshots.
fn index_of_search(sql: &Connection, faults: &mut Vec<String>) -> Step<()> {
    // Sums of fingerprints compare two sets of postings in any order and without holding them in memory.
    let (mut indexed, mut expected, mut there) = (0_u64, 0_u64, NumberSet::default());
    let covered = index::covered(sql)?;
    each(sql, &format!("SELECT no, body FROM section WHERE no <= {covered}"), |found| {
        let number = found.get(0)?;
        there.insert(number);
        // A body that cannot be read is reported already.
        if let Ok(editions) = body::editions(&found.get::<_, Vec<u8>>(1)?) {
            expected =
                editions.iter().fold(expected, |sum, edition| sum.wrapping_add(postings::of_pair(*edition, number)));
        }
        Ok(())
    })?;
    each(sql, "SELECT no FROM index_segment", |found| {
        // A segment may name sections that were removed since.
        match postings::fingerprint(&index::blocks(sql, found.get(0)?)?, |section| there.contains(section)) {
            Ok(sum) => indexed = indexed.wrapping_add(sum),
            Err(StoreFault::Damaged { what, reason }) => faults.push(format!("{what} is damaged: {reason}")),
            Err(other) => return Err(other),
        }
        Ok(())
    })?;
    if indexed != expected {
        faults.push("the search index differs from the sections".to_owned());
    }
    let (mut indexed, mut expected) = (0_u64, 0_u64);
    each(sql, "SELECT section, snapshot FROM snapshot_section", |found| {
        indexed = indexed.wrapping_add(postings::of_pair(found.get::<_, i64>(1)? as u32, found.get(0)?));
        Ok(())
    })?;
    each(sql, "SELECT no, entries FROM snapshot WHERE complete", |found| {
        if let Ok(mut sections) = snapshot_codec::sections(&found.get::<_, Vec<u8>>(1)?) {
            let snapshot = found.get::<_, i64>(0)? as u32;
            sections.sort_unstable();
            sections.dedup();
            expected =
                sections.iter().fold(expected, |sum, section| sum.wrapping_add(postings::of_pair(snapshot, *section)));
        }
        Ok(())
    })?;
    if indexed != expected {
        faults.push("the sections of snapshots differ from the snapshots".to_owned());
    }
    Ok(())
}

fn digest(found: &Row<'_>, what: &str, faults: &mut Vec<String>) -> Step<Option<Digest>> {
    let bytes: Vec<u8> = found.get(0)?;
    let digest = Digest::try_from(bytes.as_slice()).ok();
    if digest.is_none() {
        faults.push(format!("{what} has a digest of {} bytes", bytes.len()));
    }
    Ok(digest)
}

fn each(sql: &Connection, find: &str, mut work: impl FnMut(&Row<'_>) -> Step<()>) -> Step<()> {
    let mut statement = sql.prepare(find)?;
    let mut rows = statement.query([])?;
    while let Some(found) = rows.next()? {
        work(found)?;
    }
    Ok(())
}

/// Compares the entries of the ledger with what was sealed.
fn ledger(sql: &Connection) -> Step<Vec<String>> {
    let text = |find: &str| -> Step<Option<String>> { Ok(sql.query_row(find, [], |row| row.get(0)).optional()?) };
    let (checkpoint, key) = (text("SELECT checkpoint FROM ledger_tree")?, text("SELECT verifier_key FROM seal")?);
    let mut check = SealedCheck::new(checkpoint.as_deref(), key.as_deref());
    let mut statement = sql.prepare(
        "SELECT l.no, l.at, l.entry, f.hash FROM ledger l LEFT JOIN ledger_leaf f ON f.no = l.no ORDER BY l.no",
    )?;
    let mut rows = statement.query([])?;
    while let Some(found) = rows.next()? {
        let entry: String = found.get(2)?;
        if check.feed(found.get(0)?, row::instant(found, 1)?, &entry, found.get(3)?).is_break() {
            break;
        }
    }
    let tree: Option<Vec<u8>> = sql.query_row("SELECT state FROM ledger_tree", [], |row| row.get(0)).optional()?;
    Ok(check.faults(tree.as_deref()))
}
