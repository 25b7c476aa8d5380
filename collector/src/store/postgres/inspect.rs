//! Checks a database without changing it: every transaction of the connection is read-only, and nothing is migrated.

use muster_proto::model::Timestamp;
use muster_proto::terminal::Progress;

use super::address::Address;
use super::fault::{PostgresFault, Step};
use super::session::Session;
use super::tls::Tls;
use super::{authority, check, migrate};
use crate::store::admin::accounts::FIRST_UNTIL;
use crate::store::admin::seal;
use crate::store::{Inspection, StoreError, StoreSize};

const SIZE: &str = "SELECT pg_database_size(current_database())";

/// The size of the database. Its disk is not visible from here.
pub(super) async fn size(session: &Session) -> Step<StoreSize> {
    let bytes: i64 = session.query_first(SIZE, &[]).await?.map_or(Ok(0), |row| row.try_get(0))?;
    Ok(StoreSize { bytes: u64::try_from(bytes).unwrap_or_default(), free_bytes: None })
}

/// Checks the store at this URL.
///
/// # Errors
/// The database cannot be reached, has no tables of Muster, or was made by another version.
pub(in crate::store) async fn inspect(url: &str, progress: &Progress) -> Result<Inspection, StoreError> {
    let address = Address::read(url)?;
    let place = address.place.clone();
    let failed = |reason: String| StoreError::Open { place: place.clone(), reason };
    let tls = Tls::new(&address).map_err(failed)?;
    let session = Session::open(&address, &tls, None).await.map_err(|fault| match fault {
        PostgresFault::ConnectionLost(reason) | PostgresFault::Conflict(reason) => failed(reason),
        other @ PostgresFault::Store(_) => failed(other.into_error("open", &place).to_string()),
    })?;
    // All statements read the same moment of the database.
    let begin = "SET default_transaction_read_only = on; BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    session.batch(begin).await.map_err(|fault| fault.into_error("check", &place))?;
    migrate::must_be_newest(&session, &place).await?;
    let inspected = async || -> Step<Inspection> {
        let until = session.query_first(FIRST_UNTIL, &[]).await?;
        let until: Option<i64> = until.map(|found| found.try_get(0)).transpose()?.flatten();
        let seal = session.query_first(seal::GET, &[]).await?;
        Ok(Inspection {
            authority: authority::get(&session).await?,
            seal: seal.map(|found| found.try_get(0)).transpose()?,
            first_account_until: until.map(Timestamp::from_millis),
            check: check::check(&session, progress).await?,
        })
    };
    inspected().await.map_err(|fault| fault.into_error("check", &place))
}
