//! What is wrong with the order or the filter that a list is asked for, in the words of its page.

use super::format::{clean, number};
use crate::reports::ReportError;

/// What a person can put right in the form; `None` for other failures.
pub(super) fn problem_of(refused: &ReportError) -> Option<String> {
    if let ReportError::LaneNeedsOrder { active } = refused {
        return Some(match active {
            0 => "Lanes and silence are those of an order, and no order is active.".to_owned(),
            _ => format!(
                "Lanes and silence are those of one order, and {active} orders are active. Choose an order in the menu."
            ),
        });
    }
    if let ReportError::NoOrder { order, hint } = refused {
        return Some(format!("There is no order \"{order}\"{hint}. Choose an order in the menu."));
    }
    if let ReportError::NotActive { order } = refused {
        return Some(format!(
            "Order \"{order}\" is not active, so no host is judged under it. Choose another order in the menu."
        ));
    }
    if let ReportError::TwoOrders { asked, named } = refused {
        return Some(format!("The menu has order \"{asked}\", and the filter order \"{named}\". Choose one of them."));
    }
    if let ReportError::TimelineTooLong { most } = refused {
        return Some(format!("Reading the machines took longer than {} s. Ask for fewer days.", most.as_secs()));
    }
    if let ReportError::Filter { fault } = refused {
        return Some(format!("The filter is wrong: {fault}."));
    }
    problem_of_days(refused)
}

/// What is wrong with the days or the sites of a timeline or a forecast.
fn problem_of_days(refused: &ReportError) -> Option<String> {
    if let ReportError::InTheFuture { at, .. } = refused {
        let day: String = at.to_rfc3339().chars().take(10).collect();
        return Some(format!("{day} is in the future. The last day can be today."));
    }
    if let ReportError::TooManyDays { days, most } = refused {
        return Some(format!("These are {} days. At most {most} can be shown at once.", number(*days)));
    }
    if let ReportError::TooManyGroups { days, .. } = refused {
        let text = format!("There are too many sites or labels for {days} days. Choose fewer days, or some sites.");
        return Some(text);
    }
    if let ReportError::WrongOrder = refused {
        return Some("The first day comes after the last one.".to_owned());
    }
    if let ReportError::NoMachines { sites } = refused {
        let sites: Vec<String> = sites.iter().map(|site| clean(site.as_str(), 64)).collect();
        return Some(format!("No machine is counted at {}.", sites.join(", ")));
    }
    if let ReportError::NotKnown { why, .. } = refused {
        return Some(format!("The present numbers are not known: {}.", why.meaning()));
    }
    None
}
