//! Identifiers as rows have them.

use muster_proto::model::{Identifier, IdentifierKind};

use crate::store::sql::{Row, Step, StoreFault};

/// An identifier whose kind is in this column and whose value is in the next one.
pub(super) fn identifier(row: &Row, at: usize) -> Step<Identifier> {
    let code = row.int(at)?;
    let kind = u8::try_from(code).ok().and_then(IdentifierKind::from_code);
    let kind = kind.ok_or_else(|| StoreFault::damaged("an identifier", format!("kind {code} is unknown")))?;
    Ok(Identifier { kind, value: row.text(at + 1)?.to_owned() })
}
