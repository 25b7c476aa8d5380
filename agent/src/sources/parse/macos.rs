//! Parsers of what only macOS has. Its property lists are read by [`super::plist`].

pub mod bom;
pub mod boot_session;
pub mod bundle;
pub mod extensions_db;
pub mod job;
pub mod kext_policy;
pub mod name;
pub mod receipt;
pub mod safari;
pub mod url;

#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod real_tests;
