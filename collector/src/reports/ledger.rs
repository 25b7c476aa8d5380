//! The ledger for readers: entries with the present names of accounts, users and hosts.

use muster_proto::model::{
    AccountId, DutySubject, EntryKind, HostId, ImportCounts, LedgerEntry, OrderId, PurgeCounts, SiteId, Timestamp,
};

use super::{Page, ReportContext, ReportError};
use crate::ledger::actor::ActorId;
use crate::ledger::entry::{Entry, HostAction, LaneChange, WaiverRequest};
use crate::store::admin::ledger::{self, ByActor, NAMED_HOSTS, Names};
use crate::store::{LedgerRow, StoreError, admin};

/// Which entries a reader asks for, newest first.
#[derive(Debug, Clone, Default)]
pub struct LedgerAsked {
    /// Only entries of this time or later.
    pub since: Option<Timestamp>,
    /// Only entries of this kind.
    pub kind: Option<EntryKind>,
    /// Name or id of an account, or `collector`, `rules`, `judge` or `agent`; empty is everybody.
    pub by: String,
    /// A host as [`ReportContext::host`] takes it; empty is every host.
    pub host: String,
    /// At most this many entries.
    pub rows: usize,
    /// The page, as the answer before gave it.
    pub page: Option<String>,
}

impl ReportContext {
    /// A page of the ledger. It may have fewer entries than asked for and still not be the last one, because a search
    /// for a rare host reads many others.
    ///
    /// # Errors
    /// The host or the account is unknown, the page token is not valid, or the store failed.
    pub async fn ledger(&self, asked: LedgerAsked) -> Result<Page<LedgerEntry>, ReportError> {
        let before = asked.page.as_deref().map(str::parse::<u64>).transpose().map_err(|_| ReportError::PageToken)?;
        let host = if asked.host.is_empty() { None } else { Some(self.host_id(&asked.host).await?) };
        let query = ledger::LedgerQuery {
            since: asked.since,
            kind: asked.kind,
            by: self.by_actor(&asked.by).await?,
            host,
            before,
            rows: asked.rows,
        };
        let list = move |tx: &mut dyn admin::AdminTx| ledger::list(tx, &query);
        let page = admin::read(self.store.as_ref(), "ledger_list", list).await?;
        let rows = page.rows.iter().map(|row| shown(row, &page.names)).collect::<Result<_, _>>()?;
        Ok(Page { rows, next: page.next.map(|number| number.to_string()), total: None })
    }

    /// One entry of the ledger.
    ///
    /// # Errors
    /// There is none with this number, or the store failed.
    pub async fn ledger_entry(&self, number: u64) -> Result<LedgerEntry, ReportError> {
        let get = move |tx: &mut dyn admin::AdminTx| ledger::get(tx, number);
        let found = admin::read(self.store.as_ref(), "ledger_get", get).await?;
        let (row, names) = found.ok_or(ReportError::NoEntry { number })?;
        Ok(shown(&row, &names)?)
    }

    async fn by_actor(&self, by: &str) -> Result<Option<ByActor>, ReportError> {
        Ok(Some(match by {
            "" => return Ok(None),
            "collector" => ByActor::Collector,
            "rules" => ByActor::Rules,
            "judge" => ByActor::Judge,
            "agent" => ByActor::Agent,
            "roster" => ByActor::Roster,
            "bulk" => ByActor::Bulk,
            name => {
                let (asked, scope) = (name.to_owned(), self.sites.clone());
                let find = move |tx: &mut dyn admin::AdminTx| admin::accounts::find(tx, &scope, &asked);
                let found = admin::read(self.store.as_ref(), "account_get", find).await?;
                let none = |_| ReportError::NoAccount { account: name.chars().take(64).collect() };
                ByActor::Account(found.map_err(none)?.id)
            }
        }))
    }
}

