//! The files of orders as they were in force, and the lanes that other rules would change.

use std::sync::Arc;

use muster_proto::model::{LaneMoves, OrderFile, OrderFilesReport, OrderId, Timestamp};

use super::{ReportContext, ReportError};
use crate::judge_queue;
use crate::rules::{self, PackError, RuleFile, RulePack, RuleSet};
use crate::store::admin::orders::{self, KeptRules, Packed};
use crate::store::{StoreError, admin};

/// The layers of a kept rule set, in their order.
const LAYERS: [&str; 3] = ["shipped", "overlay", "applied"];

impl ReportContext {
    /// The file of an order with that of its addendum, or the file of an addendum, as they were in force at an instant; without
    /// one, as they are now.
    ///
    /// # Errors
    /// No rules of that time are kept, they had no such order, or the store failed.
    pub async fn order_files(&self, id: &OrderId, at: Option<Timestamp>) -> Result<OrderFilesReport, ReportError> {
        let at = at.unwrap_or(self.now);
        let find = move |tx: &mut dyn admin::AdminTx| orders::kept_at(tx, at);
        let found = admin::read(self.store.as_ref(), "rules_kept", find).await?;
        let (kept, from) = found.ok_or(ReportError::NoRules { at })?;
        let active = kept.active.iter().any(|active| active.id == *id);
        let rules_version = kept.version.clone();
        let (files, is_addendum) = files_of(kept, id).map_err(|failed| damaged(&failed))?;
        if files.is_empty() {
            let ids = self.rules.orders.iter().map(|order| order.id.as_str());
            let hint = muster_proto::suggest::did_you_mean(id.as_str(), ids);
            return Err(ReportError::NoOrder { order: id.clone(), hint });
        }
        // Only addenda that are in force are kept.
        let active = active || is_addendum;
        Ok(OrderFilesReport { files, rules_version, from, active })
    }

    /// The lanes that would change if these rules came in force. Writes nothing.
    ///
    /// # Errors
    /// The store failed.
    pub async fn lane_moves(&self, after: &Arc<RuleSet>) -> Result<LaneMoves, ReportError> {
        Ok(judge_queue::lane_moves(self.store.as_ref(), &self.rules, after, self.now).await?)
    }
}

/// The file with this id of the highest layer, and the addenda to it; and whether it is an addendum itself.
fn files_of(kept: KeptRules, id: &OrderId) -> Result<(Vec<OrderFile>, bool), PackError> {
    let (mut own, mut addenda, mut is_addendum) = (None, Vec::new(), false);
    for (layer, Packed { sha256, size, packed }) in LAYERS.into_iter().zip(kept.packs) {
        for file in (RulePack { sha256, size, packed }).files()?.into_iter().filter(|file| file.folder == "orders") {
            if rules::addendum_of(&file).as_ref() == Some(id) {
                addenda.push(report(layer, file));
            } else if rules::file_id(&file).as_ref() == Some(id) {
                is_addendum = rules::addendum_of(&file).is_some();
                own = Some(report(layer, file));
            }
        }
    }
    Ok((own.into_iter().chain(addenda).collect(), is_addendum))
}

fn report(layer: &str, file: RuleFile) -> OrderFile {
    let sha256 = data_encoding::HEXLOWER.encode(&rules::sha256(file.text.as_bytes()));
    OrderFile { name: format!("{layer}/{}/{}", file.folder, file.name), text: file.text, sha256 }
}

fn damaged(failed: &PackError) -> ReportError {
    let reason = muster_proto::error_chain(failed);
    ReportError::Store(StoreError::Damaged { what: "a rule set".to_owned(), reason })
}
