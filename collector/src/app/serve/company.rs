//! Keeps the company's certificate of the operators' port: reads its files at the start and looks at them again.

use std::sync::Arc;
use std::time::Duration;

use muster_proto::error_chain;
use muster_proto::model::Timestamp;
use tracing::{error, info, warn};

use crate::api::ResourceWatch;
use crate::clock::Clock;
use crate::config::Operators;
use crate::shutdown::StopToken;
use crate::tls::{CompanyCertificate, CompanyCertificateError, CompanyReload};

/// How often the files are looked at.
const EVERY: Duration = Duration::from_secs(10);
/// A certificate that ends so soon is worth a line in the log.
const SOON: Duration = Duration::from_secs(14 * 86_400);

/// The certificate of the settings, if they have one.
///
/// # Errors
/// It cannot be used.
pub(super) fn open(
    settings: &Operators,
    now: Timestamp,
) -> Result<Option<Arc<CompanyCertificate>>, CompanyCertificateError> {
    let Some((certificate, key)) = settings.company_certificate() else { return Ok(None) };
    let company = CompanyCertificate::open(certificate, key, now)?;
    info!(certificate = %certificate.display(), until = %company.until(), "the operators' port has the company's certificate");
    Ok(Some(Arc::new(company)))
}

/// Looks at the files until the stop.
pub(super) async fn watch(company: &CompanyCertificate, resources: &ResourceWatch, clock: &Clock, stop: StopToken) {
    let stopped = stop.cancelled();
    tokio::pin!(stopped);
    let mut told = Ending::Later;
    loop {
        let now = clock();
        match company.reload(now) {
            CompanyReload::Unchanged => {}
            CompanyReload::Adopted => {
                info!(until = %company.until(), "the operators' port has a new certificate of the company");
            }
            CompanyReload::Refused(refused) => error!(
                error = %error_chain(&refused),
                advice = %refused.advice(),
                "the new certificate of the company cannot be used; the operators' port keeps the one before"
            ),
        }
        resources.company_certificate(company);
        let ending = Ending::of(company.until(), now);
        if ending != told {
            let until = company.until();
            match ending {
                Ending::Later => {}
                Ending::Soon => {
                    warn!(%until, "the company's certificate of the operators' port ends soon; replace operators.certificate and operators.key")
                }
                Ending::Over => {
                    error!(%until, "the company's certificate of the operators' port has ended; replace operators.certificate and operators.key")
                }
            }
            told = ending;
        }
        tokio::select! {
            () = &mut stopped => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// What the log says of the end of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Later,
    Soon,
    Over,
}

impl Ending {
    fn of(until: Timestamp, now: Timestamp) -> Self {
        if now > until {
            Self::Over
        } else if now.plus(SOON) > until {
            Self::Soon
        } else {
            Self::Later
        }
    }
}