fn shown(row: &LedgerRow, names: &Names) -> Result<LedgerEntry, StoreError> {
    let entry = row.entry.to_json(&row.actor).map_err(|error| StoreError::Damaged {
        what: format!("ledger entry {}", row.number),
        reason: error.to_string(),
    })?;
    Ok(LedgerEntry {
        number: row.number,
        at: row.at,
        kind: row.entry.kind(),
        actor: actor_name(&row.actor, names),
        account: row.actor.account().map(AccountId::to_string).unwrap_or_default(),
        text: sentence(&row.entry, names),
        entry,
    })
}

fn actor_name(actor: &ActorId, names: &Names) -> String {
    match actor {
        ActorId::Account { account, .. } => account_name(account, names),
        ActorId::Collector { user } => {
            let name = names.users.get(user).map_or("a forgotten user", String::as_str);
            format!("{name} (on the collector)")
        }
        ActorId::Rules => "rules".to_owned(),
        ActorId::Judge => "judge".to_owned(),
        ActorId::Agent => "agent".to_owned(),
        ActorId::Roster => "roster".to_owned(),
        ActorId::Bulk => "bulk".to_owned(),
    }
}

fn account_name(account: &AccountId, names: &Names) -> String {
    names.accounts.get(account).cloned().unwrap_or_else(|| account.to_string())
}

