//! The kernel extensions that people or profiles have approved: table `kext_policy` of the SQLite database
//! `/var/db/SystemPolicyConfiguration/KextPolicy`, with the columns `team_id`, `bundle_id`, `allowed`, `developer_name` and
//! `flags`. A row outlives the extension.

use crate::sources::parse::paged::{PagedFault, Storage};
use crate::sources::parse::sqlite::{Column, Database};

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// The team id of the maker.
    pub team: String,
    /// The bundle id of the extension.
    pub id: String,
    /// Whether it may be loaded.
    pub allowed: bool,
    /// The name of the maker.
    pub maker: String,
}

/// Limit of rows. Macs have a few dozen.
const ROWS: usize = 4096;

/// Reads the table with its write-ahead log, and what is damaged.
///
/// # Errors
/// It is no database, or has no such table.
pub fn read(main: &dyn Storage, wal: Option<&dyn Storage>) -> Result<(Vec<Approval>, Option<PagedFault>), PagedFault> {
    let database = Database::open(main, wal)?;
    let mut approvals = Vec::new();
    let faults = database.table("kext_policy", &mut |mut row| {
        if approvals.len() >= ROWS {
            return Err(PagedFault::at("table kext_policy", "has too many rows"));
        }
        let columns = row.columns()?;
        let team = row.text(columns.first())?;
        let id = row.text(columns.get(1))?;
        let maker = row.text(columns.get(3))?;
        let allowed = matches!(columns.get(2), Some(Column::Integer(number)) if *number != 0);
        approvals.push(Approval { team, id, allowed, maker });
        Ok(())
    })?;
    Ok((approvals, faults.into_iter().next()))
}
