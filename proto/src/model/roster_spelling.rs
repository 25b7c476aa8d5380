//! The one spelling of each value of a list of machines, so that rows can be compared with each other and with
//! [`super::MachineIdentity`]. Lists come from directories and inventories, which spell one value in many ways.

use super::{RosterField, RosterRow, clean_text, is_hidden};
use crate::limits::{MACS_PER_HOST, ROSTER_TEXT_BYTES};

/// Digits of the groups of a UUID.
const UUID_GROUPS: [usize; 5] = [8, 4, 4, 4, 12];
/// Digits of the address of a network card.
const MAC_DIGITS: usize = 12;
/// Bytes of a label of a name in the DNS (RFC 1035, 2.3.4).
const LABEL_BYTES: usize = 63;
/// Characters of a foreign text that an error quotes.
const QUOTED: usize = 60;

/// Why a row is no row of a roster.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RosterRowFault {
    /// A text is longer than [`ROSTER_TEXT_BYTES`].
    #[error("{field} has {bytes} bytes, more than {ROSTER_TEXT_BYTES}")]
    TooLong {
        /// The field.
        field: RosterField,
        /// The length of the text.
        bytes: usize,
    },
    /// A text that must be a UUID is none.
    #[error("{text:?} is no UUID")]
    NotUuid {
        /// The field.
        field: RosterField,
        /// The text, or its beginning.
        text: String,
    },
    /// The full name is none.
    #[error("{text:?} is no full name in the DNS")]
    NotFqdn {
        /// The text, or its beginning.
        text: String,
    },
    /// The address of a network card is none.
    #[error("{text:?} is no address of a network card")]
    NotMac {
        /// The text, or its beginning.
        text: String,
    },
    /// There are more addresses than [`MACS_PER_HOST`].
    #[error("{count} addresses of network cards are more than a machine has")]
    TooManyMacs {
        /// How many different ones there are.
        count: usize,
    },
    /// All fields that could name a machine are empty.
    #[error("no name, full name, serial number, hardware UUID or network card names a machine")]
    NoMachine,
}

impl RosterRowFault {
    /// The field with the fault; `None` if it is the row as a whole.
    #[must_use]
    pub const fn field(&self) -> Option<RosterField> {
        match self {
            Self::TooLong { field, .. } | Self::NotUuid { field, .. } => Some(*field),
            Self::NotFqdn { .. } => Some(RosterField::Fqdn),
            Self::NotMac { .. } | Self::TooManyMacs { .. } => Some(RosterField::Mac),
            Self::NoMachine => None,
        }
    }
}

impl RosterRow {
    /// The row with every value in its one spelling.
    ///
    /// All texts lose spaces at their ends and invisible characters; control characters become spaces. `DOMAIN\PC$` and `PC$`
    /// are the name `pc`. A name that is a full name gives both, and so does a full name alone. Before, `macs` holds cells with
    /// one or several addresses; after, it holds one address each. UUIDs and addresses that are all zeros or all ones are
    /// unknown. Normalizing a row twice changes nothing.
    ///
    /// # Errors
    /// A value is too long or has no known spelling, or nothing names a machine.
    pub fn normalized(self) -> Result<Self, RosterRowFault> {
        // All fields are named, so that a new one cannot be forgotten here.
        let Self {
            name,
            fqdn,
            serial,
            hardware_uuid,
            macs: cells,
            owner,
            owner_email,
            site,
            os,
            external_id: id,
            entra_object_id,
            last_seen,
        } = self;
        let Names { name, fqdn } = names(&name, &fqdn)?;
        let row = Self {
            name,
            fqdn,
            serial: text(RosterField::Serial, &serial)?,
            hardware_uuid: uuid(RosterField::HardwareUuid, &hardware_uuid)?,
            macs: macs(&cells)?,
            owner: text(RosterField::Owner, &owner)?,
            owner_email: text(RosterField::OwnerEmail, &owner_email)?,
            site: text(RosterField::Site, &site)?,
            os: text(RosterField::Os, &os)?,
            external_id: external_id(&id)?,
            entra_object_id: uuid(RosterField::EntraObjectId, &entra_object_id)?,
            last_seen,
        };
        if row.names_a_machine() { Ok(row) } else { Err(RosterRowFault::NoMachine) }
    }

