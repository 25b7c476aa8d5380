//! The check of the whole store: what `muster-collector check` prints. The crash tests use it too.

mod rules;

use std::collections::{BTreeMap, BTreeSet};

use muster_proto::canonical::{self, CanonicalSection};
use muster_proto::model::{Digest, Snapshot};
use muster_proto::terminal::Progress;
use tokio_postgres::Row;

use self::rules::RULES;
use super::fault::{PostgresFault, Step};
use super::intern::{self, Dictionary};
use super::session::Session;
use super::{index, row, section, snapshot, unreferenced};
use crate::store::admin::sealing::LEAVES;
use crate::store::decide::sealed::SealedCheck;
use crate::store::fault::StoreFault;
use crate::store::number_set::NumberSet;
use crate::store::{StoreCheck, postings};

/// Faults of one kind that are listed one by one; the rest is only counted.
const LISTED: usize = 20;
/// Records that are read at a time.
const PORTION: i64 = 500;

/// Must run in a transaction that sees one moment.
pub(super) async fn check(session: &Session, progress: &Progress) -> Step<StoreCheck> {
    // A check reads everything, which may take longer than any other statement may.
    session.batch("SET LOCAL statement_timeout = 0; SET LOCAL enable_seqscan = on").await?;
    let mut check = StoreCheck::default();
    let mut faults = Vec::new();
    // The check trusts only the database, so it reads the dictionary instead of using the cached one.
    let dictionary = Dictionary::read(session).await?;
    let records = "SELECT (SELECT count(*) FROM section) + (SELECT count(*) FROM snapshot)";
    let records = session.query_once(records, &[]).await?;
    progress.expect(records.first().map_or(Ok(0), |found| row::count(found, 0))?);
    sections(session, &dictionary, progress, &mut check, &mut faults).await?;
    snapshots(session, progress, &mut check, &mut faults).await?;
    for kind in index::IndexKind::ALL {
        index_of_search(session, kind, &mut faults).await?;
    }
    faults.extend(ledger(session).await?);
    for (sentence, find) in RULES {
        let rows = session.query_once(find, &[]).await?;
        for found in rows.iter().take(LISTED) {
            faults.push(sentence.replace("{}", found.try_get(0)?));
        }
        if rows.len() > LISTED {
            faults.push(format!("{}: and {} more", sentence.replace("{}", "…"), rows.len() - LISTED));
        }
    }
    let hosts = session.query_once("SELECT count(*) FROM host", &[]).await?;
    check.hosts = hosts.first().map_or(Ok(0), |found| row::count(found, 0))?;
    if let Some(edition) = dictionary.repeated() {
        faults.push(format!("edition {edition} is in the dictionary twice"));
    }
    check.unreferenced = unreferenced::count(session, &dictionary).await?;
    check.faults = faults;
    Ok(check)
}

/// Compares the entries of the ledger with what was sealed.
async fn ledger(session: &Session) -> Step<Vec<String>> {
    let text = async |find: &str| -> Step<Option<String>> {
        Ok(session.query_once(find, &[]).await?.first().map(|found| found.try_get(0)).transpose()?)
    };
    let checkpoint = text("SELECT checkpoint FROM ledger_tree").await?;
    let key = text("SELECT verifier_key FROM seal").await?;
    let mut check = SealedCheck::new(checkpoint.as_deref(), key.as_deref());
    let mut after = 0_i64;
    'reading: loop {
        let rows = session.query(LEAVES, &[&after, &PORTION]).await?;
        let Some(last) = rows.last() else { break };
        after = last.try_get(0)?;
        for found in &rows {
            let hash = found.try_get::<_, Option<&[u8]>>(3)?.map(<[u8; 32]>::try_from).transpose();
            let hash = hash.map_err(|_| PostgresFault::damaged("a sealed hash", "it does not have 32 bytes"))?;
            if check.feed(found.try_get(0)?, row::instant(found, 1)?, found.try_get(2)?, hash).is_break() {
                break 'reading;
            }
        }
    }
    let tree = session.query_once("SELECT state FROM ledger_tree", &[]).await?;
    let tree: Option<Vec<u8>> = tree.first().map(|found| found.try_get(0)).transpose()?;
    Ok(check.faults(tree.as_deref()))
}

/// Rebuilds every section and compares the digest of its bytes.
async fn sections(
    session: &Session,
    dictionary: &Dictionary,
    progress: &Progress,
    check: &mut StoreCheck,
    faults: &mut Vec<String>,
) -> Step<()> {
    let find = "SELECT platform, source, body, digest, no FROM section WHERE no > $1 ORDER BY no LIMIT $2";
    let mut after = i64::MIN;
    loop {
        let rows = session.query(find, &[&after, &PORTION]).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.try_get(4)?;
        for found in &rows {
            check.sections += 1;
            progress.advance(1);
            let digest = row::digest(found, 3)?;
            match rebuilt_section(dictionary, &digest, found) {
                Ok(section) if section.digest() == digest => {}
                Ok(_) => faults.push(format!("section {} is rebuilt with another digest", digest.short())),
                Err(fault) => faults.push(damage(fault)?),
            }
        }
    }
}

