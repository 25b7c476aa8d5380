//! The methods of FleetService about duties.

use muster_proto::model::OrderId;
use muster_proto::wire;
use tonic::Response;

use super::fleet::{Answer, Fleet, into_all, optional, rows};
use crate::actions::{self, Caller};
use crate::reports::DutiesAsked;

impl Fleet {
    pub(super) async fn duty_list(
        &self,
        caller: &Caller,
        request: wire::ListDutiesRequest,
    ) -> Answer<wire::ListDutiesResponse> {
        let asked = DutiesAsked {
            order: optional("ListDutiesRequest.order", request.order, OrderId::new)?,
            all: request.all,
            rows: rows(request.page_rows)?,
            page: Some(request.page_token).filter(|token| !token.is_empty()),
        };
        let page = self.or_status(self.context(caller).duties(asked).await)?;
        let next_page_token = page.next.unwrap_or_default();
        Ok(Response::new(wire::ListDutiesResponse { duties: into_all(page.rows), next_page_token }))
    }

    pub(super) async fn duty_get(
        &self,
        caller: &Caller,
        request: wire::GetDutyRequest,
    ) -> Answer<wire::GetDutyResponse> {
        let duty = self.or_status(self.context(caller).duty(request.number).await)?;
        Ok(Response::new(wire::GetDutyResponse { duty: Some(duty.into()) }))
    }

    pub(super) async fn duty_finish(
        &self,
        caller: &Caller,
        request: wire::FinishDutyRequest,
    ) -> Answer<wire::FinishDutyResponse> {
        let wire::FinishDutyRequest { number, reference, evidence } = request;
        let (store, rules, now) = (self.store.as_ref(), self.rules.load_full(), (self.clock)());
        let evidence = evidence.map(Into::into);
        let done = actions::duty_finish(store, caller, &rules, number, &reference, evidence, now).await;
        let (duty, started) = self.or_refused(done)?;
        tracing::info!(duty = number, order.id = %duty.order, by = %caller.name, "a duty is done");
        let context = self.context(caller);
        let mut following = Vec::new();
        for number in started {
            following.push(self.or_status(context.duty(number).await)?.into());
        }
        let duty = Some(context.duty_report(duty).into());
        Ok(Response::new(wire::FinishDutyResponse { duty, started: following }))
    }
}