    /// Whether anything in the row names a machine.
    #[must_use]
    pub fn names_a_machine(&self) -> bool {
        let texts = [&self.name, &self.fqdn, &self.serial, &self.hardware_uuid];
        !self.macs.is_empty() || texts.iter().any(|text| !text.is_empty())
    }
}

/// The host name and the full name of a machine.
struct Names {
    name: String,
    fqdn: String,
}

/// Both names, each from its own text or from the other.
fn names(name: &str, fqdn: &str) -> Result<Names, RosterRowFault> {
    let mut name = host_name(name);
    // A text without a domain is a name, whatever its column says.
    let single = clean(fqdn);
    let mut fqdn = without_dot_or_dollar(&single).to_lowercase();
    if !fqdn.contains('.') {
        fqdn.clear();
        if name.is_empty() {
            name = host_name(&single);
        }
    }
    if !fqdn.is_empty() && !is_fqdn(&fqdn) {
        return Err(RosterRowFault::NotFqdn { text: quoted(&fqdn) });
    }
    if is_fqdn(&name) {
        let first = first_label(&name);
        let full = std::mem::replace(&mut name, first);
        if fqdn.is_empty() {
            fqdn = full;
        }
    } else if name.is_empty() {
        name = first_label(&fqdn);
    }
    Ok(Names { name: within(RosterField::Name, name)?, fqdn: within(RosterField::Fqdn, fqdn)? })
}

/// A text as it is, cleaned.
fn text(field: RosterField, text: &str) -> Result<String, RosterRowFault> {
    within(field, clean(text))
}

/// A UUID with or without dashes and braces; empty if it is all zeros or all ones, which mean that there is none (DSP0134, 7.2.1:
/// <https://www.dmtf.org/standards/smbios>).
fn uuid(field: RosterField, text: &str) -> Result<String, RosterRowFault> {
    let text = clean(text);
    if text.is_empty() {
        return Ok(text);
    }
    let inner = without_braces(&text);
    let is_bare = inner.len() == 32 && inner.bytes().all(|digit| digit.is_ascii_hexdigit());
    if !is_bare && !has_uuid_groups(inner) {
        return Err(RosterRowFault::NotUuid { field, text: quoted(&text) });
    }
    let digits: Vec<char> = inner.chars().filter(|c| *c != '-').map(|c| c.to_ascii_lowercase()).collect();
    if digits.iter().all(|digit| *digit == '0') || digits.iter().all(|digit| *digit == 'f') {
        return Ok(String::new());
    }
    let mut rest = digits.as_slice();
    let groups = UUID_GROUPS.map(|length| {
        let (group, after) = rest.split_at(length.min(rest.len()));
        rest = after;
        group.iter().collect::<String>()
    });
    Ok(groups.join("-"))
}

/// The id of another system. Many are UUIDs, which some exports write in capitals and in braces. An id of 32 digits may be
/// something else and stays as it is.
fn external_id(id: &str) -> Result<String, RosterRowFault> {
    let id = text(RosterField::ExternalId, id)?;
    let inner = without_braces(&id);
    Ok(if has_uuid_groups(inner) { inner.to_ascii_lowercase() } else { id })
}

