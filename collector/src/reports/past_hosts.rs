//! Hosts as they were at an instant: lists, read portion by portion in the order of their enrollment, and one host with what the
//! rules of that time say of its snapshot of that time.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_proto::model::{
    Cause, Label, Lane, OrderId, PastAssessment, PastDecision, PastGap, PastHost, PastHostReport, PastSnapshot,
    PastVerdict, SiteId, Timestamp,
};

use super::host::sources_of;
use super::paging::Page;
use super::past_filter::PastFilter;
use super::{ReportContext, ReportError};
use crate::filter::Filter;
use crate::judge::{assess, is_overdue};
use crate::rules::{Order, RuleSet};
use crate::store::admin::past::bounds::bounds;
use crate::store::admin::past::portion::{self, HostThen};
use crate::store::admin::past::snapshot::{ReportedThen, SnapshotThen, reported};
use crate::store::admin::{self, AdminTx};
use crate::store::{NotKnown, OrderThen, SiteScope, StoredSnapshot};

/// Hosts that are read at a time, and for one page: few of them may be asked for.
const PORTION: usize = 500;
const BUDGET: usize = 20_000;

/// Which hosts a list of the past shows.
#[derive(Debug, Clone)]
pub struct PastHostsAsked {
    /// The instant.
    pub at: Timestamp,
    /// Only hosts to which this order applied; `None` is every order that was active.
    pub order: Option<OrderId>,
    /// Only hosts in these lanes; empty is every lane.
    pub lanes: Vec<Lane>,
    /// Only hosts that were silent, whatever their lanes were.
    pub silent_only: bool,
    /// Only hosts of these sites; empty is every site.
    pub sites: Vec<SiteId>,
    /// Only hosts whose name contains this, whatever the case of its letters.
    pub name: String,
    /// Only hosts that matched this then. Where it is about an order and none is named, only under orders under which they did.
    pub filter: Filter,
    /// At most this many.
    pub rows: usize,
    /// The token of an earlier page.
    pub page: Option<String>,
}

/// The orders that were active, with what the store and the rules know of them.
type OrdersThen = Vec<(OrderId, Result<OrderThen, NotKnown>)>;

impl ReportContext {
    /// Hosts with their lanes at an instant, in the order of their enrollment. A page may have fewer rows than were asked for,
    /// though others follow.
    ///
    /// # Errors
    /// The instant is in the future, something is not known any more, the filter asks what is not kept of the past, the page token is
    /// not valid, or the store failed.
    pub async fn past_hosts(&self, asked: PastHostsAsked) -> Result<Page<PastHost>, ReportError> {
        let order = Self::order_named(asked.order.as_ref(), &asked.filter)?;
        let asked = PastHostsAsked { at: self.asked_instant(asked.at), order, ..asked };
        let filter = PastFilter::new(asked.filter.clone(), asked.at)?;
        // The numbers of hosts are 32 bits long.
        let after = match asked.page.as_deref().map(str::parse::<i32>).transpose() {
            Ok(Some(after)) if after < 0 => return Err(ReportError::PageToken),
            Ok(after) => i64::from(after.unwrap_or(0)),
            Err(_) => return Err(ReportError::PageToken),
        };
        let (rules, orders) = self.orders_at(asked.order.as_ref(), asked.at).await?;
        // A list that leaves hosts out because their lanes are not known would read as if they were finished.
        let mut known = Vec::new();
        for (order, then) in orders {
            let unknown =
                |NotKnown { why, from }| ReportError::NotKnown { at: asked.at, order: Some(order.clone()), why, from };
            let then = then.map_err(unknown)?;
            known.push((order, then));
        }
        let sites = self.sites.intersection(&SiteScope::of(&asked.sites));
        let read = move |tx: &mut dyn AdminTx| {
            let numbers = portion::orders(tx)?;
            let (orders, numbers) = (&known, &numbers);
            let list = PastList { asked: &asked, filter: &filter, rules: &rules, orders, numbers, sites: &sites };
            list.read(tx, after)
        };
        Ok(admin::read(self.store.as_ref(), "past_hosts", read).await?)
    }

