//! Actions of accounts: one file per action, with its checks and its call of the store.

mod token;

pub use token::{ActionError, NewEnrollment, account_token_create, account_token_keep, enrollment_token_create};
