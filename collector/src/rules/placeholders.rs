//! Placeholders: values that identify no machine, such as the serial number of a board that nobody has written yet.

use std::collections::{BTreeMap, BTreeSet};

use muster_proto::model::{Identifier, IdentifierKind};

use super::toml_reader::Entries;

/// The name of the file, which is in no folder.
pub(super) const FILE: &str = "placeholders.toml";

/// The values that identify no machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placeholders {
    whole: BTreeMap<IdentifierKind, BTreeSet<String>>,
    /// Beginnings of values.
    beginnings: BTreeMap<IdentifierKind, Vec<String>>,
}

impl Placeholders {
    /// Whether this identifies no machine. Beside the values of the file, a serial number, an asset tag or an address of one
    /// repeated character does not.
    #[must_use]
    pub fn has(&self, identifier: &Identifier) -> bool {
        let Identifier { kind, value } = identifier;
        let begins =
            |beginnings: &Vec<String>| beginnings.iter().any(|beginning| value.starts_with(beginning.as_str()));
        self.whole.get(kind).is_some_and(|values| values.contains(value))
            || self.beginnings.get(kind).is_some_and(begins)
            || is_one_character(*kind, value)
    }
}

fn is_one_character(kind: IdentifierKind, value: &str) -> bool {
    let mut characters = value.chars().filter(|c| !matches!(c, '-' | ':' | ' ' | '.'));
    let first = characters.next();
    match kind {
        IdentifierKind::Serial
        | IdentifierKind::AssetTag
        | IdentifierKind::HardwareUuid
        | IdentifierKind::EntraObjectId
        | IdentifierKind::Mac => characters.all(|c| Some(c) == first),
        // A host may be called `a`.
        IdentifierKind::Fqdn | IdentifierKind::Name => false,
    }
}

/// Reads the file.
pub(super) fn read(entries: &mut Entries<'_, '_>) -> Placeholders {
    let mut placeholders = Placeholders::default();
    let tables = entries.tables("placeholder", |table| {
        let kinds: Vec<IdentifierKind> = table.names("kinds");
        let values = table.list("values");
        table.texts("sources");
        if kinds.is_empty() {
            table.fault(table.line(), "`kinds` is missing or empty");
        }
        for value in &values {
            let text = value.value.trim_end_matches('*');
            if text.len() < value.value.len() {
                if text.is_empty() {
                    table.fault(value.line, "a value that is only `*` would stand for every value");
                }
                continue;
            }
            for kind in kinds.iter().filter(|kind| kind.spelled(text).is_none()) {
                table.fault(value.line, format!("{text:?} cannot be a {kind}"));
            }
        }
        (kinds, values)
    });
    for (kinds, values) in tables {
        for (kind, value) in kinds.iter().flat_map(|kind| values.iter().map(move |value| (*kind, &value.value))) {
            match value.strip_suffix('*') {
                Some(beginning) => placeholders.beginnings.entry(kind).or_default().push(beginning.to_lowercase()),
                None => placeholders.whole.entry(kind).or_default().extend(kind.spelled(value)),
            }
        }
    }
    placeholders
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules;
    use crate::rules::test_overlay::overlay;

    fn is_placeholder(placeholders: &Placeholders, kind: IdentifierKind, text: &str) -> bool {
        placeholders.has(&Identifier::new(kind, text).expect("an identifier"))
    }

    #[test]
    fn what_boards_have_before_anybody_writes_a_number_identifies_nobody() {
        let placeholders = rules::load(None).expect("rules").placeholders().clone();
        for (kind, text) in [
            (IdentifierKind::Serial, "To Be Filled By O.E.M."),
            (IdentifierKind::Serial, "To be filled by OEM"),
            (IdentifierKind::Serial, "Default string"),
            (IdentifierKind::Serial, "00000000"),
            (IdentifierKind::Serial, "XXXXXXXX"),
            (IdentifierKind::AssetTag, "No Asset Tag"),
            (IdentifierKind::HardwareUuid, "03000200-0400-0500-0006-000700080009"),
            (IdentifierKind::HardwareUuid, "{FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF}"),
            (IdentifierKind::HardwareUuid, "11111111-1111-1111-1111-111111111111"),
            (IdentifierKind::Mac, "00-50-56-C0-00-08"),
            (IdentifierKind::Name, "LOCALHOST"),
        ] {
            assert!(is_placeholder(&placeholders, kind, text), "{kind} {text}");
        }
        for (kind, text) in [
            (IdentifierKind::Serial, "5CG9120ABC"),
            (IdentifierKind::Serial, "0"),
            (IdentifierKind::HardwareUuid, "4c4c4544-0042-3510-8056-b4c04f4e4d31"),
            (IdentifierKind::Mac, "00:1b:63:84:45:e6"),
            (IdentifierKind::Name, "a"),
            (IdentifierKind::Fqdn, "localhost.example.org"),
        ] {
            let expected = text == "0";
            assert_eq!(is_placeholder(&placeholders, kind, text), expected, "{kind} {text}");
        }
    }

    #[test]
    fn an_overlay_replaces_the_file_and_its_faults_have_lines() {
        let own = overlay(&[(FILE, "[[placeholder]]\nkinds = [\"serial\"]\nvalues = [\"LAB-*\"]\n")]);
        let placeholders = rules::load(Some(own.path())).expect("rules").placeholders().clone();
        assert!(is_placeholder(&placeholders, IdentifierKind::Serial, "lab-7"));
        assert!(!is_placeholder(&placeholders, IdentifierKind::Serial, "Default string"));
        let broken =
            overlay(&[(FILE, "[[placeholder]]\nkinds = [\"mac\", \"serie\"]\nvalues = [\n  \"*\",\n  \"12\",\n]\n")]);
        let faults = rules::load(Some(broken.path())).expect_err("refused").faults;
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        for part in [":2: `kinds`: unknown value \"serie\"", ":4: a value that is only", ":5: \"12\" cannot be a mac"] {
            assert!(faults.iter().any(|fault| fault.contains(part)), "{part}: {faults:?}");
        }
    }
}
