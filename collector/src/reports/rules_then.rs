//! The rules that were in force at an instant.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use muster_proto::model::{PastUnknown, Timestamp};

use super::{ReportContext, ReportError};
use crate::rules::{PackError, RuleBase, RuleErrors, RulePack, RuleSet};
use crate::store::admin;
use crate::store::admin::orders::{self, KeptRules, Packed};
use crate::store::admin::past::bounds::{first_entry, lost_until};

/// Rule sets that are kept in memory. Reading one with another catalogue takes about as long as a start.
const KEPT: usize = 4;

/// A rule set, or `None` if this version of the collector cannot use it. Neither ever changes.
type Known = Option<Arc<RuleSet>>;

/// Rule sets of the past that were read lately. One is read at a time: who asks for it meanwhile waits for it.
#[derive(Debug, Default)]
pub struct RuleSets {
    kept: Mutex<VecDeque<(String, Known)>>,
    reading: Arc<tokio::sync::Mutex<()>>,
    #[cfg(test)]
    pub(super) read: std::sync::atomic::AtomicUsize,
}

impl RuleSets {
    fn get(&self, version: &str) -> Option<Known> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|(known, _)| known == version).map(|(_, rules)| rules.clone())
    }

    fn put(&self, version: String, rules: Known) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(known, _)| *known != version);
        kept.push_front((version, rules));
        kept.truncate(KEPT);
    }

    /// Reads kept rules and keeps what came of it.
    fn read(&self, version: String, kept: KeptRules, base: &Arc<RuleBase>) -> Known {
        #[cfg(test)]
        self.read.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let rules = match read(kept, base) {
            Ok(rules) => Some(Arc::new(rules)),
            Err(unusable) => {
                tracing::warn!(rules.version = %version, reason = %muster_proto::error_chain(&unusable), "rules of the past cannot be used");
                None
            }
        };
        self.put(version, rules.clone());
        rules
    }
}

/// Kept rules that cannot be used.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("a pack of files is damaged")]
    Pack(#[source] PackError),
    #[error("this version of the collector does not read them")]
    Rules(#[source] RuleErrors),
}

impl ReportContext {
    /// The rules that were in force at an instant.
    ///
    /// # Errors
    /// The instant is in the future, a restore has lost what happened then, rules of that time are not kept or cannot be used by this version, or the store failed.
    pub(super) async fn rules_at(&self, at: Timestamp) -> Result<Arc<RuleSet>, ReportError> {
        if at > self.now {
            return Err(ReportError::InTheFuture { at, now: self.now });
        }
        let version =
            move |tx: &mut dyn admin::AdminTx| Ok((orders::version_at(tx, at)?, first_entry(tx)?, lost_until(tx, at)?));
        let (version, first, lost) = admin::read(self.store.as_ref(), "rules_version_at", version).await?;
        if lost.is_some() {
            return Err(ReportError::NotKnown { at, order: None, why: PastUnknown::Lost, from: lost });
        }
        let first = first.filter(|first| at < *first);
        let why = if first.is_some() { PastUnknown::BeforeFirst } else { PastUnknown::RulesUnknown };
        let unknown = ReportError::NotKnown { at, order: None, why, from: first };
        let Some(version) = version else { return Err(unknown) };
        if version == self.rules.version {
            return Ok(Arc::clone(&self.rules));
        }
        let usable = |rules: Known| rules.ok_or_else(|| ReportError::RulesUnusable { at, version: version.clone() });
        if let Some(known) = self.rule_sets.get(&version) {
            return usable(known);
        }
        let turn = Arc::clone(&self.rule_sets.reading).lock_owned().await;
        if let Some(known) = self.rule_sets.get(&version) {
            return usable(known);
        }
        let find = move |tx: &mut dyn admin::AdminTx| orders::kept_at(tx, at);
        let Some((kept, _)) = admin::read(self.store.as_ref(), "rules_kept", find).await? else { return Err(unknown) };
        let (base, rule_sets, of) = (Arc::clone(&self.rules.base), Arc::clone(&self.rule_sets), version.clone());
        let read = tokio::task::spawn_blocking(move || {
            let rules = rule_sets.read(of, kept, &base);
            // Freed here and not by the caller, who may go away while the rules are still read.
            drop(turn);
            rules
        });
        usable(read.await.ok().flatten())
    }
}

/// Reads kept rules. `base` are the present lower layers: if they are the same, only what was applied is read.
fn read(kept: KeptRules, base: &Arc<RuleBase>) -> Result<RuleSet, Unusable> {
    let files = |packed: Packed| {
        let Packed { sha256, size, packed } = packed;
        RulePack { sha256, size, packed }.files().map_err(Unusable::Pack)
    };
    let active: Vec<_> = kept.active.into_iter().map(|order| order.id).collect();
    let [shipped, overlay, applied] = kept.packs;
    let is_same = base.packs().iter().map(|pack| pack.sha256).eq([shipped.sha256, overlay.sha256]);
    let base = if is_same {
        Arc::clone(base)
    } else {
        Arc::new(RuleBase::read(files(shipped)?, files(overlay)?).map_err(Unusable::Rules)?)
    };
    base.as_they_were(&files(applied)?, kept.revision, &active).map_err(Unusable::Rules)
}
