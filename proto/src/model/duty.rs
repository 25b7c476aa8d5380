//! Duties: what an order demands of somebody by an instant.

use super::closed_list::closed_list;
use super::ids::{HostId, OrderId, ProductId, SiteId};
use super::timestamp::Timestamp;

closed_list! {
    /// The state of a duty.
    DutyState {
        /// Nobody has done it yet.
        Open = 1, "open";
        /// A person has done it.
        Done = 2, "done";
        /// Its order is no longer active.
        Closed = 3, "closed";
    }
}

/// What a duty is about. Its text is `order`, `product:ID` or `host:ID`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DutySubject {
    /// The order as a whole.
    Order,
    /// A product, on whatever hosts it is.
    Product(ProductId),
    /// A host.
    Host(HostId),
}

/// A text is not the subject of a duty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the subject of a duty is \"order\", \"product:ID\" or \"host:ID\"")]
pub struct InvalidSubject;

impl std::fmt::Display for DutySubject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Order => f.write_str("order"),
            Self::Product(product) => write!(f, "product:{product}"),
            Self::Host(host) => write!(f, "host:{host}"),
        }
    }
}

impl std::str::FromStr for DutySubject {
    type Err = InvalidSubject;

    fn from_str(text: &str) -> Result<Self, InvalidSubject> {
        match text.split_once(':') {
            None if text == "order" => Ok(Self::Order),
            Some(("product", id)) => ProductId::new(id).map(Self::Product).map_err(|_| InvalidSubject),
            Some(("host", id)) => id.parse().map(Self::Host).map_err(|_| InvalidSubject),
            _ => Err(InvalidSubject),
        }
    }
}

impl serde::Serialize for DutySubject {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for DutySubject {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The file that proves that a duty is done. Muster keeps its name and its hash, never the file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DutyEvidence {
    /// The name of the file, without its folder.
    pub name: String,
    /// The SHA-256 of its content, in lower-case hex.
    pub sha256: String,
}

/// A duty.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DutyReport {
    /// Its number.
    pub number: u64,
    /// The order that demands it.
    pub order: OrderId,
    /// The clock or the recurring duty of the order.
    pub clock: String,
    /// What it is about.
    pub subject: DutySubject,
    /// The name of the host, if it is about one; empty otherwise.
    pub hostname: String,
    /// The site of the host, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<SiteId>,
    /// The instant of the event that started the clock.
    pub opened: Timestamp,
    /// Until when it must be done.
    pub due: Timestamp,
    /// Its state.
    pub state: DutyState,
    /// Whether it is open and its time is over.
    pub overdue: bool,
    /// When it was done or closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settled: Option<Timestamp>,
    /// What must be done; empty if the order no longer says so.
    pub what: String,
    /// What a report must contain.
    pub fields: Vec<String>,
    /// Whether the clock was read in a trustworthy text.
    pub confirmed: bool,
    /// What a person said when it was done, such as the number of a report; empty before.
    pub reference: String,
    /// What proves that it is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<DutyEvidence>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_read_as_it_is_written_and_nothing_else_is_one() {
        let product = ProductId::new("kaspersky-endpoint-security").expect("valid");
        for subject in
            [DutySubject::Order, DutySubject::Product(product), DutySubject::Host(HostId::from_bytes([7; 16]))]
        {
            assert_eq!(subject.to_string().parse(), Ok(subject));
        }
        for text in ["", "orders", "product:", "product:A B", "host:", "host:7", "site:hq"] {
            assert_eq!(text.parse::<DutySubject>(), Err(InvalidSubject), "{text}");
        }
    }
}
