//! What operators do: each deed one file, with its checks and its call of the store.

mod token;

pub use token::{
    DeedError, NewEnrollment, OperatorSecret, enrollment_token_create, operator_token_create, operator_token_keep,
    secret_hash,
};
