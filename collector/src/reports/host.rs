//! One host and the reasons for its lanes: judged again at this instant from what is stored.

use std::collections::{BTreeMap, BTreeSet};

use muster_proto::model::{
    Digest, Explanation, HostCandidate, HostId, HostMark, HostReport, Identifier, IdentifierKind, Label, Lane, OrderId,
    Presence, Protection, SiteId, SnapshotEntry, SourceName, SourceReport, VerdictReport,
};

use super::decided::{DecisionTexts, sentence};
use super::verdict::effective;
use super::{ReportContext, ReportError};
use crate::judge::{Hit, HostSituation, Remediation, assess, detect, place, products_of};
use crate::rules::{Order, RuleSet};
use crate::store::{HostKey, HostQuery, StoredHost, StoredSnapshot, admin};

impl ReportContext {
    /// A host by id, or where only one has it by name, by the beginning of its id, or by its serial number, hardware UUID, full
    /// name, asset tag, or the address of a network card.
    ///
    /// # Errors
    /// There is none, or several have the name, or the store failed.
    pub async fn host(&self, asked: &str) -> Result<HostReport, ReportError> {
        let stored = self.find(asked).await?;
        self.host_report(&stored, None).await
    }

    /// A host with its history, under the active orders or one of them.
    ///
    /// # Errors
    /// As for [`ReportContext::host`], or there is no such active order.
    pub async fn explain(&self, asked: &str, order: Option<&OrderId>) -> Result<Explanation, ReportError> {
        let stored = self.find(asked).await?;
        let host = self.host_report(&stored, order).await?;
        let duties = self.duties_about(&host).await?;
        let history = stored.history.iter().filter(|change| order.is_none_or(|order| *order == change.order)).cloned();
        let rules_version = self.rules.version.clone();
        Ok(Explanation { host, history: history.collect(), rules_version, duties })
    }

    /// The id of a host, given as for [`ReportContext::host`].
    ///
    /// # Errors
    /// As for [`ReportContext::host`].
    pub async fn host_id(&self, asked: &str) -> Result<HostId, ReportError> {
        self.find(asked).await.map(|host| host.host)
    }

    pub(super) async fn find(&self, asked: &str) -> Result<StoredHost, ReportError> {
        // The answer repeats the question, which may be arbitrarily long.
        let none = || ReportError::NoHost { host: asked.chars().take(255).collect() };
        let id = match asked.parse::<HostId>() {
            Ok(id) => id,
            // Hosts without a name have no name in common.
            Err(_) if asked.is_empty() => return Err(none()),
            Err(_) => {
                let mut ids = self.store.host_find(asked, &self.sites).await?;
                // A host may be named like the beginning of another one's id. Then both are meant, so neither is chosen.
                ids.extend(self.begin_with(asked).await?);
                ids.extend(self.identified_by(asked).await?);
                ids.sort_unstable();
                ids.dedup();
                match ids.as_slice() {
                    [] => return Err(none()),
                    [id] => *id,
                    _ => {
                        return Err(ReportError::Ambiguous {
                            name: asked.to_owned(),
                            hosts: self.candidates(&ids).await?,
                        });
                    }
                }
            }
        };
        // The answer is the same as for an unknown host, so it does not reveal that another site has it.
        let found = self.store.host_get(id).await?.filter(|host| self.sites.contains(&host.site));
        found.ok_or_else(none)
    }

    /// Hosts that have an identifier other than a name. A value that many machines have finds none of them.
    async fn identified_by(&self, asked: &str) -> Result<BTreeSet<HostId>, ReportError> {
        let of_kind = |kind: &IdentifierKind| Identifier::new(*kind, asked).filter(|_| *kind != IdentifierKind::Name);
        let placeholders = self.rules.placeholders();
        let identifiers: Vec<Identifier> =
            IdentifierKind::ALL.iter().filter_map(of_kind).filter(|one| !placeholders.has(one)).collect();
        let sites = self.sites.clone();
        let find = move |tx: &mut dyn admin::AdminTx| admin::identifiers::find(tx, &identifiers, &sites);
        Ok(admin::read(self.store.as_ref(), "identifier_find", find).await?)
    }

