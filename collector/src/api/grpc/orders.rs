//! The methods of FleetService that read and change the files of orders.

use muster_proto::limits;
use muster_proto::model::{LaneMoves, OrderFilesReport, OrderId, OrdersChangeReport, Timestamp};
use muster_proto::wire::{self, OrderSwitch};
use tonic::{Response, Status};

use super::fleet::{Answer, Fleet, required, short};
use crate::actions::{self, Caller, OrdersAsked};

impl Fleet {
    pub(super) async fn order_files(
        &self,
        caller: &Caller,
        request: wire::GetOrderFilesRequest,
    ) -> Answer<wire::GetOrderFilesResponse> {
        let id = required("GetOrderFilesRequest.id", request.id, OrderId::new)?;
        let at = request.at_ms.map(Timestamp::from_millis);
        let report: OrderFilesReport = self.or_status(self.context(caller).order_files(&id, at).await)?;
        Ok(Response::new(report.into()))
    }

    pub(super) async fn orders_apply(
        &self,
        caller: &Caller,
        request: wire::ApplyOrdersRequest,
    ) -> Answer<wire::ChangeOrdersResponse> {
        if request.files.is_empty() || request.files.len() > limits::APPLIED_FILES {
            let text = format!("ApplyOrdersRequest.files must have 1 to {} files", limits::APPLIED_FILES);
            return Err(Status::invalid_argument(text));
        }
        let mut files = Vec::new();
        for file in request.files {
            files.push((short("OrderFile.name", file.name)?, file.text));
        }
        self.orders_change(caller, OrdersAsked::Apply(files), request.dry_run).await
    }

    pub(super) async fn order_switch(
        &self,
        caller: &Caller,
        request: wire::SwitchOrderRequest,
    ) -> Answer<wire::ChangeOrdersResponse> {
        let change = request.change();
        let id = required("SwitchOrderRequest.id", request.id, OrderId::new)?;
        let asked = match change {
            OrderSwitch::Activate => OrdersAsked::Activate(id),
            OrderSwitch::Deactivate => OrdersAsked::Deactivate(id),
            OrderSwitch::Remove => OrdersAsked::Remove(id),
            OrderSwitch::Unspecified => {
                return Err(Status::invalid_argument("SwitchOrderRequest.change is missing or unknown"));
            }
        };
        self.orders_change(caller, asked, request.dry_run).await
    }

    async fn orders_change(
        &self,
        caller: &Caller,
        asked: OrdersAsked,
        is_dry_run: bool,
    ) -> Answer<wire::ChangeOrdersResponse> {
        let in_force = self.rules.load_full();
        let (store, now) = (self.store.as_ref(), (self.clock)());
        let done = actions::orders_change(store, caller, &in_force, &asked, is_dry_run, now).await;
        let done = self.or_refused(done)?;
        let lanes = if is_dry_run {
            self.or_status(self.context(caller).lane_moves(&done.rules).await)?
        } else {
            tracing::info!(rules.version = %done.rules.version, by = %caller.name, "changed orders");
            LaneMoves::default()
        };
        let report = OrdersChangeReport {
            differences: done.differences,
            rules_version: done.rules.version.clone(),
            is_changed: !is_dry_run,
            lanes,
        };
        Ok(Response::new(report.into()))
    }
}
