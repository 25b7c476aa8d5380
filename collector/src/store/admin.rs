//! Administrative operations, one file per subject. Each is a function over [`AdminTx`] that loads, decides and writes;
//! its SQL is written once for both backends.

pub(crate) mod accounts;
pub(crate) mod attestations;
pub(crate) mod bulk;
mod changed;
pub(crate) mod dispositions;
pub(crate) mod duties;
pub(crate) mod host_labels;
pub(crate) mod host_notes;
pub(crate) mod host_owners;
pub(crate) mod hosts;
mod identifier_row;
pub(crate) mod identifiers;
pub(crate) mod ledger;
pub(crate) mod login_links;
mod notes;
pub(crate) mod orders;
pub(crate) mod passwords;
pub(crate) mod past;
pub(crate) mod provider_logins;
#[cfg(test)]
pub(crate) mod recorder;
pub(crate) mod roster;
pub(crate) mod seal;
pub(crate) mod sealing;
pub(crate) mod sessions;
mod sites;
pub(in crate::store) mod system_users;
pub(crate) mod throttled;
pub(crate) mod tokens;
pub(crate) mod unprotected;
pub(crate) mod waivers;

use std::sync::{Arc, Mutex, PoisonError};

use super::sql::{Acting, AdminWork, Step};

pub(crate) use super::sql::AdminTx;
use super::{Store, StoreError};

/// Does administrative work that writes, in one transaction. The work runs again after a conflict.
///
/// # Errors
/// The database fails, or the work breaks a rule of the door: see [`super::sql`].
pub(crate) async fn write<T: Send + 'static>(
    store: &dyn Store,
    operation: &'static str,
    acting: Acting,
    work: impl Fn(&mut dyn AdminTx) -> Step<T> + Send + Sync + 'static,
) -> Result<T, StoreError> {
    let (work, answer) = with_answer(work);
    store.admin_write(operation, acting, work).await?;
    take(operation, &answer)
}

/// Does administrative work that only reads, at one moment of the database.
///
/// # Errors
/// The database fails.
pub(crate) async fn read<T: Send + 'static>(
    store: &dyn Store,
    operation: &'static str,
    work: impl Fn(&mut dyn AdminTx) -> Step<T> + Send + Sync + 'static,
) -> Result<T, StoreError> {
    let (work, answer) = with_answer(work);
    store.admin_read(operation, work).await?;
    take(operation, &answer)
}

/// Work that leaves its answer in the slot: the trait of the store cannot be generic.
fn with_answer<T: Send + 'static>(
    work: impl Fn(&mut dyn AdminTx) -> Step<T> + Send + Sync + 'static,
) -> (AdminWork, Arc<Mutex<Option<T>>>) {
    let slot = Arc::new(Mutex::new(None));
    let answer = Arc::clone(&slot);
    let work = move |tx: &mut dyn AdminTx| {
        let value = work(tx)?;
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
        Ok(())
    };
    (Arc::new(work), answer)
}

fn take<T>(operation: &'static str, answer: &Mutex<Option<T>>) -> Result<T, StoreError> {
    // Only a backend that answers without doing the work could leave the slot empty.
    answer.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or(StoreError::Closed { operation })
}

/// Every statement of this module. A test prepares and compares each of them on both databases.
#[cfg(test)]
pub(crate) fn statements() -> Vec<&'static str> {
    let all = [
        accounts::STATEMENTS,
        attestations::STATEMENTS,
        bulk::STATEMENTS,
        duties::STATEMENTS,
        host_labels::STATEMENTS,
        host_notes::STATEMENTS,
        host_owners::STATEMENTS,
        hosts::STATEMENTS,
        identifiers::STATEMENTS,
        ledger::STATEMENTS,
        login_links::STATEMENTS,
        notes::STATEMENTS,
        provider_logins::STATEMENTS,
        seal::STATEMENTS,
        sealing::STATEMENTS,
        orders::STATEMENTS,
        passwords::STATEMENTS,
        sessions::STATEMENTS,
        sites::STATEMENTS,
        system_users::STATEMENTS,
        throttled::STATEMENTS,
        unprotected::STATEMENTS,
        tokens::STATEMENTS,
    ];
    [all.concat(), roster::statements(), waivers::statements(), dispositions::statements(), past::statements()].concat()
}
