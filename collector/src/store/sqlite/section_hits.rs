//! The hits of sections, under one version of the rules. Hosts that share a section share its hits.

use std::collections::BTreeMap;

use muster_proto::model::Digest;
use rusqlite::{Connection, OptionalExtension as _};

use super::fault::Step;
use super::{row, section};
use crate::judge::Hit;

pub(super) fn hits_get(sql: &Connection, sections: &[Digest], rules_version: &str) -> Step<BTreeMap<Digest, Vec<Hit>>> {
    let mut hits = BTreeMap::new();
    let Some(rules) = row::find_number(sql, row::FIND_RULES, rules_version)? else { return Ok(hits) };
    let mut statement = sql.prepare_cached(
        "SELECT i.hits FROM section s JOIN section_hit i ON i.section = s.no WHERE s.digest = ?1 AND i.rules = ?2",
    )?;
    for digest in sections {
        let found: Option<Option<String>> =
            statement.query_row((digest.as_bytes(), rules), |row| row.get(0)).optional()?;
        if let Some(text) = found {
            let read = |text: String| row::from_json("the hits of a section", &text);
            hits.insert(*digest, text.map_or(Ok(Vec::new()), read)?);
        }
    }
    Ok(hits)
}

/// Replaces hits of another version: a section has the hits of one version only. Sections that are not stored are left out:
/// they were removed after they were judged.
pub(super) fn hits_put(sql: &Connection, hits: &BTreeMap<Digest, Vec<Hit>>, rules: i64) -> Step<()> {
    let mut statement = sql.prepare_cached(
        "INSERT INTO section_hit (section, rules, hits) VALUES (?1, ?2, ?3)
         ON CONFLICT (section) DO UPDATE SET rules = excluded.rules, hits = excluded.hits",
    )?;
    for (digest, hits) in hits {
        let Some(number) = section::number(sql, digest)? else { continue };
        // NULL is not the same as no row: the section is judged and has no hits.
        let text = if hits.is_empty() { None } else { Some(row::to_json(hits)?) };
        statement.execute((number, rules, text))?;
    }
    Ok(())
}
