//! What was judged once and serves many: hits of a section under a catalogue, assessments of a look and a state.

use std::collections::BTreeMap;

use muster_proto::model::{Assessment, Digest, OrderId};
use rusqlite::{Connection, OptionalExtension as _};

use super::fault::{Fault, Step};
use super::writer::Desk;
use super::{row, section};
use crate::judge::Hit;

pub(super) fn hits_get(sql: &Connection, sections: &[Digest], rules_version: &str) -> Step<BTreeMap<Digest, Vec<Hit>>> {
    let mut hits = BTreeMap::new();
    let Some(rules) = row::find_number(sql, row::FIND_RULES, rules_version)? else { return Ok(hits) };
    let mut statement = sql.prepare_cached(
        "SELECT i.hits FROM section s JOIN section_hit i ON i.section = s.no WHERE s.digest = ?1 AND i.rules = ?2",
    )?;
    for digest in sections {
        let found: Option<String> = statement.query_row((digest.as_bytes(), rules), |row| row.get(0)).optional()?;
        if let Some(text) = found {
            hits.insert(*digest, row::from_json("the hits of a section", &text)?);
        }
    }
    Ok(hits)
}

/// Hits under another version make way: a section has those of one catalogue.
pub(super) fn hits_put(desk: &mut Desk<'_>, hits: &BTreeMap<Digest, Vec<Hit>>, rules_version: &str) -> Step<()> {
    let rules = row::rules_number(desk.sql, rules_version)?;
    let mut statement = desk.sql.prepare_cached(
        "INSERT INTO section_hit (section, rules, hits) VALUES (?1, ?2, ?3)
         ON CONFLICT (section) DO UPDATE SET rules = excluded.rules, hits = excluded.hits",
    )?;
    for (digest, hits) in hits {
        let number = section::number(desk.sql, digest)?
            .ok_or_else(|| Fault::Other(format!("section {} is not there", digest.short())))?;
        statement.execute((number, rules, row::to_json(hits)?))?;
    }
    Ok(())
}

pub(super) fn assessments_get(
    sql: &Connection,
    look: &Digest,
    state_key: &Digest,
    rules_version: &str,
) -> Step<BTreeMap<OrderId, Assessment>> {
    let mut assessments = BTreeMap::new();
    let Some(rules) = row::find_number(sql, row::FIND_RULES, rules_version)? else { return Ok(assessments) };
    let mut statement = sql.prepare_cached(
        "SELECT o.id, a.body FROM look l JOIN assessment a ON a.look = l.no JOIN ord o ON o.no = a.ord
         WHERE l.digest = ?1 AND a.state_key = ?2 AND a.rules = ?3",
    )?;
    let mut rows = statement.query((look.as_bytes(), state_key.as_bytes(), rules))?;
    while let Some(found) = rows.next()? {
        let assessment = row::from_json("an assessment", &found.get::<_, String>(1)?)?;
        assessments.insert(row::name("an order", found, 0, OrderId::new)?, assessment);
    }
    Ok(assessments)
}

/// Keeps an assessment, unless it is here under the same rules.
pub(super) fn assessment_put(
    sql: &Connection,
    (look, state_key, order, rules): (&Digest, &Digest, i64, i64),
    assessment: &Assessment,
) -> Step<()> {
    let find = "SELECT no FROM look WHERE digest = ?1";
    let look: Option<i64> = sql.prepare_cached(find)?.query_row([look.as_bytes()], |row| row.get(0)).optional()?;
    let Some(look) = look else { return Ok(()) };
    let kept: Option<i64> = sql
        .prepare_cached("SELECT rules FROM assessment WHERE look = ?1 AND state_key = ?2 AND ord = ?3")?
        .query_row((look, state_key.as_bytes(), order), |row| row.get(0))
        .optional()?;
    if kept != Some(rules) {
        sql.prepare_cached(
            "INSERT INTO assessment (look, state_key, ord, rules, body) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (look, state_key, ord) DO UPDATE SET rules = excluded.rules, body = excluded.body",
        )?
        .execute((look, state_key.as_bytes(), order, rules, row::to_json(assessment)?))?;
    }
    Ok(())
}
