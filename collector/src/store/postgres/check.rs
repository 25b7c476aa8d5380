//! Checks everything against everything: what `muster-collector check` prints, and what the crash tests ask.

mod rules;

use muster_proto::canonical;
use muster_proto::model::Digest;

use self::rules::RULES;
use super::fault::{Fault, Step};
use super::intern::Intern;
use super::session::Session;
use super::{look, report, row, section};
use crate::store::{StoreCheck, fault};

/// Faults of one kind that are listed one by one; after these they are only counted.
const LISTED: usize = 20;
/// Records that are read at once.
const PORTION: i64 = 500;

/// Within a transaction that sees one moment.
pub(super) async fn check(session: &Session, intern: &Intern) -> Step<StoreCheck> {
    // A check reads everything, and may take as long as that takes.
    session.batch("SET LOCAL statement_timeout = 0; SET LOCAL enable_seqscan = on").await?;
    let mut check = StoreCheck::default();
    let mut faults = Vec::new();
    sections(session, intern, &mut check, &mut faults).await?;
    looks(session, &mut check, &mut faults).await?;
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
    check.faults = faults;
    Ok(check)
}

/// Every section is rebuilt, and its bytes are hashed.
async fn sections(session: &Session, intern: &Intern, check: &mut StoreCheck, faults: &mut Vec<String>) -> Step<()> {
    let find = "SELECT platform, source, body, digest, no FROM section WHERE no > $1 ORDER BY no LIMIT $2";
    let mut after = i64::MIN;
    loop {
        let rows = session.query(find, &[&after, &PORTION]).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.try_get(4)?;
        for found in &rows {
            check.sections += 1;
            let digest = row::digest(found, 3)?;
            match section::rebuilt(session, intern, &digest, found, false).await {
                Ok(section) if canonical::section_digest(&section) == digest => {}
                Ok(_) => faults.push(format!("section {} is rebuilt with another digest", digest.short())),
                Err(fault) => faults.push(damage(fault)?),
            }
        }
    }
}

/// Every look is read and hashed; a complete one has all its sections.
async fn looks(session: &Session, check: &mut StoreCheck, faults: &mut Vec<String>) -> Step<()> {
    let find = "SELECT digest, entries, complete, no FROM look WHERE no > $1 ORDER BY no LIMIT $2";
    let mut after = i64::MIN;
    loop {
        let rows = session.query(find, &[&after, &PORTION]).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.try_get(3)?;
        let mut wanted: Vec<(Digest, Digest)> = Vec::new();
        for found in &rows {
            check.looks += 1;
            let (digest, bytes) = (row::digest(found, 0)?, found.try_get::<_, &[u8]>(1)?);
            if Digest::of(bytes) != digest {
                faults.push(format!("look {} has bytes with another digest", digest.short()));
                continue;
            }
            match look::read(bytes, &digest) {
                Ok(look) if found.try_get(2)? => {
                    wanted.extend(report::sections_of(&look).into_iter().map(|section| (digest, section)));
                }
                Ok(_) => {}
                Err(fault) => faults.push(damage(fault)?),
            }
        }
        missing(session, &wanted, faults).await?;
    }
}

/// Looks that are complete, and a section of each.
async fn missing(session: &Session, wanted: &[(Digest, Digest)], faults: &mut Vec<String>) -> Step<()> {
    let keys: Vec<&[u8]> = wanted.iter().map(|(_, section)| section.as_bytes().as_slice()).collect();
    let find = "SELECT w.at FROM unnest($1::bytea[]) WITH ORDINALITY AS w (digest, at)
                WHERE NOT EXISTS (SELECT 1 FROM section s WHERE s.digest = w.digest) ORDER BY w.at";
    for found in session.query(find, &[&keys]).await? {
        let at = usize::try_from(found.try_get::<_, i64>(0)?).unwrap_or_default();
        if let Some((look, section)) = at.checked_sub(1).and_then(|at| wanted.get(at)) {
            faults.push(format!("look {} is complete, and its section {} is not there", look.short(), section.short()));
        }
    }
    Ok(())
}

/// The sentence of a damage; any other fault ends the check.
fn damage(fault: Fault) -> Step<String> {
    match fault {
        Fault::Plain(fault::Fault::Damaged { what, reason }) => Ok(format!("{what} is damaged: {reason}")),
        other @ (Fault::Again(_) | Fault::Lost(_) | Fault::Plain(_)) => Err(other),
    }
}
