//! Turns errors into gRPC statuses. Errors of the store are logged here and not sent.

use muster_proto::convert::{ConvertError, ambiguous_host};
use muster_proto::error_chain;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};
use tracing::error;

use crate::actions::{ActionError, ImportRefusal};
use crate::reports::ReportError;
use crate::rules::RuleErrors;
use crate::store::{AccountRefusal, AskRefusal, ByHandRefusal, DecideRefusal, FinishRefusal, StoreError};
use crate::telemetry::Metrics;

/// Bytes of the faults that a status tells.
const FAULTS_BYTES: usize = 3_000;

/// A failure of the store: logged, counted, and sent without its details.
pub(super) fn store_failed(failed: &StoreError, metrics: &Metrics) -> Status {
    metrics.store_error();
    error!(error = %failed, "a call of an operator failed in the store");
    if matches!(failed, StoreError::Closed { .. }) {
        // Clients may repeat a call that is unavailable, but not one that failed internally.
        return Status::unavailable("the collector is stopping");
    }
    Status::internal("the store failed; the collector's log has the reason")
}

pub(super) fn of_report(refused: &ReportError, metrics: &Metrics) -> Status {
    match refused {
        ReportError::Store(failed) => store_failed(failed, metrics),
        ReportError::NoHost { .. }
        | ReportError::NoOrder { .. }
        | ReportError::NoRules { .. }
        | ReportError::NoProduct { .. }
        | ReportError::NoAccount { .. }
        | ReportError::NoRosterEntry { .. }
        | ReportError::NoWaiver { .. }
        | ReportError::NoDisposition { .. }
        | ReportError::NoEntry { .. }
        | ReportError::NoDuty { .. } => Status::not_found(refused.to_string()),
        ReportError::Ambiguous { hosts, .. } => {
            Status::with_details(Code::FailedPrecondition, refused.to_string(), ambiguous_host(hosts).into())
        }
        ReportError::NotActive { .. }
        | ReportError::NotKnown { .. }
        | ReportError::NotEnrolled { .. }
        | ReportError::RulesUnusable { .. }
        | ReportError::NotDone { .. }
        | ReportError::NotAttested { .. } => Status::failed_precondition(refused.to_string()),
        ReportError::SearchStopped { .. } | ReportError::TimelineTooLong { .. } => {
            Status::resource_exhausted(refused.to_string())
        }
        ReportError::SearchesBusy { again, .. } | ReportError::TimelinesBusy { again } => {
            let mut busy = Status::resource_exhausted(refused.to_string());
            // The header by which gRPC clients learn when to try again.
            let again = MetadataValue::from(u64::try_from(again.as_millis()).unwrap_or(u64::MAX));
            busy.metadata_mut().insert("grpc-retry-pushback-ms", again);
            busy
        }
        ReportError::LaneNeedsOrder { .. }
        | ReportError::TwoOrders { .. }
        | ReportError::Filter { .. }
        | ReportError::NotOfThePast { .. }
        | ReportError::AttestationNeedsOrder { .. }
        | ReportError::PageToken
        | ReportError::InTheFuture { .. }
        | ReportError::WrongOrder
        | ReportError::NoMachines { .. }
        | ReportError::TooManyDays { .. }
        | ReportError::TooManyGroups { .. }
        | ReportError::TooLongAgo { .. }
        | ReportError::TooShort { .. } => Status::invalid_argument(refused.to_string()),
    }
}

