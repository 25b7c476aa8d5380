//! The methods of FleetService that change hosts.

use muster_proto::convert::ConvertError;
use muster_proto::model::{HostActionKind, HostActionReport, TokenId};
use muster_proto::{limits, wire};
use tonic::{Response, Status};

use super::fleet::{Answer, Fleet, required, short};
use crate::actions::{self, Caller, HostSelection};
use crate::api::status;

impl Fleet {
    pub(super) async fn host_action(
        &self,
        caller: &Caller,
        kind: HostActionKind,
        request: wire::HostActionRequest,
    ) -> Answer<wire::HostActionResponse> {
        let selection = self.selection(caller, request.hosts, request.enrolled_with).await?;
        let store = self.store.as_ref();
        let done = actions::host_action(store, caller, kind, selection, &request.reason, (self.clock)()).await;
        let report: HostActionReport = self.or_refused(done)?;
        tracing::info!(action = kind.name(), hosts = report.changed, by = %caller.name, "changed hosts");
        Ok(Response::new(report.into()))
    }

    async fn selection(
        &self,
        caller: &Caller,
        hosts: Vec<String>,
        enrolled_with: String,
    ) -> Result<HostSelection, Status> {
        match (hosts.is_empty(), enrolled_with.is_empty()) {
            (true, false) => {
                let token = required("HostActionRequest.enrolled_with", enrolled_with, TokenId::new)?;
                return Ok(HostSelection::EnrolledWith(token));
            }
            (false, true) => {}
            _ => return Err(Status::invalid_argument("name hosts or an enrollment token, not both")),
        }
        let (value, limit) = (hosts.len(), limits::HOSTS_PER_ACTION);
        if value > limit {
            let (field, limit_name) = ("HostActionRequest.hosts", "HOSTS_PER_ACTION");
            return Err(status::malformed(&ConvertError::Limit { field, value, limit_name, limit }));
        }
        // All are found before the first is changed: a wrong name changes nothing.
        let context = self.context(caller);
        let mut ids = Vec::new();
        for asked in hosts {
            let asked = short("HostActionRequest.hosts", asked)?;
            let id = self.or_status(context.host_id(&asked).await)?;
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        Ok(HostSelection::Named(ids))
    }
}
