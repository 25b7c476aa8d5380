//! What the forms of pages have in common: the hosts that one means, and the way back.

use std::future::Future;

use axum::response::{IntoResponse, Response};
use http::header::LOCATION;
use http::{HeaderValue, StatusCode};
use muster_proto::model::{Digest, HostId, OrderId};
use tracing::Instrument as _;

use super::format::{clean, counted, number};
use super::query::Query;
use super::refusal::Refusal;
use super::state::State;
use super::visitor::Visitor;
use crate::actions::ActionError;
use crate::filter::Filter;
use crate::reports::{HostsMeantBy, HostsSelected};
use crate::store::SelectedHost;

/// The keys by which an address or a form means hosts: their ids in `host`, or `where` with an `order`. `expected` is how many there
/// were when the person looked at them, with a digest of their ids.
pub(super) const HOST_KEYS: [&str; 4] = ["where", "order", "host", "expected"];

/// The hosts that a person means.
pub(super) struct HostsMeant {
    filter: String,
    order: Option<OrderId>,
    hosts: Vec<HostId>,
}

impl HostsMeant {
    /// # Errors
    /// An id or an order cannot be read.
    pub(super) fn read(query: &Query) -> Result<Self, Refusal> {
        let (filter, hosts) = (query.get("where").to_owned(), query.list("host")?);
        Ok(Self { filter, order: query.one("order")?, hosts })
    }

    /// Whether nothing is meant. An empty filter does not mean every host.
    pub(super) const fn is_nothing(&self) -> bool {
        self.filter.is_empty() && self.hosts.is_empty()
    }

    /// Those of the visitor's sites, at most `most` and one more; or what is wrong with the filter.
    ///
    /// # Errors
    /// A host is unknown, or the store failed.
    pub(super) async fn select(
        &self,
        state: &State,
        visitor: &Visitor,
        most: usize,
    ) -> Result<Result<HostsSelected, String>, Refusal> {
        let meant = if self.hosts.is_empty() {
            let filter = match Filter::parse(&self.filter) {
                Ok(filter) => filter,
                Err(wrong) => return Ok(Err(format!("The filter is wrong: {wrong}."))),
            };
            HostsMeantBy::Filter { order: self.order.clone(), filter }
        } else {
            HostsMeantBy::Ids(self.hosts.clone())
        };
        let found = state.or_problem(visitor.context.select(meant, most).await)?;
        if let Some(unknown) = found.as_ref().ok().and_then(|found| found.not_found.first()) {
            let text = format!("There is no host \"{}\" any more.", clean(unknown, 64));
            return Err(Refusal::new(StatusCode::NOT_FOUND, text));
        }
        Ok(found)
    }

    /// The same for an action. What the person did not see must not be changed.
    ///
    /// # Errors
    /// Nothing is meant, the filter is wrong, or other hosts match by now than the person saw.
    pub(super) async fn select_to_act(
        &self,
        state: &State,
        visitor: &Visitor,
        form: &Query,
        most: usize,
    ) -> Result<Vec<SelectedHost>, Refusal> {
        if self.is_nothing() {
            return Err(Refusal::asked("No host is selected."));
        }
        let (count, digest) = form.get("expected").split_once('-').unwrap_or_default();
        let count: u64 = count.parse().map_err(|_| Refusal::asked("The form does not say which hosts were seen."))?;
        let hosts = self.select(state, visitor, most).await?.map_err(Refusal::asked)?.hosts;
        // With too many of them, the action says so.
        if hosts.len() > most || expected(&hosts) == form.get("expected") {
            return Ok(hosts);
        }
        let text = if hosts.len() as u64 == count && !digest.is_empty() {
            "The matching hosts have changed since you opened this page, so nothing was changed. Check them and submit again.".to_owned()
        } else {
            let (now, then) = (counted(hosts.len() as u64, "host"), number(count));
            format!("{now} match now, not {then}, so nothing was changed. Check them and submit again.")
        };
        Err(Refusal::new(StatusCode::CONFLICT, text))
    }

    /// The hidden fields with which a form means the same.
    pub(super) fn fields(&self) -> Vec<(&'static str, String)> {
        let hosts: Vec<String> = self.hosts.iter().map(ToString::to_string).collect();
        let hosts = Some(("host", hosts.join(","))).filter(|(_, hosts)| !hosts.is_empty());
        let order = self.order.iter().map(|order| ("order", order.to_string()));
        let filter = Some(self.filter.clone()).filter(|_| self.hosts.is_empty());
        filter.map(|filter| ("where", filter)).into_iter().chain(order).chain(hosts).collect()
    }

    /// How many hosts are meant one by one.
    pub(super) const fn ticked(&self) -> usize {
        self.hosts.len()
    }

    pub(super) fn filter(&self) -> &str {
        &self.filter
    }

    pub(super) const fn order(&self) -> Option<&OrderId> {
        self.order.as_ref()
    }

    /// The page where one can do something with these hosts.
    pub(super) fn link(&self) -> String {
        self.fields().into_iter().fold(Query::default(), |query, (key, value)| query.and(key, &value)).link("/change")
    }
}

/// What a form sends about the hosts that its person sees: how many they are, and a digest of their ids.
pub(super) fn expected(hosts: &[SelectedHost]) -> String {
    let mut ids: Vec<HostId> = hosts.iter().map(|host| host.id).collect();
    ids.sort_unstable();
    let bytes: Vec<u8> = ids.iter().flat_map(|id| *id.as_bytes()).collect();
    let digest: String = Digest::of(&bytes).to_string().chars().filter(char::is_ascii_hexdigit).take(32).collect();
    format!("{}-{digest}", hosts.len())
}

/// Sees an action through, also when the browser leaves before the answer.
///
/// # Errors
/// The action is refused, or it failed.
pub(super) async fn finish<T: Send + 'static>(
    state: &State,
    action: impl Future<Output = Result<T, ActionError>> + Send + 'static,
) -> Result<T, Refusal> {
    // What it logs has the number of the request, too.
    let done = tokio::spawn(action.instrument(tracing::Span::current())).await;
    // It panicked, which is in the log.
    let done = done.map_err(|_| Refusal::of_code(StatusCode::INTERNAL_SERVER_ERROR))?;
    state.or_refused(done)
}

/// The answer to a form: its result is on this page.
pub(super) fn see(page: &str) -> Result<Response, Refusal> {
    let place = HeaderValue::try_from(page).map_err(|_| Refusal::of_code(StatusCode::INTERNAL_SERVER_ERROR))?;
    Ok((StatusCode::SEE_OTHER, [(LOCATION, place)]).into_response())
}
