//! Timelines and forecasts, asked of the collector.

use muster_proto::model::{ForecastReport, TimelineReport, Timestamp};
use muster_proto::wire;

use super::{Client, LIST_ORDERS, missing};
use crate::cli::args::timeline::{ForecastArgs, TimelineArgs};

impl Client {
    pub(in crate::cli) async fn timeline(&mut self, asked: &TimelineArgs) -> anyhow::Result<TimelineReport> {
        let request = wire::GetTimelineRequest {
            order: asked.order.to_string(),
            by: asked.by.map_or(0, |by| by.code().into()),
            sites: asked.sites.iter().map(ToString::to_string).collect(),
            from_ms: asked.from.map(Timestamp::millis),
            to_ms: asked.to.map(Timestamp::millis),
        };
        let answer = self.inner.get_timeline(request).await.map_err(missing(LIST_ORDERS))?;
        Ok(answer.into_inner().try_into()?)
    }

    pub(in crate::cli) async fn forecast(&mut self, asked: &ForecastArgs) -> anyhow::Result<ForecastReport> {
        let sites = asked.sites.iter().map(ToString::to_string).collect();
        let request = wire::GetForecastRequest { order: asked.order.to_string(), sites };
        let answer = self.inner.get_forecast(request).await.map_err(missing(LIST_ORDERS))?;
        Ok(answer.into_inner().try_into()?)
    }
}