    /// A host at an instant, named as for [`ReportContext::host`].
    ///
    /// # Errors
    /// As for [`ReportContext::host`], or the instant is in the future, or before the host enrolled, or rules of that time are not
    /// kept.
    pub async fn past_host(
        &self,
        asked: &str,
        order: Option<&OrderId>,
        at: Timestamp,
    ) -> Result<PastHostReport, ReportError> {
        let at = self.asked_instant(at);
        let stored = self.find(asked).await?;
        if at < stored.enrolled_at {
            return Err(ReportError::NotEnrolled { host: stored.facts.hostname, at, enrolled_at: stored.enrolled_at });
        }
        let (rules, orders) = self.orders_at(order, at).await?;
        let id = stored.host;
        let read = move |tx: &mut dyn AdminTx| {
            let Some(mut host) = portion::host(tx, id, at)? else { return Ok(None) };
            portion::add_said(tx, std::slice::from_mut(&mut host), at)?;
            let reported = reported(tx, host.no, at)?;
            Ok(Some((host, portion::orders(tx)?, reported)))
        };
        let found = admin::read(self.store.as_ref(), "past_host", read).await?;
        let none = || ReportError::NoHost { host: asked.chars().take(255).collect() };
        let (host, numbers, reported) = found.ok_or_else(none)?;
        let mut shown = shown(&host, at);
        let texts = self.decision_texts(id, &host.past(-1).decisions, at).await?;
        let (mut unknown, mut decisions) = (Vec::new(), Vec::new());
        for (order, then) in &orders {
            match then {
                Ok(then) => {
                    let number = numbers.get(order).copied().unwrap_or(-1);
                    let found = rules.order(order.as_str()).and_then(|order| verdict(&host, number, order, then, at));
                    let past = host.past(number);
                    let decided = past.decision(at, order, then.patience);
                    let decided =
                        decided.filter(|one| found.as_ref().is_some_and(|it| it.lane == one.decision().lane()));
                    decisions
                        .extend(decided.map(|one| PastDecision { order: order.clone(), decision: texts.report(one) }));
                    shown.verdicts.extend(found);
                }
                Err(NotKnown { why, from }) => unknown.push(PastGap { order: order.clone(), why: *why, from: *from }),
            }
        }
        let ids: Vec<&OrderId> = orders.iter().map(|(order, _)| order).collect();
        let seen = shown.last_seen;
        let mut report = PastHostReport {
            as_of: at,
            host: shown,
            labels: host.labels.clone(),
            owner: host.owner.clone(),
            roster_entry: host.entry,
            unknown,
            decisions,
            rules_version: rules.version.clone(),
            snapshot: None,
            assessments: Vec::new(),
            not_kept: Vec::new(),
        };
        self.add_snapshot(&mut report, &rules, (&ids, &host.labels), &reported, seen.unwrap_or(at)).await?;
        Ok(report)
    }

    /// Adds the snapshot of that time and what the rules of that time say of it; or what is not kept of it.
    async fn add_snapshot(
        &self,
        report: &mut PastHostReport,
        rules: &Arc<RuleSet>,
        (orders, labels): (&[&OrderId], &[Label]),
        reported: &ReportedThen,
        received: Timestamp,
    ) -> Result<(), ReportError> {
        let Some(SnapshotThen { digest, since, observed_at }) = reported.snapshot else {
            report.not_kept.push(match reported.snapshots_removed.filter(|removed| report.as_of < *removed) {
                Some(removed) => format!(
                    "its snapshot of that time was removed when its retention ended (retention.snapshots); snapshots are kept \
                     from {} on",
                    removed.whole_seconds()
                ),
                None => "it had no snapshot then, or what it had sent was purged".to_owned(),
            });
            return Ok(());
        };
        let Some(snapshot) = self.store.snapshot_get(digest).await? else {
            report.not_kept.push("its snapshot of that time is not kept any more".to_owned());
            return Ok(());
        };
        let site = report.host.site.clone();
        let stored = StoredSnapshot { digest, snapshot, observations: BTreeMap::new(), since, observed_at };
        let active: Vec<&Order> = orders.iter().filter_map(|order| rules.order(order.as_str())).collect();
        let sources = sources_of(&site, labels, &stored, &active);
        report.snapshot = Some(PastSnapshot { digest, since, observed_at, sources });
        let Some(state) = &reported.state else {
            report.not_kept.push(match reported.states_removed.filter(|removed| report.as_of < *removed) {
                Some(removed) => format!(
                    "its state of that time was removed when its retention ended (retention.states), so its snapshot is not \
                     judged again; states are kept from {} on",
                    removed.whole_seconds()
                ),
                None => "it had not been judged with a state then, so its snapshot is not judged again".to_owned(),
            });
            return Ok(());
        };
        let hits = self.hits_under(rules, &stored).await?;
        for order in active {
            let found = assess(order, &rules.catalogue, &stored.snapshot, &hits, state, received);
            report.assessments.push(PastAssessment {
                order: order.id.clone(),
                presence: found.presence,
                protection: found.protection,
                reasons: found.reasons,
            });
        }
        Ok(())
    }

    /// The rules of an instant, and the orders that were active, or one of them, with what is known of each.
    async fn orders_at(
        &self,
        asked: Option<&OrderId>,
        at: Timestamp,
    ) -> Result<(Arc<RuleSet>, OrdersThen), ReportError> {
        if let Some(order) = asked {
            self.active_at(order, at).await?;
        }
        let rules = self.rules_at(at).await?;
        let ids = rules.active_orders().map(|order| order.id.clone());
        let ids: Vec<OrderId> = ids.filter(|id| asked.is_none_or(|asked| asked == id)).collect();
        let now = self.now;
        let read = move |tx: &mut dyn AdminTx| {
            let of = |id: &OrderId, tx: &mut dyn AdminTx| Ok((id.clone(), bounds(tx, id, at, now)?.at(at).cloned()));
            ids.iter().map(|id| of(id, tx)).collect()
        };
        Ok((rules, admin::read(self.store.as_ref(), "past_bounds", read).await?))
    }
}

