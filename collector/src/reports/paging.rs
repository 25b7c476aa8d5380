//! Pages of a list: a list is a sequence of parts (a lane, a site), each sorted by a key in the store. A page token names
//! the part and the place of the last row in it, so it stays valid while hosts change.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{ReportContext, ReportError};
use crate::store::{HostKey, HostQuery, StoredHostRow};

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// The token of the next page; `None` on the last.
    pub next: Option<String>,
    /// The number of rows on all pages; only on the first page.
    pub total: Option<u64>,
}

/// A part of a list.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// Its name in page tokens.
    pub(super) name: String,
    /// Its hosts. The page fills in how many rows it needs, and where it begins.
    pub(super) query: HostQuery,
}

/// Rows of a page, each with the position of its part, and the token of the next page.
pub(super) type Rows = (Vec<(usize, StoredHostRow)>, Option<String>);

impl ReportContext {
    /// Reads a page of at most `most` rows. `token` is that of an earlier page with the same parts.
    pub(super) async fn page(&self, parts: &[Part], most: usize, token: Option<&str>) -> Result<Rows, ReportError> {
        let (mut first, mut after) = (0, None);
        if let Some(token) = token {
            let (name, key) = read_token(token).ok_or(ReportError::PageToken)?;
            first = parts.iter().position(|part| part.name == name).ok_or(ReportError::PageToken)?;
            after = Some(key);
        }
        let mut rows: Vec<(usize, StoredHostRow)> = Vec::new();
        for (at, part) in parts.iter().enumerate().skip(first) {
            // One row more than the page has shows whether there is a next page.
            let wanted = most + 1 - rows.len();
            // Only the first part continues after a place; the others start at their beginning.
            let query = HostQuery { rows: wanted, after: after.take(), ..part.query.clone() };
            rows.extend(self.store.host_list(query).await?.into_iter().map(|row| (at, row)));
            if rows.len() > most {
                rows.truncate(most);
                let next = rows.last().map(|(at, row)| write_token(&parts[*at].name, &row.key));
                return Ok((rows, next));
            }
        }
        Ok((rows, None))
    }
}

fn write_token(part: &str, key: &HostKey) -> String {
    encode(&(part, key))
}

fn read_token(token: &str) -> Option<(String, HostKey)> {
    decode(token)
}

/// A place as a token that nobody needs to read.
pub(super) fn encode(place: &impl serde::Serialize) -> String {
    // Serialization fails only for maps with keys that are no strings, and there are none.
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(place).unwrap_or_default())
}

/// The place of a token; `None` if it is no token of such a place.
pub(super) fn decode<T: serde::de::DeserializeOwned>(token: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use muster_proto::model::HostId;

    use super::*;

    #[test]
    fn a_token_leads_back_to_its_place_and_nothing_else_is_one() {
        let name = "Служба \"7\"/a".to_owned();
        for key in [HostKey::Id(HostId::random()), HostKey::Name(name, -1), HostKey::At(1_700_000_000_000, 7)] {
            let token = write_token("us-bis-icts-2021-002/replace", &key);
            assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{token}");
            assert_eq!(read_token(&token), Some(("us-bis-icts-2021-002/replace".to_owned(), key)));
        }
        for not_a_token in ["", "nonsense", "e30", "W10"] {
            assert_eq!(read_token(not_a_token), None, "{not_a_token}");
        }
    }
}