/// What happened, in one line.
fn sentence(entry: &Entry, names: &Names) -> String {
    let account = |account: &AccountId| account_name(account, names);
    match entry {
        Entry::TokenCreated { token, site, expires_at, max_uses } => {
            let uses = match max_uses {
                0 => "any number of hosts".to_owned(),
                1 => "1 host".to_owned(),
                uses => format!("{uses} hosts"),
            };
            format!("enrollment token {token} for {uses} at site {site}, until {}", expires_at.whole_seconds())
        }
        Entry::TokenRevoked { token } => format!("enrollment token {token}"),
        Entry::AccountCreated { account: id, role, holder, sites, .. } => {
            format!("account {} for a {holder}: {role} at {}", account(id), site_list(sites))
        }
        Entry::AccountRotated { account: id, others_end_at, .. } => {
            format!("new token of account {}; its previous tokens end {}", account(id), others_end_at.whole_seconds())
        }
        Entry::AccountChanged { account: id, role, sites } => {
            format!("account {}: {role} at {}, as the identity provider says", account(id), site_list(sites))
        }
        Entry::AccountRevoked { account: id } => format!("account {} and its tokens", account(id)),
        Entry::PasswordSet { account: id, password } => format!("password {password} of account {}", account(id)),
        Entry::PasswordRemoved { account: id } => format!("the password of account {}", account(id)),
        Entry::SessionOpened { session, expires_at, link } => {
            let by = link.as_ref().map_or_else(String::new, |link| format!(", opened with login link {link}"));
            format!("session {session} of the web board{by}, until {}", expires_at.whole_seconds())
        }
        Entry::LoginLinkCreated { link, expires_at } => {
            format!("login link {link} of the own account, until {}", expires_at.whole_seconds())
        }
        Entry::SessionEnded { session } => format!("session {session} of the web board"),
        Entry::HostEnrolled { host, site, token } => {
            format!("{} at site {site}, with token {token}", host_name(host, names))
        }
        Entry::HostRekeyed { host, quarantined: true } => {
            format!(
                "new key for {}, in quarantine: its certificate had expired or was replaced",
                host_name(host, names)
            )
        }
        Entry::HostRekeyed { host, quarantined: false } => format!("new key for {}", host_name(host, names)),
        Entry::HostsRevoked(action) => format!("all keys of {}", host_action(action, names)),
        Entry::HostsReleased(action) | Entry::HostsReviewed(action) | Entry::HostsUnretired(action) => {
            host_action(action, names)
        }
        Entry::TwoHoldersFound { host, sign } => format!("{}: {}", host_name(host, names), sign.text()),
        Entry::HostsPurged { action, removed } => {
            let PurgeCounts { snapshots, sections } = removed;
            format!("{}; removed snapshots: {snapshots}, sections: {sections}", host_action(action, names))
        }
        Entry::HostsThrottled { hosts, budget } => {
            format!("{}: {} is spent", host_list(hosts, names), budget.setting())
        }
        Entry::ThrottlingEnded { hosts } => host_list(hosts, names),
        Entry::HostReadmitted { host, site, issued_at, is_new } => {
            let lost = if *is_new { "host" } else { "key" };
            let issued = issued_at.whole_seconds();
            format!(
                "{} at site {site}, by its certificate of {issued}: a restore had lost the {lost}",
                host_name(host, names)
            )
        }
        Entry::LanesChanged { hosts, changes, .. } => {
            let changes: Vec<String> = changes.iter().map(change).collect();
            format!("{}: {}", host_list(hosts, names), changes.join("; "))
        }
        Entry::RulesAdopted { from: None, to } => format!("rules {to}"),
        Entry::RulesAdopted { from: Some(from), to } => format!("rules {to} in place of {from}"),
        Entry::OrdersApplied { files } => {
            let file = |(id, sha256): (&OrderId, &String)| format!("{id} (SHA-256 {sha256})");
            files.iter().map(file).collect::<Vec<_>>().join(", ")
        }
        Entry::OrderActivated { order, sha256 }
        | Entry::OrderDeactivated { order, sha256 }
        | Entry::OrderRemoved { order, sha256 } => format!("{order} (SHA-256 {sha256})"),
        Entry::RulesKept { version, shipped, overlay, applied } => {
            format!(
                "rules {version} (SHA-256 of the binary's files {shipped}, of the overlay {overlay}, of applied files {applied})"
            )
        }
        Entry::Restored { backup_at } => format!("the backup of {}", backup_at.whole_seconds()),
        Entry::DutiesOpened { order, clock, duties } => format!("{}: {clock} of {order}", duty_list(duties)),
        Entry::DutyDone { duty, order, clock, subject, reference, evidence } => {
            let reference = names.notes.get(reference).map_or("the reference is forgotten", String::as_str);
            let subject = match subject {
                DutySubject::Order => String::new(),
                DutySubject::Product(product) => format!(", {product}"),
                DutySubject::Host(host) => format!(", {}", host_name(host, names)),
            };
            let evidence = evidence.as_ref().map_or_else(String::new, |file| format!(", with {}", file.name));
            format!("duty {duty}: {clock} of {order}{subject}: {reference}{evidence}")
        }
        Entry::DutiesClosed { order, duties } => {
            format!("{}: {order} is no longer active", duty_list(duties))
        }
        Entry::ServerKeyRenewed => "new server key and certificate; the file of the previous ones was lost".to_owned(),
        Entry::AttestationIssued { host, order, sha256 } => {
            format!("{} under {order}, SHA-256 {sha256}", host_name(host, names))
        }
        Entry::RosterImportStarted { source, counts, .. } => format!("list {source}: {}", import_counts(*counts)),
        Entry::RosterImported { source, counts, .. } => format!("list {source}: {}", import_counts(*counts)),
        Entry::RosterMatched { entries, hosts, basis } => {
            format!("{} ({basis}): {}", entry_list(entries), host_list(hosts, names))
        }
        Entry::RosterUnmatched { entries, hosts } => format!("{}: {}", entry_list(entries), host_list(hosts, names)),
        Entry::RosterExcused { entry, reason } => {
            let reason = names.notes.get(reason).map_or("the reason is forgotten", String::as_str);
            format!("entry {entry}: {reason}")
        }
        Entry::BulkStarted { bulk, change, value, text, selected } => {
            let text =
                text.as_ref().map(|hash| names.notes.get(hash).map_or("a text that is forgotten", String::as_str));
            let value = value.as_deref().or(text).unwrap_or_default();
            format!("bulk change {bulk}, {change} \"{value}\": {selected} hosts selected")
        }
        Entry::BulkEnded { bulk, changed, refused } => {
            format!("bulk change {bulk}: {changed} hosts changed, {refused} at their limit")
        }
        Entry::WaiverRequested(request) => {
            let control = names.notes.get(&request.control).map_or("the control is forgotten", String::as_str);
            let WaiverRequest { waiver, order, reason, until, count, .. } = request.as_ref();
            let hosts = if *count == 1 { "1 host".to_owned() } else { format!("{count} hosts") };
            format!("waiver {waiver} of {hosts} under {order} until {} ({reason}): {control}", until.whole_seconds())
        }
        Entry::WaiverApproved { waiver, hosts }
        | Entry::WaiverRefused { waiver, hosts }
        | Entry::WaiverEnded { waiver, hosts } => match hosts.as_slice() {
            [] => format!("waiver {waiver}"),
            hosts => format!("waiver {waiver}: {}", host_list(hosts, names)),
        },
        Entry::DispositionRequested { disposition, disposition_kind, hosts, evidence, file, needs_second } => {
            let evidence = names.notes.get(evidence).map_or("the evidence is forgotten", String::as_str);
            let file = file.as_ref().map_or_else(String::new, |file| format!(", with {}", file.name));
            let second = if *needs_second { "; needs a second person" } else { "" };
            let hosts = host_list(hosts, names);
            format!("disposition {disposition}: {hosts} as {disposition_kind}: {evidence}{file}{second}")
        }
        Entry::DispositionApproved { disposition, hosts } | Entry::DispositionRefused { disposition, hosts } => {
            format!("disposition {disposition}: {}", host_list(hosts, names))
        }
        Entry::HostsReturned { hosts } => format!("{}: reported after it was retired", host_list(hosts, names)),
        Entry::SealKeyKept { verifier_key } => format!("verifier key {verifier_key}"),
        Entry::AdminTokenRenewed { token } => format!("new admin token {token}; the file of the previous one was lost"),
    }
}