    /// What tells hosts of one name apart.
    async fn candidates(&self, ids: &[HostId]) -> Result<Vec<HostCandidate>, ReportError> {
        let mut hosts = Vec::new();
        for id in ids {
            // Rows of the list, not whole hosts: one host with a damaged snapshot must not hide the others. The list
            // starts after an id, so the one before this is its start.
            let before = u128::from_be_bytes(*id.as_bytes()).checked_sub(1);
            let after = before.map(|before| HostId::from_bytes(before.to_be_bytes()));
            let rows = self
                .store
                .host_list(HostQuery {
                    rows: 1,
                    after: after.map(HostKey::Id),
                    sites: self.sites.clone(),
                    ..HostQuery::default()
                })
                .await?;
            let found = rows.into_iter().filter(|row| row.host == *id);
            hosts.extend(found.map(|row| HostCandidate {
                id: row.host,
                hostname: row.hostname,
                site: row.site,
                last_seen: row.last_seen,
            }));
        }
        Ok(hosts)
    }

    /// Hosts whose id begins with this, at most ten. Fewer digits than stand before its first hyphen are no id.
    async fn begin_with(&self, asked: &str) -> Result<Vec<HostId>, ReportError> {
        let digits = asked.replace('-', "").to_ascii_lowercase();
        let is_id = (8..=32).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let Some(least) = u128::from_str_radix(&format!("{digits:0<32}"), 16).ok().filter(|_| is_id) else {
            return Ok(Vec::new());
        };
        let after = least.checked_sub(1).map(|before| HostId::from_bytes(before.to_be_bytes()));
        let rows = self
            .store
            .host_list(HostQuery {
                rows: 10,
                after: after.map(HostKey::Id),
                sites: self.sites.clone(),
                ..HostQuery::default()
            })
            .await?;
        let begins = |host: &HostId| host.to_string().replace('-', "").starts_with(&digits);
        // Rows are in the order of ids, so all that begin with the digits come first.
        Ok(rows.into_iter().map(|row| row.host).take_while(begins).collect())
    }

    pub(super) async fn host_report(
        &self,
        stored: &StoredHost,
        order: Option<&OrderId>,
    ) -> Result<HostReport, ReportError> {
        let hits = match &stored.snapshot {
            Some(snapshot) => self.hits_of(snapshot).await?,
            None => Vec::new(),
        };
        let orders = self.orders_asked(order)?;
        let texts = self.decision_texts(stored.host, &stored.decisions, self.now).await?;
        let verdicts = orders.iter().map(|order| self.verdict(stored, order, &hits, &texts)).collect();
        let labels: Vec<Label> = stored.labels.iter().map(|one| one.label.clone()).collect();
        let sources = stored.snapshot.as_ref().map(|snapshot| sources_of(&stored.site, &labels, snapshot, &orders));
        Ok(HostReport {
            id: stored.host,
            site: stored.site.clone(),
            facts: stored.facts.clone(),
            state: stored.state.clone(),
            enrolled_at: stored.enrolled_at,
            last_seen: stored.last_seen,
            snapshot_since: stored.snapshot.as_ref().map(|snapshot| snapshot.since),
            complete_scan: stored.complete_scan,
            observed_at: stored.snapshot.as_ref().map(|snapshot| snapshot.observed_at),
            snapshot: stored.snapshot.as_ref().map(|snapshot| snapshot.digest.to_string()).unwrap_or_default(),
            sources: sources.unwrap_or_default(),
            hits: products_of(&self.rules.catalogue, &hits),
            verdicts,
            marks: stored.marks.clone(),
            labels: stored.labels.clone(),
            owner: stored.owner.clone(),
            notes: stored.notes.clone(),
            enrolled_with: stored.enrolled_with.as_ref().map(ToString::to_string).unwrap_or_default(),
            dispositions: texts.dispositions,
        })
    }

    /// The hits of a snapshot: the stored ones, and for sections that the judge queue has not judged yet, new ones.
    async fn hits_of(&self, snapshot: &StoredSnapshot) -> Result<Vec<Hit>, ReportError> {
        self.hits_under(&self.rules, snapshot).await
    }

    /// The hits of a snapshot under some rules.
    pub(super) async fn hits_under(&self, rules: &RuleSet, snapshot: &StoredSnapshot) -> Result<Vec<Hit>, ReportError> {
        let sections: Vec<Digest> = snapshot.snapshot.entries().iter().filter_map(|entry| entry.section).collect();
        let mut kept: BTreeMap<Digest, Vec<Hit>> = self.store.hits_get(&sections, &rules.version).await?;
        let mut hits = Vec::new();
        for digest in sections {
            match kept.remove(&digest) {
                Some(known) => hits.extend(known),
                None => {
                    if let Some(section) = self.store.section_get(digest).await? {
                        hits.extend(detect(&rules.catalogue, &section));
                    }
                }
            }
        }
        Ok(hits)
    }

