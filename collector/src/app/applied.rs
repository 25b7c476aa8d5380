//! Applied orders over the rules of this collector: read from the store, compiled, and kept before they come in force.

use std::sync::Arc;

use anyhow::Context;
use muster_proto::model::Timestamp;
use tracing::{error, warn};

use crate::actions::{self, ActionError};
use crate::config::ActiveOrders;
use crate::ledger::actor::Actor;
use crate::rules::{Order, Pins, RuleBase, RulePack, RuleSet};
use crate::store::admin::orders::{KeptOrder, KeptRules, Packed};
use crate::store::{Acting, Store, StoreError, admin};

/// Which orders the settings pin.
pub(super) fn pins(active: &ActiveOrders) -> Pins {
    match active {
        ActiveOrders::AsWritten => Pins::None,
        ActiveOrders::All => Pins::All,
        ActiveOrders::Only(ids) => Pins::Only(ids.clone()),
    }
}

/// The rules of this collector with what people applied.
///
/// # Errors
/// The store fails, or the rules have a fault together with what is applied.
pub(super) async fn over(store: &dyn Store, base: Arc<RuleBase>, pins: Pins) -> anyhow::Result<RuleSet> {
    let applied = actions::applied_orders(store).await?;
    let compiled = tokio::task::spawn_blocking(move || base.rules(&applied, &pins));
    Ok(compiled.await.context("the thread that compiles the rules failed")??)
}

/// The first rules of a process: with what people applied, or, if that has a fault, the rules that were in force last. Returns
/// the fault beside them.
///
/// # Errors
/// The store fails.
pub(super) async fn first(
    store: &dyn Store,
    own: RuleSet,
    now: Timestamp,
) -> anyhow::Result<(RuleSet, Option<anyhow::Error>)> {
    if actions::orders_revision(store).await? == 0 {
        return Ok((own, None));
    }
    let refused = match over(store, Arc::clone(&own.base), own.pins.clone()).await {
        Ok(rules) => return Ok((rules, None)),
        // That the store fails says nothing of the rules.
        Err(failed) if is_of_store(&failed) => return Err(failed),
        Err(refused) => refused,
    };
    warn!(reason = %format!("{refused:#}"), "what is applied cannot be used with the rules of this collector; the rules that were in force last stay in force");
    match last(store, own.pins.clone(), now).await {
        Ok(Some(rules)) => Ok((rules, Some(refused))),
        Ok(None) => Ok((own, Some(refused))),
        Err(failed) if is_of_store(&failed) => Err(failed),
        Err(failed) => {
            error!(reason = %format!("{failed:#}"), "the rules that were in force last cannot be used either; nothing that is applied is in force");
            Ok((own, Some(refused)))
        }
    }
}

/// Whether the store has failed, and not what it has.
fn is_of_store(failed: &anyhow::Error) -> bool {
    failed.is::<StoreError>() || matches!(failed.downcast_ref(), Some(ActionError::Store(_)))
}

/// The rules that were in force last, as they were kept.
async fn last(store: &dyn Store, pins: Pins, now: Timestamp) -> anyhow::Result<Option<RuleSet>> {
    let find = move |tx: &mut dyn admin::AdminTx| admin::orders::kept_at(tx, now);
    let Some((kept, _)) = admin::read(store, "rules_kept", find).await? else { return Ok(None) };
    let compiled = tokio::task::spawn_blocking(move || -> anyhow::Result<RuleSet> {
        let [shipped, overlay, applied] = kept.packs;
        let files = |packed: Packed| {
            let Packed { sha256, size, packed } = packed;
            RulePack { sha256, size, packed }.files()
        };
        let base = Arc::new(RuleBase::read(files(shipped)?, files(overlay)?)?);
        let active: Vec<_> = kept.active.into_iter().map(|order| order.id).collect();
        let rules = base.as_they_were(&files(applied)?, kept.revision, &active)?;
        Ok(RuleSet { pins, ..rules })
    });
    compiled.await.context("the thread that compiles the rules failed")?.map(Some)
}

/// Keeps rules in the store. They come in force only after that.
///
/// # Errors
/// The store fails.
pub(super) async fn keep(store: &dyn Store, rules: &RuleSet, now: Timestamp) -> anyhow::Result<()> {
    let [shipped, overlay] = rules.base.packs();
    let applied = RulePack::of(&rules.applied)?;
    let kept = |order: &Order| KeptOrder {
        id: order.id.clone(),
        patience: order.patience,
        platforms: order.scope.platforms.clone(),
        sites: order.scope.sites.clone(),
    };
    let set = KeptRules {
        version: rules.version.clone(),
        revision: rules.revision,
        active: rules.active_orders().map(kept).collect(),
        packs: [shipped.into(), overlay.into(), Packed::from(&applied)],
        shortest: rules.shortest_patience(),
        kept_at: now,
    };
    let acting = Acting { actor: Actor::Rules, now };
    let keep = move |tx: &mut dyn admin::AdminTx| admin::orders::keep(tx, &set);
    admin::write(store, "rules_keep", acting, keep).await.context("keep the rules before they come in force")?;
    Ok(())
}

#[cfg(test)]
mod tests;
