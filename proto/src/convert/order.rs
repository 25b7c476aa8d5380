//! Conversions of orders, both ways.

use super::{ConvertError, code, id, instant};
use crate::model::{Binding, MilestoneReport, OrderId, OrderReport, TermReport, Timestamp};
use crate::wire;

impl From<OrderReport> for wire::Order {
    fn from(order: OrderReport) -> Self {
        Self {
            id: order.id.to_string(),
            title: order.title,
            issuer: order.issuer,
            jurisdiction: order.jurisdiction,
            binding: u32::from(order.binding.code()),
            active: order.active,
            due_ms: order.due.map(Timestamp::millis),
            milestones: order.milestones.into_iter().map(Into::into).collect(),
            sources: order.sources,
            due_confirmed: order.due_confirmed,
            zone: order.zone,
            calendar: order.calendar,
            clocks: order.clocks.into_iter().map(Into::into).collect(),
            recurring: order.recurring.into_iter().map(Into::into).collect(),
            layer: order.layer,
            addendum: order.addendum,
            platforms: order.platforms,
            sites: order.sites,
            labels: order.labels,
            patience_ms: order.patience_ms,
            approved: order.approved,
        }
    }
}

impl TryFrom<wire::Order> for OrderReport {
    type Error = ConvertError;
    fn try_from(order: wire::Order) -> Result<Self, ConvertError> {
        Ok(Self {
            id: id("Order.id", OrderId::new(order.id))?,
            title: order.title,
            issuer: order.issuer,
            jurisdiction: order.jurisdiction,
            binding: code("Order.binding", order.binding, Binding::from_code)?,
            active: order.active,
            due: instant(order.due_ms),
            milestones: order.milestones.into_iter().map(Into::into).collect(),
            sources: order.sources,
            due_confirmed: order.due_confirmed,
            zone: order.zone,
            calendar: order.calendar,
            clocks: order.clocks.into_iter().map(Into::into).collect(),
            recurring: order.recurring.into_iter().map(Into::into).collect(),
            layer: order.layer,
            addendum: order.addendum,
            platforms: order.platforms,
            sites: order.sites,
            labels: order.labels,
            patience_ms: order.patience_ms,
            approved: order.approved,
        })
    }
}

impl From<MilestoneReport> for wire::Milestone {
    fn from(report: MilestoneReport) -> Self {
        let MilestoneReport { id, stated, reached, at_end, confirmed, what, addendum } = report;
        Self { id, stated, reached_ms: reached.millis(), at_end, confirmed, what, addendum }
    }
}

impl From<wire::Milestone> for MilestoneReport {
    fn from(message: wire::Milestone) -> Self {
        let wire::Milestone { id, stated, reached_ms, at_end, confirmed, what, addendum } = message;
        Self { id, stated, reached: Timestamp::from_millis(reached_ms), at_end, confirmed, what, addendum }
    }
}

impl From<TermReport> for wire::Term {
    fn from(report: TermReport) -> Self {
        let TermReport { id, starts, from, until, term, per, what, fields, confirmed } = report;
        let (from_ms, until_ms) = (from.map(Timestamp::millis), until.map(Timestamp::millis));
        Self { id, starts, term, per, what, fields, confirmed, from_ms, until_ms }
    }
}

impl From<wire::Term> for TermReport {
    fn from(message: wire::Term) -> Self {
        let wire::Term { id, starts, term, per, what, fields, confirmed, from_ms, until_ms } = message;
        Self { id, starts, from: instant(from_ms), until: instant(until_ms), term, per, what, fields, confirmed }
    }
}
