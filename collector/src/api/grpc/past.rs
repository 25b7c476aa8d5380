//! The methods of FleetService about hosts as they were.

use muster_proto::model::{OrderId, Timestamp};
use muster_proto::wire;
use tonic::Response;

use super::fleet::{Answer, Fleet, into_all, lanes, optional, rows, short, sites};
use crate::actions::Caller;
use crate::reports::PastHostsAsked;

impl Fleet {
    pub(super) async fn past_host_list(
        &self,
        caller: &Caller,
        request: wire::ListPastHostsRequest,
    ) -> Answer<wire::ListPastHostsResponse> {
        let asked = PastHostsAsked {
            at: Timestamp::from_millis(request.as_of_ms),
            order: optional("ListPastHostsRequest.order", request.order, OrderId::new)?,
            lanes: lanes("ListPastHostsRequest.lanes", &request.lanes)?,
            silent_only: request.silent_only,
            sites: sites("ListPastHostsRequest.sites", request.sites)?,
            name: short("ListPastHostsRequest.name", request.name)?,
            filter: self.filter(&request.filter)?,
            rows: rows(request.page_rows)?,
            page: Some(request.page_token).filter(|token| !token.is_empty()),
        };
        let page = self.or_status(self.context(caller).past_hosts(asked).await)?;
        let next_page_token = page.next.unwrap_or_default();
        Ok(Response::new(wire::ListPastHostsResponse { hosts: into_all(page.rows), next_page_token }))
    }

    pub(super) async fn past_host_get(
        &self,
        caller: &Caller,
        request: wire::GetPastHostRequest,
    ) -> Answer<wire::GetPastHostResponse> {
        let host = short("GetPastHostRequest.host", request.host)?;
        let order = optional("GetPastHostRequest.order", request.order, OrderId::new)?;
        let at = Timestamp::from_millis(request.as_of_ms);
        let report = self.context(caller).past_host(&host, order.as_ref(), at).await;
        Ok(Response::new(self.or_status(report)?.into()))
    }
}