pub(super) fn of_action(refused: &ActionError, metrics: &Metrics) -> Status {
    match refused {
        ActionError::Store(failed) => store_failed(failed, metrics),
        ActionError::Lifetime { .. } | ActionError::AccountLifetime { .. } => {
            Status::invalid_argument(refused.to_string())
        }
        ActionError::Reason
        | ActionError::Reference
        | ActionError::Evidence
        | ActionError::Owner
        | ActionError::Note
        | ActionError::Invalid(_)
        | ActionError::Control
        | ActionError::Password(_)
        | ActionError::Shown => Status::invalid_argument(refused.to_string()),
        ActionError::Lines { not_found, .. } => {
            Status::new(if *not_found > 0 { Code::NotFound } else { Code::FailedPrecondition }, refused.to_string())
        }
        ActionError::TooManyRetired
        | ActionError::TooManyLinks { .. }
        | ActionError::PasswordWait { .. }
        | ActionError::TooManyPasswords => Status::resource_exhausted(refused.to_string()),
        ActionError::NeedsAccount => Status::permission_denied(refused.to_string()),
        ActionError::InactiveOrder { .. } => Status::failed_precondition(refused.to_string()),
        ActionError::Ask(refusal) => {
            let code = match refusal {
                AskRefusal::Past { .. }
                | AskRefusal::TooLong { .. }
                | AskRefusal::BeyondMilestone { .. }
                | AskRefusal::NoHosts => Code::InvalidArgument,
                AskRefusal::TooManyHosts | AskRefusal::TooManyWaivers | AskRefusal::TooManyWaived => {
                    Code::ResourceExhausted
                }
                AskRefusal::NoSuchHosts { .. } => Code::NotFound,
                AskRefusal::Incomplete => Code::Aborted,
            };
            Status::new(code, refused.to_string())
        }
        ActionError::Decide { refusal, .. } => {
            let code = match refusal {
                DecideRefusal::Unknown => Code::NotFound,
                DecideRefusal::OtherSites | DecideRefusal::Own | DecideRefusal::Machine => Code::PermissionDenied,
                DecideRefusal::NotWaiting(_)
                | DecideRefusal::NotInForce(_)
                | DecideRefusal::Reported
                | DecideRefusal::Clocks => Code::FailedPrecondition,
            };
            Status::new(code, refused.to_string())
        }
        ActionError::Duty { refusal, .. } => {
            let code = match refusal {
                FinishRefusal::Unknown => Code::NotFound,
                FinishRefusal::Done | FinishRefusal::Closed | FinishRefusal::OtherRules => Code::FailedPrecondition,
            };
            Status::new(code, refused.to_string())
        }
        ActionError::TooManyHosts | ActionError::TooManyChanges => Status::resource_exhausted(refused.to_string()),
        ActionError::OtherHosts { .. } => Status::aborted(refused.to_string()),
        ActionError::NoChange { .. } | ActionError::NoToken { .. } | ActionError::NoSession { .. } => {
            Status::not_found(refused.to_string())
        }
        ActionError::Import(refusal) => {
            let code = match refusal {
                ImportRefusal::Name | ImportRefusal::Twice { .. } | ImportRefusal::Empty => Code::InvalidArgument,
                ImportRefusal::Rows | ImportRefusal::Sources => Code::ResourceExhausted,
                ImportRefusal::Running { .. } | ImportRefusal::Incomplete { .. } => Code::Aborted,
                ImportRefusal::Loss { .. } => Code::FailedPrecondition,
            };
            Status::new(code, refused.to_string())
        }
        ActionError::Entry { refusal, .. } => {
            let code = match refusal {
                ByHandRefusal::NoEntry | ByHandRefusal::NoHost => Code::NotFound,
                ByHandRefusal::Taken { .. }
                | ByHandRefusal::Closed
                | ByHandRefusal::NotMatched
                | ByHandRefusal::Matched => Code::FailedPrecondition,
            };
            Status::new(code, refused.to_string())
        }
        ActionError::NotAnAccount => Status::permission_denied(refused.to_string()),
        ActionError::TooManyTokens => Status::resource_exhausted(refused.to_string()),
        ActionError::OtherSite { .. } => Status::permission_denied(refused.to_string()),
        ActionError::Account { refusal, .. } => {
            let code = match refusal {
                AccountRefusal::Unknown => Code::NotFound,
                AccountRefusal::NameTaken | AccountRefusal::NameUnavailable => Code::AlreadyExists,
                AccountRefusal::NameReserved => Code::InvalidArgument,
                AccountRefusal::BeyondCaller => Code::PermissionDenied,
                AccountRefusal::Revoked
                | AccountRefusal::LastAdmin
                | AccountRefusal::NoPassword
                | AccountRefusal::NoPerson
                | AccountRefusal::FromProvider => Code::FailedPrecondition,
                AccountRefusal::TooMany | AccountRefusal::TooManySites => Code::ResourceExhausted,
            };
            Status::new(code, refused.to_string())
        }
        ActionError::Orders(faults) => Status::invalid_argument(faults_text(faults)),
        ActionError::NotApplied { .. } => Status::not_found(refused.to_string()),
        ActionError::NoOrder { .. } => Status::not_found(refused.to_string()),
        ActionError::TooManyOrders { .. } => Status::resource_exhausted(refused.to_string()),
        ActionError::OrdersPinned | ActionError::AlreadySwitched { .. } => {
            Status::failed_precondition(refused.to_string())
        }
        ActionError::OrdersBusy => Status::aborted(refused.to_string()),
        ActionError::Pack(_) => {
            error!(error = %error_chain(refused), "what is applied could not be read");
            Status::internal("an applied order is damaged in the store; the collector's log has the reason")
        }
        ActionError::Hash => {
            error!("a password could not be hashed");
            Status::internal(refused.to_string())
        }
        ActionError::NoRandom | ActionError::Id(_) => {
            error!(error = %error_chain(refused), "a token could not be created");
            Status::internal(refused.to_string())
        }
    }
}

/// The first faults of files of orders. A status travels in the headers of an answer, which have a limit.
fn faults_text(errors: &RuleErrors) -> String {
    let mut text = String::new();
    for (told, fault) in errors.faults.iter().enumerate() {
        let line = format!("\n  {fault}");
        if text.len() + line.len() > FAULTS_BYTES {
            text.push_str(&format!("\n  and {} more", errors.faults.len() - told));
            break;
        }
        text.push_str(&line);
    }
    let noun = if errors.faults.len() == 1 { "error" } else { "errors" };
    format!("nothing was changed: {} {noun}{text}", errors.faults.len())
}

/// A malformed request. The message names the field and what is wrong.
pub(super) fn malformed(refused: &ConvertError) -> Status {
    let text = error_chain(refused);
    if refused.is_limit() { Status::resource_exhausted(text) } else { Status::invalid_argument(text) }
}
