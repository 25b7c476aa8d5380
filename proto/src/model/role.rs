//! What an account may do.

use super::closed_list::closed_list;

closed_list! {
    /// The role of an account. Each role may do everything that the ones before it may do.
    Role {
        /// Read everything.
        Viewer = 1, "viewer";
        /// Also create and revoke enrollment tokens.
        Operator = 2, "operator";
        /// Also everything else.
        Admin = 3, "admin";
    }
}
