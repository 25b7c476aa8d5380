//! A timeline: how many machines were in each lane of an order at the end of each day, and why that changed.

use muster_proto::limits;
use muster_proto::model::{
    DayCounts, OrderId, SiteId, TimelineBy, TimelineDay, TimelineGroup, TimelineReport, Timestamp,
};

use super::{ReportContext, ReportError};
use crate::store::admin::past::timeline::{self, Group, GroupedBy, TimelineFound};
use crate::store::{SearchStop, SiteScope, StoreError, admin};

/// A day in UTC, which has no leap seconds here.
pub(super) const DAY_MS: i64 = 24 * 3_600_000;
/// Days before the last one of a timeline if its beginning is not asked for.
const DEFAULT_DAYS: i64 = 90;

/// Which timeline is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineAsked {
    /// The order; it need not be active any more.
    pub order: OrderId,
    /// An instant of the first day; without it, 90 days before the last one.
    pub from: Option<Timestamp>,
    /// An instant of the last day; without it, today.
    pub to: Option<Timestamp>,
    /// Only machines of these sites; empty is every site.
    pub sites: Vec<SiteId>,
    /// Also the counts of each site or label. The steps are there in any case.
    pub by: Option<TimelineBy>,
}

impl TimelineAsked {
    /// Of the last 90 days of the whole fleet.
    #[must_use]
    pub fn default_of(order: &OrderId) -> Self {
        Self { order: order.clone(), from: None, to: None, sites: Vec::new(), by: None }
    }
}

impl ReportContext {
    /// The counts of an order at the end of each day in UTC, and now if the last day is today. Days of which the counts are not
    /// known are left out, with the reason.
    ///
    /// # Errors
    /// There never was such an order, the days are in the future, too many, or in the wrong order, there are too many sites or labels for
    /// so many days, too many timelines are read, this one takes too long, or the store failed.
    pub async fn timeline(&self, asked: TimelineAsked) -> Result<TimelineReport, ReportError> {
        let order = asked.order.clone();
        let TimelineFound { days, omitted, .. } = self.timeline_found(asked, None).await?;
        let days = days.into_iter().map(|day| TimelineDay {
            at: day.at,
            counts: day.counts,
            groups: day.groups.into_iter().map(group).collect(),
            steps: day.steps,
            progress: day.progress,
        });
        Ok(TimelineReport { order, days: days.collect(), omitted })
    }

    /// As [`ReportContext::timeline`], with the hosts whose waivers end before the order is due.
    pub(super) async fn timeline_found(
        &self,
        asked: TimelineAsked,
        due: Option<Timestamp>,
    ) -> Result<TimelineFound, ReportError> {
        let instants = instants(asked.from, asked.to, self.now)?;
        let asked = timeline::TimelineAsked {
            order: asked.order,
            instants,
            now: self.now,
            sites: self.sites.intersection(&SiteScope::of(&asked.sites)),
            by: match asked.by {
                Some(TimelineBy::Site) => Some(GroupedBy::Site),
                Some(TimelineBy::Label) => Some(GroupedBy::Label),
                Some(TimelineBy::Cause) | None => None,
            },
            due,
            budget: self.timelines.turn().await?,
        };
        let _of_caller = asked.budget.abandon_on_drop();
        let (order, days) = (asked.order.clone(), asked.instants.len());
        let read = move |tx: &mut dyn admin::AdminTx| timeline::timeline(tx, &asked);
        let found = admin::read(self.store.as_ref(), "timeline", read).await.map_err(|error| {
            if let StoreError::SearchStopped { stop: SearchStop::Time { most } } = error {
                return ReportError::TimelineTooLong { most };
            }
            ReportError::from(error)
        })?;
        if !found.is_known {
            // It was not active in this time. Whether there is such an order, only the present rules say.
            self.known_order(&order)?;
        }
        if found.has_too_many_groups {
            return Err(ReportError::TooManyGroups { days, most: limits::TIMELINE_GROUPS });
        }
        Ok(found)
    }
}

fn group((group, counts): (Group, DayCounts)) -> TimelineGroup {
    match group {
        Group::Site(site) => TimelineGroup { site, label: None, counts },
        Group::Label(label) => TimelineGroup { site: None, label: Some(label), counts },
    }
}

/// The last milliseconds of the days from the first to the last one; of today, now.
fn instants(from: Option<Timestamp>, to: Option<Timestamp>, now: Timestamp) -> Result<Vec<Timestamp>, ReportError> {
    let day = |at: Timestamp| at.millis().div_euclid(DAY_MS);
    let today = day(now);
    let last = to.map_or(today, day);
    let first = from.map_or_else(|| last.saturating_sub(DEFAULT_DAYS - 1), day);
    if let Some(at) = [from, to].into_iter().flatten().find(|at| day(*at) > today) {
        return Err(ReportError::InTheFuture { at, now });
    }
    if first > last {
        return Err(ReportError::WrongOrder);
    }
    let most = limits::TIMELINE_DAYS;
    let days = last.saturating_sub(first).saturating_add(1);
    if usize::try_from(days).map_or(true, |days| days > most) {
        return Err(ReportError::TooManyDays { days: days.unsigned_abs(), most });
    }
    let end = |day: i64| Timestamp::from_millis((day + 1).saturating_mul(DAY_MS) - 1);
    Ok((first..=last).map(|day| end(day).min(now)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).expect("valid")
    }

    const NOON: &str = "2026-03-10T12:00:00Z";

    #[test]
    fn days_end_with_their_last_millisecond_and_today_ends_now() {
        let instants = instants(Some(at("2026-03-08T23:00:00Z")), None, at(NOON)).expect("valid");
        assert_eq!(instants, [at("2026-03-08T23:59:59.999Z"), at("2026-03-09T23:59:59.999Z"), at(NOON)]);
        let one = super::instants(Some(at("2026-03-01T01:00:00Z")), Some(at("2026-03-01T22:00:00Z")), at(NOON));
        assert_eq!(one.expect("valid"), [at("2026-03-01T23:59:59.999Z")]);
        let ninety = super::instants(None, Some(at("2026-03-09T00:00:00Z")), at(NOON)).expect("valid");
        assert_eq!((ninety.len(), ninety[0]), (90, at("2025-12-10T23:59:59.999Z")));
    }

    #[test]
    fn days_that_nobody_can_know_and_too_many_are_refused() {
        let tomorrow = Some(at("2026-03-11T00:00:00Z"));
        assert!(matches!(instants(None, tomorrow, at(NOON)), Err(ReportError::InTheFuture { .. })));
        assert!(matches!(instants(tomorrow, None, at(NOON)), Err(ReportError::InTheFuture { .. })));
        let later_today = Some(at("2026-03-10T23:59:59.999Z"));
        assert_eq!(instants(later_today, later_today, at(NOON)).expect("today"), [at(NOON)]);
        let (first, last) = (Some(at("2026-03-02T00:00:00Z")), Some(at("2026-03-01T00:00:00Z")));
        assert!(matches!(instants(first, last, at(NOON)), Err(ReportError::WrongOrder)));
        let year = Some(at("2025-02-04T00:00:00Z"));
        assert_eq!(instants(year, None, at(NOON)).expect("valid").len(), 400);
        let longer = Some(at("2025-02-03T00:00:00Z"));
        let refused = instants(longer, None, at(NOON));
        assert!(matches!(refused, Err(ReportError::TooManyDays { days: 401, most: 400 })));
        assert!(instants(Some(Timestamp::from_millis(i64::MIN)), None, at(NOON)).is_err());
    }
}
