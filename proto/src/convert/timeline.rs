//! Conversions of timelines and forecasts, both ways.

use std::collections::BTreeMap;

use super::{ConvertError, code, id, instant, present};
use crate::model::{
    Cause, DayCounts, ForecastReport, ForecastState, Label, Lane, LaneStep, OmittedDays, OrderId, PastUnknown,
    RateForecast, SiteId, TimelineDay, TimelineGroup, TimelineReport, Timestamp,
};
use crate::wire;

impl From<TimelineReport> for wire::GetTimelineResponse {
    fn from(report: TimelineReport) -> Self {
        let TimelineReport { order, days, omitted } = report;
        Self {
            order: order.to_string(),
            days: days.into_iter().map(Into::into).collect(),
            omitted: omitted.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<wire::GetTimelineResponse> for TimelineReport {
    type Error = ConvertError;
    fn try_from(report: wire::GetTimelineResponse) -> Result<Self, ConvertError> {
        let wire::GetTimelineResponse { order, days, omitted } = report;
        Ok(Self {
            order: id("GetTimelineResponse.order", OrderId::new(order))?,
            days: days.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            omitted: omitted.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
        })
    }
}

impl From<DayCounts> for wire::DayCounts {
    fn from(counts: DayCounts) -> Self {
        let DayCounts { lanes, out_of_scope, total } = counts;
        let count = |(lane, hosts): (Lane, u64)| wire::LaneCount { lane: lane.code().into(), hosts };
        Self { lanes: lanes.into_iter().map(count).collect(), out_of_scope, total }
    }
}

impl TryFrom<wire::DayCounts> for DayCounts {
    type Error = ConvertError;
    fn try_from(counts: wire::DayCounts) -> Result<Self, ConvertError> {
        let wire::DayCounts { lanes, out_of_scope, total } = counts;
        let count = |count: wire::LaneCount| Ok((code("LaneCount.lane", count.lane, Lane::from_code)?, count.hosts));
        let lanes = lanes.into_iter().map(count).collect::<Result<BTreeMap<_, _>, ConvertError>>()?;
        Ok(Self { lanes, out_of_scope, total })
    }
}

impl From<TimelineDay> for wire::TimelineDay {
    fn from(day: TimelineDay) -> Self {
        let TimelineDay { at, counts, groups, steps, progress } = day;
        Self {
            at_ms: at.millis(),
            counts: Some(counts.into()),
            groups: groups.into_iter().map(Into::into).collect(),
            steps: steps.into_iter().map(Into::into).collect(),
            progress,
        }
    }
}

impl TryFrom<wire::TimelineDay> for TimelineDay {
    type Error = ConvertError;
    fn try_from(day: wire::TimelineDay) -> Result<Self, ConvertError> {
        let wire::TimelineDay { at_ms, counts, groups, steps, progress } = day;
        Ok(Self {
            at: Timestamp::from_millis(at_ms),
            counts: present("TimelineDay.counts", counts)?.try_into()?,
            groups: groups.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            steps: steps.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            progress,
        })
    }
}

impl From<TimelineGroup> for wire::TimelineGroup {
    fn from(group: TimelineGroup) -> Self {
        let site = group.site.map(|site| site.to_string()).unwrap_or_default();
        let label = group.label.map(|label| label.to_string()).unwrap_or_default();
        Self { site, counts: Some(group.counts.into()), label }
    }
}

impl TryFrom<wire::TimelineGroup> for TimelineGroup {
    type Error = ConvertError;
    fn try_from(group: wire::TimelineGroup) -> Result<Self, ConvertError> {
        let site = Some(group.site).filter(|site| !site.is_empty());
        let label = Some(group.label).filter(|label| !label.is_empty());
        Ok(Self {
            site: site.map(|site| id("TimelineGroup.site", SiteId::new(site))).transpose()?,
            label: label.map(|label| id("TimelineGroup.label", Label::new(label))).transpose()?,
            counts: present("TimelineGroup.counts", group.counts)?.try_into()?,
        })
    }
}

impl From<LaneStep> for wire::LaneStep {
    fn from(step: LaneStep) -> Self {
        let lane = |lane: Option<Lane>| lane.map(|lane| u32::from(lane.code()));
        let LaneStep { from, to, cause, hosts } = step;
        Self { from: lane(from), to: lane(to), cause: cause.code().into(), hosts }
    }
}

impl TryFrom<wire::LaneStep> for LaneStep {
    type Error = ConvertError;
    fn try_from(step: wire::LaneStep) -> Result<Self, ConvertError> {
        let lane = |field, lane: Option<u32>| lane.map(|lane| code(field, lane, Lane::from_code)).transpose();
        Ok(Self {
            from: lane("LaneStep.from", step.from)?,
            to: lane("LaneStep.to", step.to)?,
            cause: code("LaneStep.cause", step.cause, Cause::from_code)?,
            hosts: step.hosts,
        })
    }
}

impl From<OmittedDays> for wire::OmittedDays {
    fn from(omitted: OmittedDays) -> Self {
        let OmittedDays { from, until, why } = omitted;
        Self { from_ms: from.millis(), until_ms: until.millis(), why: why.code().into() }
    }
}

impl TryFrom<wire::OmittedDays> for OmittedDays {
    type Error = ConvertError;
    fn try_from(omitted: wire::OmittedDays) -> Result<Self, ConvertError> {
        Ok(Self {
            from: Timestamp::from_millis(omitted.from_ms),
            until: Timestamp::from_millis(omitted.until_ms),
            why: code("OmittedDays.why", omitted.why, PastUnknown::from_code)?,
        })
    }
}

impl From<ForecastReport> for wire::GetForecastResponse {
    fn from(report: ForecastReport) -> Self {
        let ForecastReport { order, as_of, open, waivers_ending, waived, state, days, rates, due, needed } = report;
        Self {
            order: order.to_string(),
            as_of_ms: as_of.millis(),
            open,
            state: state.code().into(),
            days,
            rates: rates.into_iter().map(Into::into).collect(),
            due_ms: due.map(Timestamp::millis),
            needed_per_day: needed,
            waivers_ending,
            waived,
        }
    }
}

impl TryFrom<wire::GetForecastResponse> for ForecastReport {
    type Error = ConvertError;
    fn try_from(report: wire::GetForecastResponse) -> Result<Self, ConvertError> {
        Ok(Self {
            order: id("GetForecastResponse.order", OrderId::new(report.order))?,
            as_of: Timestamp::from_millis(report.as_of_ms),
            open: report.open,
            state: code("GetForecastResponse.state", report.state, ForecastState::from_code)?,
            days: report.days,
            rates: report.rates.into_iter().map(Into::into).collect(),
            due: instant(report.due_ms),
            needed: report.needed_per_day,
            waivers_ending: report.waivers_ending,
            waived: report.waived,
        })
    }
}

impl From<RateForecast> for wire::RateForecast {
    fn from(rate: RateForecast) -> Self {
        let RateForecast { window, days, median, least, most, end, earliest, latest } = rate;
        let millis = |at: Option<Timestamp>| at.map(Timestamp::millis);
        let (end_ms, earliest_ms, latest_ms) = (millis(end), millis(earliest), millis(latest));
        Self { window_days: window, days, median, least, most, end_ms, earliest_ms, latest_ms }
    }
}

impl From<wire::RateForecast> for RateForecast {
    fn from(rate: wire::RateForecast) -> Self {
        let wire::RateForecast { window_days, days, median, least, most, end_ms, earliest_ms, latest_ms } = rate;
        let (end, earliest, latest) = (instant(end_ms), instant(earliest_ms), instant(latest_ms));
        Self { window: window_days, days, median, least, most, end, earliest, latest }
    }
}
