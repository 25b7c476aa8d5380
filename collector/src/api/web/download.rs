//! A file that is being sent: it ends with the session, and in time.

use std::time::Duration;

use http::StatusCode;
use muster_proto::model::Timestamp;

use super::downloads::Place;
use super::refusal::Refusal;
use super::state::State;
use super::visitor::Visitor;

/// The longest time from the first row to the last.
const LONGEST: Duration = Duration::from_secs(600);

/// A file that is being sent to a visitor.
pub(super) struct Download {
    pub(super) state: State,
    pub(super) visitor: Visitor,
    until: Timestamp,
    _place: Place,
}

impl Download {
    /// Begins one.
    ///
    /// # Errors
    /// As many files are being sent as may be at once.
    pub(super) fn begin(state: &State, visitor: Visitor) -> Result<Self, Refusal> {
        let place = state.downloads.begin(&visitor.caller().name)?;
        Ok(Self { state: state.clone(), until: state.now().plus(LONGEST), visitor, _place: place })
    }

    /// Whether it may go on: a file must not outlive the session or the token with which it was asked for.
    ///
    /// # Errors
    /// It took too long, or the visitor may not see the list any more.
    pub(super) async fn may_go_on(&self) -> Result<(), Refusal> {
        if self.state.now() >= self.until {
            let text = format!("the file took longer than {} minutes", LONGEST.as_secs() / 60);
            return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, text));
        }
        self.visitor.check_again(&self.state).await
    }
}
