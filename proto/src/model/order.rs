//! The closed lists of an order: its legal force, and what its milestones are.

use super::closed_list::closed_list;

closed_list! {
    /// The legal force of an order. Texts say "violation" only where this allows it.
    Binding {
        /// Bars someone from making, selling or using something.
        Prohibition = 1, "prohibition";
        /// Obliges someone to act, for example to remove software.
        Duty = 2, "duty";
        /// Bars public bodies from buying something.
        Procurement = 3, "procurement";
        /// A listing of persons or companies with whom dealings are barred.
        Sanction = 4, "sanction";
        /// A public warning without legal force.
        Warning = 5, "warning";
        /// A resolution of a parliament without legal force.
        Resolution = 6, "resolution";
        /// Known from press reports only.
        Reported = 7, "reported";
    }
}

closed_list! {
    /// What happens at a milestone of an order.
    MilestoneKind {
        /// The order is announced or published.
        Announced = 1, "announced";
        /// A part of the order takes effect.
        Effective = 2, "effective";
        /// The last day for an action that the order requires.
        Deadline = 3, "deadline";
        /// Another order takes its place.
        Replaced = 4, "replaced";
        /// The order ends.
        Expires = 5, "expires";
    }
}

closed_list! {
    /// How exactly the issuer states the time of a milestone.
    Precision {
        /// To the minute.
        Minute = 1, "minute";
        /// Only the day.
        Day = 2, "day";
        /// Only the month.
        Month = 3, "month";
    }
}