fn change(change: &LaneChange) -> String {
    let lane = |lane: Option<muster_proto::model::Lane>| lane.map_or("none", muster_proto::model::Lane::name);
    format!("{} from {} to {} ({})", change.order, lane(change.from), lane(change.to), change.cause)
}

/// `duty 7`, `duties 7, 8, 9 and 12 more`
fn duty_list(duties: &[u64]) -> String {
    format!("{} {}", if duties.len() == 1 { "duty" } else { "duties" }, numbers(duties))
}

fn entry_list(entries: &[u64]) -> String {
    format!("{} {}", if entries.len() == 1 { "entry" } else { "entries" }, numbers(entries))
}

fn numbers(numbers: &[u64]) -> String {
    let named: Vec<String> = numbers.iter().take(NAMED_HOSTS).map(u64::to_string).collect();
    let more = numbers.len().saturating_sub(NAMED_HOSTS);
    let rest = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}{rest}", named.join(", "))
}

fn import_counts(counts: ImportCounts) -> String {
    let ImportCounts { added, changed, unchanged, absent } = counts;
    format!("{added} new, {changed} changed, {unchanged} unchanged, {absent} absent")
}

fn site_list(sites: &[SiteId]) -> String {
    match sites {
        [] => "all sites".to_owned(),
        sites => format!("site {}", sites.iter().map(SiteId::as_str).collect::<Vec<_>>().join(", ")),
    }
}

fn host_name(host: &HostId, names: &Names) -> String {
    names.hosts.get(host).filter(|name| !name.is_empty()).map_or_else(|| host.to_string(), |name| name.clone())
}

/// The hosts, how they were chosen, and why.
fn host_action(action: &HostAction, names: &Names) -> String {
    let token = action.token.as_ref().map(|token| format!(", enrolled with token {token}")).unwrap_or_default();
    let reason = names.notes.get(&action.reason).map_or("the reason is forgotten", String::as_str);
    format!("{}{token}: {reason}", host_list(&action.hosts, names))
}

fn host_list(hosts: &[HostId], names: &Names) -> String {
    let named: Vec<String> = hosts.iter().take(NAMED_HOSTS).map(|host| host_name(host, names)).collect();
    let more = hosts.len().saturating_sub(NAMED_HOSTS);
    let rest = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}{rest}", named.join(", "))
}
