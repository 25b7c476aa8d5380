//! The hits of sections, under one version of the rules. Hosts that share a section share its hits.

use std::collections::BTreeMap;

use muster_proto::model::Digest;

use super::fault::Step;
use super::row;
use super::session::Session;
use crate::judge::Hit;

pub(super) async fn hits_get(session: &Session, sections: &[Digest], rules: i32) -> Step<BTreeMap<Digest, Vec<Hit>>> {
    let find = "SELECT s.digest, i.hits FROM section s JOIN section_hit i ON i.section = s.no
                WHERE s.digest = ANY ($1::bytea[]) AND i.rules = $2";
    let keys: Vec<&[u8]> = sections.iter().map(|digest| digest.as_bytes().as_slice()).collect();
    let mut hits = BTreeMap::new();
    for found in session.query(find, &[&keys, &rules]).await? {
        let read = |text: &str| row::from_json("the hits of a section", text);
        let of_section = found.try_get::<_, Option<&str>>(1)?.map_or_else(|| Ok(Vec::new()), read)?;
        hits.insert(row::digest(&found, 0)?, of_section);
    }
    Ok(hits)
}

/// Hits under another version make way: a section has those of one catalogue. The join leaves out sections that were removed
/// after they were judged.
pub(super) const HITS_PUT: &str = "
    INSERT INTO section_hit (section, rules, hits)
    SELECT s.no, $3, w.hits FROM unnest($1::bytea[], $2::text[]) AS w (digest, hits) JOIN section s ON s.digest = w.digest
    ORDER BY s.no
    ON CONFLICT (section) DO UPDATE SET rules = excluded.rules, hits = excluded.hits";

pub(super) async fn hits_put(session: &Session, hits: &BTreeMap<Digest, Vec<Hit>>, rules: i32) -> Step<()> {
    if hits.is_empty() {
        return Ok(());
    }
    let keys: Vec<&[u8]> = hits.keys().map(|digest| digest.as_bytes().as_slice()).collect();
    // NULL is not the same as no row: the section is judged and has no hits.
    let text = |hits: &Vec<Hit>| if hits.is_empty() { Ok(None) } else { row::to_json(hits).map(Some) };
    let texts: Vec<Option<String>> = hits.values().map(text).collect::<Result<_, _>>()?;
    session.execute(HITS_PUT, &[&keys, &texts, &rules]).await?;
    Ok(())
}
