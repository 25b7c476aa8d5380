//! Which hosts a person means: those that match a filter, or those of a list that was pasted.

use std::collections::BTreeSet;

use muster_proto::model::{HostId, HostName, Identifier, IdentifierKind, OrderId};

use super::{HostsQuery, ReportContext, ReportError};
use crate::filter::Filter;
use crate::store::admin::identifiers::{LineAsked, LineFound};
use crate::store::{HostKey, HostQuery, SelectedHost, admin};

/// Lines of a list that are looked for in one transaction.
const LINES: usize = 1_000;

/// The hosts that a person means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostsMeantBy {
    /// Those that match a filter, under an order if one is named.
    Filter {
        /// The order under which lanes are meant.
        order: Option<OrderId>,
        /// The filter. An empty one means every host.
        filter: Filter,
    },
    /// These, and nothing that calls itself so: agents report serial numbers and UUIDs as they like.
    Ids(Vec<HostId>),
    /// Those that a list names, one a line: by id, serial number, hardware UUID, full name, asset tag, address of a network
    /// card, or name.
    Lines(Vec<String>),
}

/// The hosts that were found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostsSelected {
    /// The hosts, in the order of their ids.
    pub hosts: Vec<SelectedHost>,
    /// Lines that no host has.
    pub not_found: Vec<String>,
    /// Lines that several hosts have. None of them is selected.
    pub ambiguous: Vec<String>,
}

impl ReportContext {
    /// The hosts of the reader's sites that a person means, at most `most` and one more.
    ///
    /// # Errors
    /// The filter needs an order, the order is unknown or not active, or the store failed.
    pub async fn select(&self, meant: HostsMeantBy, most: usize) -> Result<HostsSelected, ReportError> {
        match meant {
            HostsMeantBy::Filter { order, filter } => {
                let asked = HostsQuery { order, filter, ..HostsQuery::default() };
                let Some((whole, _)) = self.host_query(&asked)? else { return Ok(HostsSelected::default()) };
                let rows = most.saturating_add(1);
                let hosts = self.store.host_select(HostQuery { rows, ..whole }).await?;
                Ok(HostsSelected { hosts, ..HostsSelected::default() })
            }
            HostsMeantBy::Ids(ids) => {
                let asked = |id: HostId| (id.to_string(), LineAsked { id: Some(id), identifiers: Vec::new() });
                self.of_asked(ids.into_iter().map(asked).collect()).await
            }
            HostsMeantBy::Lines(lines) => {
                let lines: BTreeSet<String> = lines.iter().map(|line| line.trim().to_owned()).collect();
                let lines = lines.into_iter().filter(|line| !line.is_empty());
                let asked = lines.map(|line| {
                    let asked = self.line(&line);
                    (line, asked)
                });
                self.of_asked(asked.collect()).await
            }
        }
    }

    /// The names of these hosts, as far as they are at the reader's sites.
    ///
    /// # Errors
    /// The store failed.
    pub async fn names(&self, hosts: &[HostId]) -> Result<Vec<HostName>, ReportError> {
        let mut named = Vec::new();
        for host in hosts {
            let before = u128::from_be_bytes(*host.as_bytes()).checked_sub(1);
            let after = before.map(|before| HostKey::Id(HostId::from_bytes(before.to_be_bytes())));
            let query = HostQuery { rows: 1, after, sites: self.sites.clone(), ..HostQuery::default() };
            let found = self.store.host_list(query).await?.into_iter().filter(|row| row.host == *host);
            named.extend(found.map(|row| HostName { id: row.host, hostname: row.hostname }));
        }
        Ok(named)
    }

    async fn of_asked(&self, lines: Vec<(String, LineAsked)>) -> Result<HostsSelected, ReportError> {
        let (mut hosts, mut selected) = (BTreeSet::new(), HostsSelected::default());
        for portion in lines.chunks(LINES) {
            let asked: Vec<LineAsked> = portion.iter().map(|(_, asked)| asked.clone()).collect();
            let sites = self.sites.clone();
            let find = move |tx: &mut dyn admin::AdminTx| admin::identifiers::find_each(tx, &asked, &sites);
            let found = admin::read(self.store.as_ref(), "hosts_find", find).await?;
            for ((line, _), found) in portion.iter().zip(found) {
                match found {
                    LineFound::One { no, id } => drop(hosts.insert(SelectedHost { no, id })),
                    LineFound::None => selected.not_found.push(line.clone()),
                    LineFound::Several => selected.ambiguous.push(line.clone()),
                }
            }
        }
        selected.hosts = hosts.into_iter().collect();
        selected.hosts.sort_unstable_by_key(|host| host.id);
        Ok(selected)
    }

    /// What a line can be. A value that many machines have identifies none of them.
    fn line(&self, line: &str) -> LineAsked {
        const KINDS: [IdentifierKind; 6] = [
            IdentifierKind::Serial,
            IdentifierKind::HardwareUuid,
            IdentifierKind::Fqdn,
            IdentifierKind::AssetTag,
            IdentifierKind::Mac,
            IdentifierKind::Name,
        ];
        let placeholders = self.rules.placeholders();
        // A full name names no host of another domain, and an address none of the same number.
        let is_meant = |kind: &&IdentifierKind| **kind != IdentifierKind::Name || !line.contains('.');
        let identifiers = KINDS.iter().filter(is_meant).filter_map(|kind| Identifier::new(*kind, line));
        LineAsked {
            id: line.parse::<HostId>().ok(),
            identifiers: identifiers.filter(|one| !placeholders.has(one)).collect(),
        }
    }
}
