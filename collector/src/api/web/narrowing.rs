//! What is wrong with the order or the filter that a list is asked for, in the words of its page.

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
    if let ReportError::Filter { fault } = refused {
        return Some(format!("The filter is wrong: {fault}."));
    }
    None
}
