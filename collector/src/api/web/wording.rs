//! Why an action is refused, in the words of a form: it has fields and buttons and no options and commands.

use crate::actions::{ActionError, ImportRefusal};
use crate::store::{AccountRefusal, AskRefusal, ByHandRefusal, DecideRefusal};

/// The text for a form; `None` if the text for everybody fits.
pub(super) fn refusal_of(refused: &ActionError) -> Option<String> {
    let day = |at: &muster_proto::model::Timestamp| at.to_rfc3339().chars().take(10).collect::<String>();
    let bytes = muster_proto::limits::CONTROL_BYTES;
    if let ActionError::Ask(ask) = refused {
        return match ask {
            AskRefusal::Past { until } => {
                Some(format!("The waiver would have ended already, on {}. Give a later day.", day(until)))
            }
            AskRefusal::TooLong { latest } => Some(format!(
                "The waiver would last too long: it may end on {} at the latest. Ask for another one before it ends.",
                day(latest)
            )),
            AskRefusal::BeyondMilestone { due } => Some(format!(
                "The order is due on {}, before the waiver ends. Tick \"may end after the order's due date\" to allow that.",
                day(due)
            )),
            AskRefusal::TooManyHosts => Some(format!(
                "A waiver covers at most {} hosts. Narrow the filter.",
                muster_proto::limits::HOSTS_PER_WAIVER
            )),
            AskRefusal::NoHosts
            | AskRefusal::TooManyWaivers
            | AskRefusal::TooManyWaived
            | AskRefusal::NoSuchHosts { .. }
            | AskRefusal::Incomplete => None,
        };
    }
    if matches!(refused, ActionError::Control) {
        return Some(format!("Enter the compensating control in one line of at most {bytes} bytes."));
    }
    if matches!(refused, ActionError::Shown) {
        return Some(format!("Enter the evidence in one line of at most {bytes} bytes."));
    }
    if matches!(refused, ActionError::TooManyRetired) {
        let most = muster_proto::limits::HOSTS_PER_RETIREMENT;
        return Some(format!("At most {most} hosts can be retired at once. Narrow the filter."));
    }
    if let ActionError::InactiveOrder { id } = refused {
        return Some(format!("Order \"{id}\" is not active, so nothing can be waived under it."));
    }
    if let ActionError::Decide { what, number, refusal: DecideRefusal::Reported } = refused {
        return Some(format!(
            "All hosts of {what} {number} have reported since it was asked for, so they did not leave. Refuse it."
        ));
    }
    if let ActionError::Account { account, refusal } = refused {
        return match refusal {
            AccountRefusal::NameTaken => {
                Some(format!("The account \"{account}\" exists already. Choose another name."))
            }
            AccountRefusal::BeyondCaller => Some("Your account is bound to sites. Name some of them.".to_owned()),
            AccountRefusal::LastAdmin => Some(format!(
                "\"{account}\" is the last account of a person that can administer the whole fleet. Create another one first."
            )),
            AccountRefusal::TooManySites => Some("An account is bound to at most 100 sites.".to_owned()),
            AccountRefusal::FromProvider => {
                Some(format!("\"{account}\" belongs to a person of the identity provider, who has no token."))
            }
            AccountRefusal::Unknown
            | AccountRefusal::NameUnavailable
            | AccountRefusal::NameReserved
            | AccountRefusal::Revoked
            | AccountRefusal::TooMany
            | AccountRefusal::NoPassword
            | AccountRefusal::NoPerson => None,
        };
    }
    if let ActionError::Import(ImportRefusal::Loss { source_name, absent, known }) = refused {
        return Some(format!(
            "{absent} of the {known} machines that \"{source_name}\" had are not in this list, which is more than a tenth, so nothing was \
             changed. Import the whole list, or tick under \"Columns, losses and errors\" that they are gone."
        ));
    }
    if let ActionError::Entry { refusal: ByHandRefusal::Taken { entry }, .. } = refused {
        return Some(format!("The host is matched with entry {entry} of the roster. Unmatch them there first."));
    }
    None
}