/// The addresses in all cells, sorted. Addresses that are all zeros or all ones are no card's and are left out.
fn macs(cells: &[String]) -> Result<Vec<String>, RosterRowFault> {
    let mut found = Vec::new();
    for cell in cells {
        let cell = clean(cell);
        for part in
            cell.split(|c: char| c.is_whitespace() || [',', ';', '|'].contains(&c)).filter(|part| !part.is_empty())
        {
            let Some(digits) = mac_digits(part) else {
                return Err(RosterRowFault::NotMac { text: quoted(part) });
            };
            if !digits.bytes().all(|digit| digit == b'0') && !digits.bytes().all(|digit| digit == b'f') {
                found.push(with_colons(&digits));
            }
        }
        // Before the next cell, so that many cells with one address cost no memory.
        found.sort();
        found.dedup();
        if found.len() > MACS_PER_HOST {
            return Err(RosterRowFault::TooManyMacs { count: found.len() });
        }
    }
    Ok(found)
}

/// `PC` of `DOMAIN\PC$`, in lower case.
fn host_name(text: &str) -> String {
    let text = clean(text);
    let name = text.rsplit_once('\\').map_or(text.as_str(), |(_, name)| name);
    without_dot_or_dollar(name).to_lowercase()
}

/// Without the dot of an absolute name in the DNS and the dollar of a machine's account.
fn without_dot_or_dollar(name: &str) -> &str {
    name.trim_end_matches(|c: char| c == '.' || c == '$' || c.is_whitespace()).trim_start()
}

/// Whether a text is a name in the DNS with a domain. Windows allows letters of all languages and the underscore in it
/// (<https://learn.microsoft.com/troubleshoot/windows-server/active-directory/naming-conventions-for-computer-domain-site-ou>).
fn is_fqdn(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= LABEL_BYTES
            && label.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_')
    };
    // A last label of digits is the end of an IP address.
    let is_domain = |label: &str| is_label(label) && !label.bytes().all(|byte| byte.is_ascii_digit());
    text.rsplit_once('.').is_some_and(|(before, last)| is_domain(last) && before.split('.').all(is_label))
}

fn first_label(fqdn: &str) -> String {
    fqdn.split('.').next().unwrap_or_default().to_owned()
}

fn without_braces(text: &str) -> &str {
    text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text)
}

fn has_uuid_groups(text: &str) -> bool {
    let mut groups = text.split('-');
    let is_hex = |group: &str, digits| group.len() == digits && group.bytes().all(|digit| digit.is_ascii_hexdigit());
    UUID_GROUPS.iter().all(|digits| groups.next().is_some_and(|group| is_hex(group, *digits)))
        && groups.next().is_none()
}

/// The twelve digits of `00-1B-63-84-45-E6`, `00:1b:63:84:45:e6`, `001b.6384.45e6`, `001b63-8445e6` or `001B638445E6`, in lower
/// case.
fn mac_digits(text: &str) -> Option<String> {
    let separator = text.chars().find(|c| ['-', ':', '.'].contains(c));
    let groups: Vec<&str> = separator.map_or_else(|| vec![text], |separator| text.split(separator).collect());
    if ![1, 2, 3, 6].contains(&groups.len()) {
        return None;
    }
    let length = MAC_DIGITS / groups.len();
    let is_group = |group: &&str| group.len() == length && group.bytes().all(|digit| digit.is_ascii_hexdigit());
    groups.iter().all(is_group).then(|| groups.concat().to_ascii_lowercase())
}

fn with_colons(digits: &str) -> String {
    let mut text = String::with_capacity(17);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && at % 2 == 0 {
            text.push(':');
        }
        text.push(digit);
    }
    text
}

/// A text without invisible characters, and without spaces and controls at its ends.
fn clean(text: &str) -> String {
    let visible: String = text.chars().filter(|c| c.is_control() || !is_hidden(*c)).collect();
    clean_text(&visible, visible.len())
}

fn within(field: RosterField, text: String) -> Result<String, RosterRowFault> {
    let bytes = text.len();
    if bytes > ROSTER_TEXT_BYTES { Err(RosterRowFault::TooLong { field, bytes }) } else { Ok(text) }
}

fn quoted(text: &str) -> String {
    text.chars().take(QUOTED).collect()
}

#[cfg(test)]
mod tests;
