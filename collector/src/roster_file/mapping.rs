//! Which column of a file is what, as the operator says it.

use std::str::FromStr;

use super::presets::{Preset, headers};
use muster_proto::model::RosterField;
use muster_proto::suggest::did_you_mean;

/// How the columns of a file are understood. Without a preset, columns that are called like the fields or have a plain name for
/// them (`hostname`, `serial number`, `mac address`) are used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mapping {
    /// The system that the file comes from.
    pub preset: Option<Preset>,
    /// Columns that are named for a field. They replace what the preset says of this field; several columns of one field
    /// are used in this order. A column with an empty name leaves the field unknown.
    pub columns: Vec<MappedColumn>,
    /// The order of day and month in dates with slashes.
    pub slash_dates: SlashDates,
}

impl Mapping {
    /// How well a column fits a field: 0 is best, `None` is not at all. A field takes its value from the best column that has one.
    pub(super) fn rank(&self, field: RosterField, column: &str) -> Option<usize> {
        let mut mapped = self.columns.iter().filter(|mapped| mapped.field == field).peekable();
        if mapped.peek().is_some() {
            // A column that is spelled exactly as mapped comes before one that is spelled like it.
            let exact = |name: &str| usize::from(name != column.trim());
            let fitting = mapped.enumerate().filter(|(_, mapped)| mapped.fits(column));
            return fitting.map(|(at, mapped)| at * 2 + exact(mapped.column.trim())).min();
        }
        let folded = folded(column);
        headers(self.preset).filter(|(_, of)| *of == field).position(|(name, _)| self::folded(name) == folded)
    }

    /// The mapped columns that fit none of these.
    pub(super) fn missing_of(&self, columns: &[String]) -> Vec<MappedColumn> {
        let is_missing = |mapped: &&MappedColumn| {
            !folded(&mapped.column).is_empty() && !columns.iter().any(|column| mapped.fits(column))
        };
        self.columns.iter().filter(is_missing).cloned().collect()
    }
}

/// The order of day and month in dates with slashes, such as `11/28/2026`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SlashDates {
    /// As in the United States, and in the exports of Microsoft's portals.
    #[default]
    MonthFirst,
    /// As in most other countries with slashes.
    DayFirst,
}

/// A column for a field, typed as `FIELD=COLUMN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappedColumn {
    /// The field.
    pub field: RosterField,
    /// The column, as its header has it. Case, spaces, underscores and hyphens do not matter.
    pub column: String,
}

impl MappedColumn {
    fn fits(&self, column: &str) -> bool {
        let wanted = folded(&self.column);
        !wanted.is_empty() && wanted == folded(column)
    }
}

/// A text that is no `FIELD=COLUMN`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMappedColumn {
    /// There is no `=`.
    #[error("{text:?} has no \"=\" between field and column")]
    NoEquals {
        /// The text.
        text: String,
    },
    /// The field is unknown.
    #[error("a roster has no field {name:?}{}", did_you_mean(.name, field_names()))]
    UnknownField {
        /// The name.
        name: String,
    },
}

impl InvalidMappedColumn {
    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::NoEquals { .. } => "write FIELD=COLUMN, for example serial=\"Serial number\"".to_owned(),
            Self::UnknownField { .. } => format!("the fields are {}", field_names().collect::<Vec<_>>().join(", ")),
        }
    }
}

impl FromStr for MappedColumn {
    type Err = InvalidMappedColumn;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, column) =
            text.split_once('=').ok_or_else(|| InvalidMappedColumn::NoEquals { text: text.to_owned() })?;
        let name = name.trim();
        let field = name.parse().map_err(|_| InvalidMappedColumn::UnknownField { name: name.to_owned() })?;
        Ok(Self { field, column: column.trim().to_owned() })
    }
}

/// A header as it is compared: without case, spaces, underscores and hyphens.
pub(super) fn folded(name: &str) -> String {
    let is_kept = |c: &char| !c.is_whitespace() && !matches!(c, '_' | '-') && !muster_proto::model::is_hidden(*c);
    name.chars().filter(is_kept).flat_map(char::to_lowercase).collect()
}

fn field_names() -> impl Iterator<Item = &'static str> {
    RosterField::ALL.iter().map(|field| field.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_column_is_typed_as_field_and_column() {
        let parsed: MappedColumn = "hardware-uuid= SMBIOS=GUID ".parse().expect("valid");
        assert_eq!(
            parsed,
            MappedColumn { field: RosterField::HardwareUuid, column: "SMBIOS=GUID".to_owned() },
            "only the first sign parts field and column"
        );
        let slip = "serail=SN".parse::<MappedColumn>().expect_err("no field");
        assert_eq!(slip.to_string(), "a roster has no field \"serail\"; did you mean \"serial\"?");
        assert!(slip.advice().contains("hardware-uuid"), "{}", slip.advice());
        let bare = "serial".parse::<MappedColumn>().expect_err("no column");
        assert_eq!(bare.to_string(), "\"serial\" has no \"=\" between field and column");
    }

    #[test]
    fn headers_are_compared_without_case_spaces_underscores_and_hyphens() {
        assert_eq!(folded("\u{feff}Wi-Fi_ MAC"), folded("wifimac"));
        let mapping = Mapping::default();
        for (field, column) in [
            (RosterField::Name, "Computer Name"),
            (RosterField::HardwareUuid, "HARDWARE_UUID"),
            (RosterField::OwnerEmail, "Owner-Email"),
            (RosterField::Mac, "MAC Address"),
        ] {
            assert!(mapping.rank(field, column).is_some(), "{column}");
        }
        assert_eq!(mapping.rank(RosterField::Serial, "Computer Name"), None);
    }

    #[test]
    fn a_mapped_column_replaces_the_preset_and_an_empty_one_leaves_the_field_unknown() {
        let column = |text: &str| text.parse::<MappedColumn>().expect("valid");
        let mapping = Mapping {
            preset: Some(Preset::Ad),
            columns: vec![column("name=Asset"), column("name=PC"), column("last-seen=")],
            ..Mapping::default()
        };
        let name = |header| mapping.rank(RosterField::Name, header);
        assert_eq!((name("Name"), name("Asset"), name("asset"), name("PC")), (None, Some(0), Some(1), Some(2)));
        assert_eq!(mapping.rank(RosterField::LastSeen, "LastLogonDate"), None);
        assert_eq!(mapping.rank(RosterField::Fqdn, "DNSHostName"), Some(0));
        assert_eq!(mapping.missing_of(&["asset".to_owned()]), [column("name=PC")]);
    }
}
