//! From the cells of one row to a machine.

use std::borrow::Cow;

use super::columns::Columns;
use super::mapping::SlashDates;
use super::report::RowRefusal;
use super::times;
use muster_proto::model::{RosterField, RosterRow, RosterRowFault};

/// What query tools of SQL Server write for no value
/// (<https://learn.microsoft.com/sql/t-sql/language-elements/null-and-unknown-transact-sql>).
const SQL_NULL: &str = "NULL";

/// The values of one row: the number of a column, and a value of its cell. A cell of JSON can have several.
pub(super) type Cells = Vec<(usize, String)>;

/// A row that is refused, with the column that has the fault.
pub(super) struct Refused {
    pub(super) column: Option<usize>,
    pub(super) reason: RowRefusal,
}

/// The machine of a row.
pub(super) fn machine(columns: &Columns<'_>, cells: &Cells, slashes: SlashDates) -> Result<RosterRow, Refused> {
    let values = Values { columns, cells };
    let row = RosterRow {
        name: values.first(RosterField::Name),
        fqdn: values.first(RosterField::Fqdn),
        serial: values.first(RosterField::Serial),
        hardware_uuid: values.first(RosterField::HardwareUuid),
        macs: values.all(RosterField::Mac).map(|(_, value)| value.into_owned()).collect(),
        owner: values.together(RosterField::Owner),
        owner_email: values.together(RosterField::OwnerEmail),
        site: values.together(RosterField::Site),
        os: values.first(RosterField::Os),
        external_id: values.first(RosterField::ExternalId),
        entra_object_id: values.first(RosterField::EntraObjectId),
        last_seen: values.time(slashes)?,
    };
    row.normalized().map_err(|fault| Refused { column: values.column_of(&fault), reason: fault.into() })
}

/// Whether a cell says nothing.
fn is_blank(cell: &str) -> bool {
    let cell = cell.trim();
    cell.is_empty() || cell == SQL_NULL
}

struct Values<'c> {
    columns: &'c Columns<'c>,
    cells: &'c Cells,
}

impl Values<'_> {
    /// All values of a field with their columns, the best column first.
    fn all(&self, field: RosterField) -> impl Iterator<Item = (usize, Cow<'_, str>)> {
        self.columns.of(field).flat_map(|column| {
            let of_column = self.cells.iter().filter(move |(of, _)| *of == column);
            of_column.map(|(of, cell)| (*of, without_guard(cell.trim()))).filter(|(_, value)| !is_blank(value))
        })
    }

    /// The first value of the best column that has one.
    fn first(&self, field: RosterField) -> String {
        self.all(field).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
    }

    /// All values of the best column that has one: a machine can have several owners.
    fn together(&self, field: RosterField) -> String {
        let mut best = None;
        let of_best = self.all(field).filter(|(column, _)| *best.get_or_insert(*column) == *column);
        let values: Vec<String> =
            of_best.map(|(_, value)| common_name(&value).unwrap_or_else(|| value.into_owned())).collect();
        values.join("; ")
    }

    fn time(&self, slashes: SlashDates) -> Result<Option<muster_proto::model::Timestamp>, Refused> {
        for (column, value) in self.all(RosterField::LastSeen) {
            match times::parse(&value, slashes) {
                Ok(None) => {}
                Ok(known) => return Ok(known),
                Err(fault) => return Err(Refused { column: Some(column), reason: fault.into() }),
            }
        }
        Ok(None)
    }

    /// The column whose value has a fault.
    fn column_of(&self, fault: &RosterRowFault) -> Option<usize> {
        let field = fault.field()?;
        let mut columns = self.all(field);
        let with_text = match fault {
            RosterRowFault::NotMac { text } => columns.find(|(_, value)| value.contains(text.as_str())),
            RosterRowFault::TooLong { .. }
            | RosterRowFault::NotUuid { .. }
            | RosterRowFault::NotFqdn { .. }
            | RosterRowFault::TooManyMacs { .. }
            | RosterRowFault::NoMachine => None,
        };
        // A full name can come from the column of the name.
        let other = || self.all(RosterField::Name).next();
        with_text.or_else(|| self.all(field).next()).or_else(other).map(|(column, _)| column)
    }
}

/// The text in `="0123"`, which keeps Excel from taking it as a number. Other formulas are text as they are.
fn without_guard(cell: &str) -> Cow<'_, str> {
    let Some(inner) = cell.strip_prefix("=\"").and_then(|cell| cell.strip_suffix('"')) else {
        return Cow::Borrowed(cell);
    };
    // A quote within the text is doubled; a single one ends it, and the rest is a formula.
    let unquoted = inner.replace("\"\"", "");
    if unquoted.contains('"') { Cow::Borrowed(cell) } else { Cow::Owned(inner.replace("\"\"", "\"")) }
}

/// The name of a person or group in a distinguished name, `CN=Doe\, Jane,OU=Staff,DC=example,DC=org` (RFC 4514).
fn common_name(text: &str) -> Option<String> {
    let is_name = text.get(..3).is_some_and(|begin| begin.eq_ignore_ascii_case("CN="));
    if !is_name || !text.to_ascii_uppercase().contains(",DC=") {
        return None;
    }
    let mut bytes = text.get(3..)?.bytes().peekable();
    let mut name = Vec::new();
    while let Some(byte) = bytes.next().filter(|byte| *byte != b',') {
        if byte != b'\\' {
            name.push(byte);
            continue;
        }
        let escaped = bytes.next()?;
        match (digit(Some(escaped)), digit(bytes.peek().copied())) {
            (Some(high), Some(low)) => {
                name.push(high * 16 + low);
                bytes.next();
            }
            _ => name.push(escaped),
        }
    }
    String::from_utf8(name).ok().filter(|name| !name.trim().is_empty())
}

fn digit(byte: Option<u8>) -> Option<u8> {
    char::from(byte?).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_guard_of_a_text_is_taken_away() {
        for (cell, text) in [
            ("=\"0123\"", "0123"),
            ("=\"say \"\"hi\"\"\"", "say \"hi\""),
            ("=\"\"", ""),
            ("=\"a\"&B1&\"c\"", "=\"a\"&B1&\"c\""),
            ("=cmd|'/C calc'!A0", "=cmd|'/C calc'!A0"),
            ("+4930123", "+4930123"),
            ("=\"", "=\""),
        ] {
            assert_eq!(without_guard(cell), text);
        }
    }

    #[test]
    fn an_owner_is_named_and_not_placed_in_the_directory() {
        for (text, name) in [
            ("CN=Jane Doe,OU=Staff,DC=example,DC=org", Some("Jane Doe")),
            ("cn=Doe\\, Jane,OU=Staff,dc=example,dc=org", Some("Doe, Jane")),
            ("CN=B\\C3\\BCro,DC=example,DC=org", Some("Büro")),
            ("CN=\\FF,DC=example,DC=org", None),
            ("CN=Jane\\", None),
            ("CN=Jane", None),
            ("Doe, Jane", None),
            ("é", None),
        ] {
            assert_eq!(common_name(text).as_deref(), name, "{text}");
        }
    }
}
