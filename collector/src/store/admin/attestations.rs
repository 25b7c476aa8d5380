//! Reads attestations. Settling writes them: see `store::attestations`.

use data_encoding::HEXLOWER;
use muster_proto::model::{AttestationRow, HostId, OrderId, Timestamp};

use crate::store::SiteScope;
use crate::store::sql::{AdminTx, Row, Step};

const NEWEST: &str = "SELECT a.envelope FROM attestation a JOIN host_row h ON h.no = a.host
     WHERE h.id = $1 AND a.order_id = $2 ORDER BY a.issued_at DESC LIMIT 1";
const PAGE: &str = "SELECT h.id, h.hostname, h.site, a.order_id, a.issued_at, a.sha256, a.host
     FROM attestation a JOIN host_row h ON h.no = a.host
     WHERE a.host > $1 OR (a.host = $1 AND a.order_id > $2) OR (a.host = $1 AND a.order_id = $2 AND a.issued_at > $3)
     ORDER BY a.host, a.order_id, a.issued_at LIMIT $4";

/// Rows that are read at once for a page.
const PORTION: i64 = 500;
/// Rows that are read for one page at most. An account that is bound to sites may see only a few of them.
const READ: usize = 20_000;

/// The key of a row: where a page ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AttestationKey {
    /// The number of the host's row.
    pub(crate) host: i64,
    /// The order.
    pub(crate) order: OrderId,
    /// When it was issued.
    pub(crate) issued_at: Timestamp,
}

/// The newest attestation of a host under an order: the bytes of the envelope.
///
/// # Errors
/// The database fails.
pub(crate) fn newest(tx: &mut dyn AdminTx, host: HostId, order: &OrderId) -> Step<Option<Vec<u8>>> {
    let rows = tx.query(NEWEST, &[host.as_bytes().as_slice().into(), order.as_str().into()])?;
    rows.first().map(|row| row.blob(0).map(<[u8]>::to_vec)).transpose()
}

/// At most `most` attestations of hosts of these sites after a key, and the key after which the next page begins.
///
/// # Errors
/// The database fails.
pub(crate) fn page(
    tx: &mut dyn AdminTx,
    sites: &SiteScope,
    after: Option<&AttestationKey>,
    most: usize,
) -> Step<(Vec<AttestationRow>, Option<AttestationKey>)> {
    let mut key = after.cloned();
    let (mut found, mut read) = (Vec::new(), 0);
    loop {
        let (host, order, issued_at) = match &key {
            Some(key) => (key.host, key.order.as_str(), key.issued_at),
            None => (i64::MIN, "", Timestamp::default()),
        };
        let rows = tx.query(PAGE, &[host.into(), order.into(), issued_at.into(), PORTION.into()])?;
        let is_last = rows.len() < usize::try_from(PORTION).unwrap_or(usize::MAX);
        for row in &rows {
            let (attestation, next) = attestation(row)?;
            read += 1;
            key = Some(next);
            if sites.contains(&attestation.site) {
                found.push(attestation);
            }
            if found.len() >= most || read >= READ {
                return Ok((found, key));
            }
        }
        if is_last {
            return Ok((found, None));
        }
    }
}

fn attestation(row: &Row) -> Step<(AttestationRow, AttestationKey)> {
    let (order, issued_at): (OrderId, Timestamp) = (row.parse("an order", 3)?, row.time(4)?);
    let key = AttestationKey { host: row.int(6)?, order: order.clone(), issued_at };
    let attestation = AttestationRow {
        host: HostId::from_bytes(row.bytes(0)?),
        hostname: row.text(1)?.to_owned(),
        site: row.parse("a site", 2)?,
        order,
        issued_at,
        sha256: HEXLOWER.encode(&row.bytes::<32>(5)?),
    };
    Ok((attestation, key))
}

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[NEWEST, PAGE];
