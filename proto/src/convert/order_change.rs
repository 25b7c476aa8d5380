//! Conversions of changes of orders and of their files, both ways.

use super::{ConvertError, code, id};
use crate::model::{
    Lane, LaneMove, LaneMoves, OrderDifference, OrderFile, OrderFilesReport, OrderId, OrdersChangeReport, Timestamp,
};
use crate::wire;

impl From<OrderDifference> for wire::OrderDifference {
    fn from(OrderDifference { order, lines }: OrderDifference) -> Self {
        Self { order: order.to_string(), lines }
    }
}

impl TryFrom<wire::OrderDifference> for OrderDifference {
    type Error = ConvertError;
    fn try_from(wire::OrderDifference { order, lines }: wire::OrderDifference) -> Result<Self, ConvertError> {
        Ok(Self { order: id("OrderDifference.order", OrderId::new(order))?, lines })
    }
}

fn lane(field: &'static str, number: u32) -> Result<Option<Lane>, ConvertError> {
    if number == 0 { Ok(None) } else { code(field, number, Lane::from_code).map(Some) }
}

impl From<LaneMove> for wire::LaneMove {
    fn from(LaneMove { order, from, to, hosts }: LaneMove) -> Self {
        let number = |lane: Option<Lane>| lane.map_or(0, |lane| u32::from(lane.code()));
        Self { order: order.to_string(), from: number(from), to: number(to), hosts }
    }
}

impl TryFrom<wire::LaneMove> for LaneMove {
    type Error = ConvertError;
    fn try_from(wire::LaneMove { order, from, to, hosts }: wire::LaneMove) -> Result<Self, ConvertError> {
        let order = id("LaneMove.order", OrderId::new(order))?;
        Ok(Self { order, from: lane("LaneMove.from", from)?, to: lane("LaneMove.to", to)?, hosts })
    }
}

impl From<OrdersChangeReport> for wire::ChangeOrdersResponse {
    fn from(report: OrdersChangeReport) -> Self {
        let OrdersChangeReport { differences, rules_version, is_changed, lanes } = report;
        let LaneMoves { moves, moved_hosts, hosts } = lanes;
        Self {
            differences: differences.into_iter().map(Into::into).collect(),
            rules_version,
            is_changed,
            moves: moves.into_iter().map(Into::into).collect(),
            moved_hosts,
            hosts,
        }
    }
}

impl TryFrom<wire::ChangeOrdersResponse> for OrdersChangeReport {
    type Error = ConvertError;
    fn try_from(answer: wire::ChangeOrdersResponse) -> Result<Self, ConvertError> {
        let moves = answer.moves.into_iter().map(LaneMove::try_from).collect::<Result<_, _>>()?;
        Ok(Self {
            differences: answer.differences.into_iter().map(OrderDifference::try_from).collect::<Result<_, _>>()?,
            rules_version: answer.rules_version,
            is_changed: answer.is_changed,
            lanes: LaneMoves { moves, moved_hosts: answer.moved_hosts, hosts: answer.hosts },
        })
    }
}

impl From<OrderFile> for wire::OrderFile {
    fn from(OrderFile { name, text, sha256 }: OrderFile) -> Self {
        Self { name, text, sha256 }
    }
}

impl From<wire::OrderFile> for OrderFile {
    fn from(wire::OrderFile { name, text, sha256 }: wire::OrderFile) -> Self {
        Self { name, text, sha256 }
    }
}

impl From<OrderFilesReport> for wire::GetOrderFilesResponse {
    fn from(OrderFilesReport { files, rules_version, from, active }: OrderFilesReport) -> Self {
        let files = files.into_iter().map(Into::into).collect();
        Self { files, rules_version, from_ms: from.millis(), active }
    }
}

impl From<wire::GetOrderFilesResponse> for OrderFilesReport {
    fn from(answer: wire::GetOrderFilesResponse) -> Self {
        let wire::GetOrderFilesResponse { files, rules_version, from_ms, active } = answer;
        let files = files.into_iter().map(Into::into).collect();
        Self { files, rules_version, from: Timestamp::from_millis(from_ms), active }
    }
}