/// A list that is read.
struct PastList<'l> {
    asked: &'l PastHostsAsked,
    filter: &'l PastFilter,
    rules: &'l RuleSet,
    orders: &'l [(OrderId, OrderThen)],
    numbers: &'l BTreeMap<OrderId, i64>,
    sites: &'l SiteScope,
}

impl PastList<'_> {
    fn read(&self, tx: &mut dyn AdminTx, mut after: i64) -> crate::store::sql::Step<Page<PastHost>> {
        let mut page = Page { rows: Vec::new(), next: None, total: None };
        let mut read = 0;
        loop {
            let mut hosts = portion::hosts_after(tx, after, PORTION, self.asked.at)?;
            if self.filter.needs_said() {
                portion::add_said(tx, &mut hosts, self.asked.at)?;
            }
            let is_last = hosts.len() < PORTION;
            read += hosts.len();
            for host in &hosts {
                let Some(row) = self.row(host) else { continue };
                if page.rows.len() == self.asked.rows {
                    page.next = Some(after.to_string());
                    return Ok(page);
                }
                page.rows.push(row);
                after = host.no;
            }
            after = hosts.last().map_or(after, |host| host.no);
            if is_last {
                return Ok(page);
            }
            if read >= BUDGET {
                page.next = Some(after.to_string());
                return Ok(page);
            }
        }
    }

    /// The host as the list shows it; `None` if it is not asked for.
    fn row(&self, host: &HostThen) -> Option<PastHost> {
        let at = self.asked.at;
        let is_named = || host.hostname.to_lowercase().contains(&self.asked.name.to_lowercase());
        if !self.sites.contains(&host.site) || host.is_enrolled_after(at) || !is_named() {
            return None;
        }
        let is_by_order = self.filter.needs_order();
        if !is_by_order && !self.filter.matches(host, None) {
            return None;
        }
        let mut row = shown(host, at);
        for (id, then) in self.orders {
            let Some(order) = self.rules.order(id.as_str()) else { continue };
            let number = self.numbers.get(id).copied().unwrap_or(-1);
            let verdict = verdict(host, number, order, then, at).filter(|verdict| verdict.in_scope);
            let is_shown = |verdict: &PastVerdict| {
                self.is_asked(verdict) && (!is_by_order || self.filter.matches(host, Some(verdict)))
            };
            row.verdicts.extend(verdict.filter(is_shown));
        }
        let is_chosen =
            self.asked.order.is_some() || !self.asked.lanes.is_empty() || self.asked.silent_only || is_by_order;
        (!is_chosen || !row.verdicts.is_empty()).then_some(row)
    }

    fn is_asked(&self, verdict: &PastVerdict) -> bool {
        let lanes = &self.asked.lanes;
        (lanes.is_empty() || lanes.contains(&verdict.lane)) && (verdict.silent || !self.asked.silent_only)
    }
}

fn shown(host: &HostThen, at: Timestamp) -> PastHost {
    // Of no order: only what does not depend on one is read.
    let past = host.past(-1);
    PastHost {
        id: host.host,
        hostname: host.hostname.clone(),
        site: host.site.clone(),
        platform: host.platform,
        os_name: host.os_name.clone(),
        enrolled_at: past.enrolled_at,
        last_seen: past.last_seen_by(at),
        verdicts: Vec::new(),
    }
}

/// Where a host was under an order. One that waited for its first judgement was `unknown`, as on the board.
fn verdict(host: &HostThen, number: i64, order: &Order, then: &OrderThen, at: Timestamp) -> Option<PastVerdict> {
    let past = host.past(number);
    let place = past.place(at, &order.id, then.patience)?;
    let is_judged = past.span_at(at).is_some();
    let in_scope = !is_judged || place.lane.is_some();
    let awake = past.span_at(at).map_or(Lane::Unknown, |span| span.lane);
    let lane = place.lane.filter(|_| in_scope).unwrap_or(awake);
    let fell_silent = past.last_seen_by(at).map(|seen| seen.plus(then.patience));
    let (since, cause) = match place.decided.filter(|_| in_scope) {
        Some(decided) => (decided.since, decided.cause()),
        None if lane == awake => (place.since, place.cause),
        None => (fell_silent.unwrap_or(place.since), Cause::Silent),
    };
    Some(PastVerdict {
        order: order.id.clone(),
        lane,
        true_lane: if in_scope { past.true_lane(at, &place, then.patience) } else { lane },
        in_scope,
        overdue: is_overdue(order, lane, in_scope, at),
        silent: place.is_silent && in_scope,
        since,
        cause,
    })
}
