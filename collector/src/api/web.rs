//! The web board: pages for people, on the operators' port beside gRPC.
//!
//! ```text
//!  request ─► answer: forged? ─► route ─► visitor: session, rule of the page ─► page: reports ─► template ─► headers
//! ```
//!
//! A page asks `reports` and shows what it gets; it computes no number. A route names the methods of FleetService that it
//! answers like, and `access` checks their rules before its page runs. The address holds the whole state of a page.

mod about;
mod account_change;
mod accounts;
mod act;
mod answer;
mod assets;
mod away;
mod board;
mod candidates;
mod catalogue;
mod change;
mod changes;
mod chrome;
mod cookie;
mod coverage;
mod csv;
mod dispositions;
mod download;
mod downloads;
mod duties;
mod duty_done;
mod entry;
mod error_page;
mod exceptions;
mod find;
mod findings;
mod forged;
mod form;
mod format;
mod headers;
mod host;
mod host_action;
mod hosts;
mod last_use;
mod ledger;
mod log_limit;
mod login;
mod login_link;
mod login_password;
mod logins;
mod made;
mod narrowing;
mod order;
mod order_switch;
mod orders;
mod paging;
mod provider;
mod query;
mod refusal;
mod retire;
mod roster_upload;
mod routes;
mod selection;
mod sessions;
mod software;
mod state;
#[cfg(test)]
mod tests;
mod timeline;
mod tokens;
mod upload;
mod visitor;
mod waiver;
mod wording;

pub use answer::Web;
pub use state::WebParts;