/// Rebuilds every snapshot and compares its digest. The sections of a complete snapshot must exist.
async fn snapshots(
    session: &Session,
    progress: &Progress,
    check: &mut StoreCheck,
    faults: &mut Vec<String>,
) -> Step<()> {
    let find = "SELECT digest, entries, complete, no FROM snapshot WHERE no > $1 ORDER BY no LIMIT $2";
    let mut after = i64::MIN;
    loop {
        let rows = session.query(find, &[&after, &PORTION]).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.try_get(3)?;
        let mut numbers = BTreeSet::new();
        for found in rows.iter().filter(|found| found.try_get(2).unwrap_or(false)) {
            // Snapshots that cannot be read are reported below.
            numbers.extend(snapshot::section_numbers(found.try_get(1)?, &row::digest(found, 0)?).unwrap_or_default());
        }
        let sections = snapshot::section_digests(session, &numbers).await?;
        for found in &rows {
            check.snapshots += 1;
            progress.advance(1);
            let digest = row::digest(found, 0)?;
            match rebuilt(found, &digest, &sections) {
                Ok(snapshot) if canonical::snapshot_digest(&snapshot) == digest => {}
                Ok(_) => faults.push(format!("snapshot {} is rebuilt with another digest", digest.short())),
                Err(fault) => faults.push(damage(fault)?),
            }
        }
    }
}

/// Compares the search index with the rows that it covers. Snapshots that became complete late may be in it or not.
async fn index_of_search(session: &Session, kind: index::IndexKind, faults: &mut Vec<String>) -> Step<()> {
    let late: BTreeSet<i64> = match kind {
        index::IndexKind::Sections => BTreeSet::new(),
        index::IndexKind::Snapshots => {
            let rows = session.query("SELECT snapshot FROM snapshot_late", &[]).await?;
            rows.iter().map(|found| Ok(found.try_get(0)?)).collect::<Step<_>>()?
        }
    };
    let (mut said, mut meant, mut there) = (0_u64, 0_u64, NumberSet::default());
    let covered = index::covered(session, kind).await?;
    let mut after = 0;
    loop {
        let rows = match index::after(session, kind, after, PORTION).await {
            Ok(rows) => rows,
            // Rows that cannot be read are reported already; the index cannot be compared with them.
            Err(fault) => return damage(fault).map(drop),
        };
        let Some((last, _)) = rows.last() else { break };
        after = *last;
        for (to, from) in rows.iter().filter(|(to, _)| *to <= covered && !late.contains(to)) {
            there.insert(*to);
            meant = from.iter().fold(meant, |sum, from| sum.wrapping_add(postings::of_pair(*from, *to)));
        }
    }
    for found in session.query("SELECT no FROM index_segment WHERE kind = $1", &[&kind.code()]).await? {
        // A segment may name rows that were removed since.
        let blocks = index::blocks(session, found.try_get(0)?).await?;
        match postings::fingerprint(&blocks, |to| there.contains(to)) {
            Ok(sum) => said = said.wrapping_add(sum),
            Err(fault) => faults.push(damage(fault.into())?),
        }
    }
    if said != meant {
        let of = if kind == index::IndexKind::Sections { "sections" } else { "snapshots" };
        faults.push(format!("the search index differs from the {of}"));
    }
    Ok(())
}

fn rebuilt_section(dictionary: &Dictionary, digest: &Digest, found: &Row) -> Step<CanonicalSection> {
    let (platform, source, body) = section::parts(found)?;
    let section = dictionary.decode(platform, source, body).and_then(|section| section.ok_or_else(intern::lost));
    section.map_err(|fault| section::of_section(digest, fault.into()))
}

fn rebuilt(found: &Row, digest: &Digest, sections: &BTreeMap<i64, Digest>) -> Step<Snapshot> {
    let bytes = found.try_get(1)?;
    if found.try_get(2)? { snapshot::complete(bytes, digest, sections) } else { snapshot::incomplete(bytes, digest) }
}

/// The line for damaged bytes; any other fault ends the check.
fn damage(fault: PostgresFault) -> Step<String> {
    match fault {
        PostgresFault::Store(StoreFault::Damaged { what, reason }) => Ok(format!("{what} is damaged: {reason}")),
        other @ (PostgresFault::Conflict(_) | PostgresFault::ConnectionLost(_) | PostgresFault::Store(_)) => Err(other),
    }
}
