//! `/`: for each active order the lanes that add up, the milestones, the open duties and the roster.

mod order;

use askama::Template;
use axum::extract::{RawQuery, State as Extract};
use axum::response::Response;
use muster_proto::model::OrderId;

use super::chrome::{Chrome, page};
use super::query::Query;
use super::refusal::Refusal;
use super::state::State;
use super::visitor::Visitor;
use crate::reports::DutiesAsked;
use order::OrderBoard;

/// Open duties that the board shows of an order.
const DUTIES: usize = 5;

#[derive(Template)]
#[template(path = "board.html")]
struct BoardPage {
    chrome: Chrome,
    boards: Vec<OrderBoard>,
    /// Whether the collector has no host yet.
    is_empty: bool,
    may_create_tokens: bool,
}

/// `GET /?order=`.
pub(super) async fn show(
    Extract(state): Extract<State>,
    visitor: Visitor,
    RawQuery(raw): RawQuery,
) -> Result<Response, Refusal> {
    let query = Query::read(raw.as_deref(), &["order"])?;
    let asked: Option<OrderId> = query.one("order")?;
    let boards = state.or_refusal(visitor.context.board(asked.as_ref()).await)?;
    let is_empty = !boards.is_empty()
        && boards
            .iter()
            .all(|board| board.counts.total == 0 && board.outside.as_ref().is_none_or(|outside| outside.total == 0));
    let mut shown = Vec::new();
    for board in boards {
        let order = Some(board.order.id.clone());
        let duties = DutiesAsked { order, all: false, rows: DUTIES, page: None };
        let duties = state.or_refusal(visitor.context.duties(duties).await)?;
        shown.push(OrderBoard::of(&board, &duties));
    }
    let may_create_tokens = visitor.may("CreateEnrollmentToken");
    page(&BoardPage { chrome: Chrome::new(&state, &visitor, "/"), boards: shown, is_empty, may_create_tokens })
}
