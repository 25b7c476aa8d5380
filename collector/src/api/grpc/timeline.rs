//! The methods of FleetService about days: timelines and forecasts.

use muster_proto::convert::ConvertError;
use muster_proto::model::{OrderId, TimelineBy, Timestamp};
use muster_proto::wire;
use tonic::Response;

use super::fleet::{Answer, Fleet, required, sites};
use crate::actions::Caller;
use crate::api::status;
use crate::reports::TimelineAsked;

impl Fleet {
    pub(super) async fn timeline_get(
        &self,
        caller: &Caller,
        request: wire::GetTimelineRequest,
    ) -> Answer<wire::GetTimelineResponse> {
        let by = match u8::try_from(request.by).ok() {
            Some(0) => None,
            code => Some(code.and_then(TimelineBy::from_code).ok_or_else(|| {
                status::malformed(&ConvertError::Code { field: "GetTimelineRequest.by", code: request.by })
            })?),
        };
        let asked = TimelineAsked {
            order: required("GetTimelineRequest.order", request.order, OrderId::new)?,
            from: request.from_ms.map(Timestamp::from_millis),
            to: request.to_ms.map(Timestamp::from_millis),
            sites: sites("GetTimelineRequest.sites", request.sites)?,
            by,
        };
        Ok(Response::new(self.or_status(self.context(caller).timeline(asked).await)?.into()))
    }

    pub(super) async fn forecast_get(
        &self,
        caller: &Caller,
        request: wire::GetForecastRequest,
    ) -> Answer<wire::GetForecastResponse> {
        let order = required("GetForecastRequest.order", request.order, OrderId::new)?;
        let sites = sites("GetForecastRequest.sites", request.sites)?;
        Ok(Response::new(self.or_status(self.context(caller).forecast(&order, sites).await)?.into()))
    }
}
