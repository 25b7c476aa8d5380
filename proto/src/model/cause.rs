//! Why a host changed its lane under an order.

use super::closed_list::closed_list;

closed_list! {
    /// Why a host changed its lane under an order. It is stored with the change, except for `silent`, `returned`,
    /// `waiver` and `disposition`, which are computed when they are read.
    Cause {
        /// A product of the order was found that was not there before.
        Installed = 1, "installed";
        /// A product of the order was removed, its remnants were cleaned, or its removal was proven.
        Removed = 2, "removed";
        /// Another version of the product was installed; nothing else changed.
        Updated = 3, "updated";
        /// Other protection became active, or the accepted one stopped to be.
        ProtectionChanged = 4, "protection-changed";
        /// A source that the order needs was no longer read completely, or was read again.
        Coverage = 5, "coverage";
        /// The host did not report within the order's patience.
        Silent = 6, "silent";
        /// The host reported again after it was silent.
        Returned = 7, "returned";
        /// The host enrolled, or sent its first scan.
        Enrolled = 8, "enrolled";
        /// Other rules judged the host.
        Rules = 9, "rules";
        /// The order became active, or is no longer active.
        Order = 10, "order";
        /// An account acted, for example on the roster.
        Action = 11, "action";
        /// A waiver began or ended.
        Waiver = 12, "waiver";
        /// A disposition was approved, or the host was taken back.
        Disposition = 13, "disposition";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_read_back_from_its_code_and_from_its_name() {
        for cause in Cause::ALL {
            assert_eq!(Cause::from_code(cause.code()), Some(*cause));
            assert_eq!(cause.name().parse(), Ok(*cause));
        }
        assert_eq!(Cause::from_code(0), None);
        assert_eq!(Cause::from_code(14), None);
        "Installed".parse::<Cause>().expect_err("names are in lower case");
    }
}
