//! The board as it was at an instant.

use muster_proto::model::{Board, OrderId, PastUnknown, Timestamp};

use super::board::board_of;
use super::timeline::DAY_MS;
use super::{ReportContext, ReportError};
use crate::store::admin::past::bounds::bounds;
use crate::store::admin::past::tally::tally;
use crate::store::admin::{self, AdminTx};
use crate::store::{FleetTally, SiteScope};

/// What is read for the board of one order.
struct BoardThen {
    tally: FleetTally,
    overdue_duties: u64,
}

/// What one read finds: nothing may be known of the instant.
type Found<T> = Result<T, (PastUnknown, Option<Timestamp>)>;

impl ReportContext {
    /// An instant that is asked for. The end of today means now.
    pub(super) fn asked_instant(&self, at: Timestamp) -> Timestamp {
        let end_of_today = (self.now.millis().div_euclid(DAY_MS) + 1) * DAY_MS - 1;
        if at.millis() == end_of_today { self.now } else { at }
    }

    /// The boards of the orders that were active at an instant, or of one: what was answered then.
    ///
    /// # Errors
    /// The instant is in the future, the order was not active then, something that the board needs is not known any more, or the
    /// store failed.
    pub async fn board_at(&self, order: Option<&OrderId>, at: Timestamp) -> Result<Vec<Board>, ReportError> {
        let at = self.asked_instant(at);
        // An order that was not active, and what is not kept, have reasons of their own.
        if let Some(order) = order {
            self.known_at(order, at).await?;
        }
        let rules = self.rules_at(at).await?;
        let mut boards = Vec::new();
        for order in rules.active_orders().filter(|active| order.is_none_or(|asked| *asked == active.id)) {
            let (id, sites, now) = (order.id.clone(), self.sites.clone(), self.now);
            let read = move |tx: &mut dyn AdminTx| board_then(tx, &id, &sites, at, now);
            let found = admin::read(self.store.as_ref(), "board_at", read).await?;
            let BoardThen { tally, overdue_duties } =
                found.map_err(|(why, from)| ReportError::NotKnown { at, order: Some(order.id.clone()), why, from })?;
            boards.push(Board { overdue_duties, ..board_of(order, &tally, at) });
        }
        Ok(boards)
    }

    /// Refuses an instant at which an order was not active.
    pub(super) async fn active_at(&self, order: &OrderId, at: Timestamp) -> Result<(), ReportError> {
        match self.known_at(order, at).await {
            // What else is not known of it, the answer says.
            Err(ReportError::NotKnown {
                why:
                    PastUnknown::LanesRemoved
                    | PastUnknown::SilenceRemoved
                    | PastUnknown::SilenceUnknown
                    | PastUnknown::DecisionsRemoved,
                ..
            }) => Ok(()),
            known => known,
        }
    }

    /// Refuses an instant at which an order was not active, or of which its lanes are not known.
    pub(super) async fn known_at(&self, order: &OrderId, at: Timestamp) -> Result<(), ReportError> {
        if at > self.now {
            return Err(ReportError::InTheFuture { at, now: self.now });
        }
        let (id, now) = (order.clone(), self.now);
        let read = move |tx: &mut dyn AdminTx| {
            let bounds = bounds(tx, &id, at, now)?;
            Ok(bounds.at(at).map(drop).map_err(|unknown| (unknown.why, unknown.from)))
        };
        let found = admin::read(self.store.as_ref(), "past_bounds", read).await?;
        if let Err((why, from)) = found {
            if why == PastUnknown::NotActive {
                // A mistyped id is no order that was not active.
                self.known_order(order)?;
            }
            return Err(ReportError::NotKnown { at, order: Some(order.clone()), why, from });
        }
        Ok(())
    }
}

fn board_then(
    tx: &mut dyn AdminTx,
    order: &OrderId,
    sites: &SiteScope,
    at: Timestamp,
    now: Timestamp,
) -> crate::store::sql::Step<Found<BoardThen>> {
    let bounds = bounds(tx, order, at, now)?;
    let then = match bounds.at(at) {
        Ok(then) => then.clone(),
        Err(unknown) => return Ok(Err((unknown.why, unknown.from))),
    };
    let overdue_duties = admin::duties::overdue_at(tx, order, sites, at)?;
    Ok(Ok(BoardThen { tally: tally(tx, order, &then, at, sites)?, overdue_duties }))
}
