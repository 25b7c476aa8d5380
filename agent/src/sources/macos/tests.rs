//! Tests of the sources on copied Macs in a temporary folder.

mod applications;
mod browsers;
mod extensions;
mod jobs;
mod machine;
mod receipts;
mod state;