    fn verdict(&self, stored: &StoredHost, order: &Order, hits: &[Hit], texts: &DecisionTexts) -> VerdictReport {
        let verdict = stored.verdicts.iter().find(|verdict| verdict.order == order.id);
        // Signatures are fresh or stale at the last check-in, not when somebody reads the report.
        let received = stored.last_seen.unwrap_or(self.now);
        let assessment = stored
            .snapshot
            .as_ref()
            .map(|snapshot| assess(order, &self.rules.catalogue, &snapshot.snapshot, hits, &stored.state, received));
        let remediation = match (verdict, &assessment, &stored.snapshot) {
            // The judge has advanced this record already; advancing it again would count the same scan twice.
            (Some(verdict), _, _) => verdict.remediation.clone(),
            (None, Some(assessment), Some(snapshot)) => {
                Remediation::default().advance(assessment, snapshot.since, &stored.state.boot_id)
            }
            (None, _, _) => Remediation::default(),
        };
        let labels: Vec<Label> = stored.labels.iter().map(|one| one.label.clone()).collect();
        let binds = order.binds(stored.facts.platform, &stored.site, &labels);
        let in_force = stored.decisions.under(&order.id, stored.last_seen, self.now).filter(|_| binds);
        let situation = HostSituation {
            platform: stored.facts.platform,
            site: &stored.site,
            labels: &labels,
            last_seen: stored.last_seen,
            remediation: &remediation,
            has_two_holders: stored.marks.iter().any(|mark| mark.mark == HostMark::TwoHolders),
            decision: in_force.map(|found| found.decision()),
        };
        let mut placed = place(order, assessment.as_ref(), &situation, self.now);
        let decision = in_force.map(|found| texts.report(found));
        if let (Some(decision), Some(reason)) = (&decision, placed.reasons.first_mut()) {
            reason.text = sentence(decision, placed.true_lane);
        }
        let since = verdict.map(|verdict| effective(order, verdict, &stored.decisions, stored.last_seen, self.now));
        let since = since.filter(|effective| effective.lane == placed.lane).map(|effective| effective.since);
        let fell_silent =
            stored.last_seen.filter(|_| placed.lane == Lane::Silent).map(|seen| seen.plus(order.patience));
        VerdictReport {
            order: order.report(),
            lane: placed.lane,
            true_lane: placed.true_lane,
            decision,
            in_scope: placed.in_scope,
            overdue: placed.overdue,
            silent: placed.silent,
            presence: assessment.as_ref().map_or(Presence::Unknown, |assessment| assessment.presence),
            protection: assessment.as_ref().map_or(Protection::Unknown, |assessment| assessment.protection),
            unprotected: remediation.unprotected.at(self.now),
            since: in_force
                .map(|found| found.since())
                .or(since)
                .or(fell_silent)
                .or(stored.snapshot.as_ref().map(|snapshot| snapshot.since))
                .unwrap_or(stored.enrolled_at)
                .max(stored.enrolled_at),
            advice: placed.advice,
            commands: placed.commands,
            reasons: placed.reasons,
        }
    }
}

pub(super) fn sources_of(
    site: &SiteId,
    labels: &[Label],
    snapshot: &StoredSnapshot,
    orders: &[&Order],
) -> Vec<SourceReport> {
    let platform = snapshot.snapshot.platform();
    // The agent knows no orders, so the report says for which of them a source matters.
    let needed_by = |source: SourceName| -> Vec<OrderId> {
        let binding = orders.iter().filter(|order| order.binds(platform, site, labels));
        binding.filter(|order| order.needs_source(platform, source)).map(|order| order.id.clone()).collect()
    };
    let report = |entry: &SnapshotEntry| SourceReport {
        needed_by: needed_by(entry.source),
        source: entry.source,
        outcome: entry.outcome,
        reason: entry.reason.clone(),
        observations: entry.section.and_then(|digest| snapshot.observations.get(&digest).copied()).unwrap_or(0),
    };
    snapshot.snapshot.entries().iter().map(report).collect()
}
