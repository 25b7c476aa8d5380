//! What the collector uses: connections, disk and certificate, for `muster status`.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use muster_proto::model::{OperatorsCertificate, Resources, StoreUse, Timestamp};

use crate::store::StoreSize;
use crate::telemetry::{ListenerName, Metrics};
use crate::tls::{CompanyCertificate, ServerCertificate};

const DAY: Duration = Duration::from_secs(86_400);
/// The growth of a shorter time says little about a day.
const LEAST: Duration = Duration::from_secs(3600);

/// The sizes of the store during the last day, oldest first.
#[derive(Debug, Default)]
struct Sizes(VecDeque<(Timestamp, StoreSize)>);

impl Sizes {
    fn add(&mut self, size: StoreSize, now: Timestamp) {
        // A clock that was set back must not leave sizes of the future behind.
        self.0.retain(|(at, _)| *at <= now && now.since(*at) <= DAY);
        self.0.push_back((now, size));
    }

    fn last(&self) -> Option<StoreUse> {
        let (_, StoreSize { bytes, free_bytes }) = *self.0.back()?;
        Some(StoreUse { bytes, growth_per_day: self.growth_per_day(), free_bytes })
    }

    /// The growth of a day, from that of the known time. A store that has shrunk does not grow.
    fn growth_per_day(&self) -> Option<u64> {
        let ((first, before), (last, after)) = (self.0.front()?, self.0.back()?);
        let span = last.since(*first);
        if span < LEAST {
            return None;
        }
        let grown = u128::from(after.bytes.saturating_sub(before.bytes));
        u64::try_from(grown * DAY.as_millis() / span.as_millis()).ok()
    }
}

/// See the head of the file.
#[derive(Debug)]
pub struct ResourceWatch {
    metrics: Arc<Metrics>,
    certificate: Option<Arc<ServerCertificate>>,
    company: Option<Arc<CompanyCertificate>>,
    sizes: Mutex<Sizes>,
}

impl ResourceWatch {
    /// Watches these certificates and what these metrics count.
    #[must_use]
    pub fn new(
        metrics: Arc<Metrics>,
        certificate: Option<Arc<ServerCertificate>>,
        company: Option<Arc<CompanyCertificate>>,
    ) -> Self {
        Self { metrics, certificate, company, sizes: Mutex::default() }
    }

    /// Notes the state of the company's certificate, for the metrics.
    pub fn company_certificate(&self, company: &CompanyCertificate) {
        self.metrics.set_operators_certificate(company.until(), company.refused().is_some());
    }

    /// The metrics.
    #[must_use]
    pub const fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Notes the size of the store.
    pub fn store_size(&self, size: StoreSize, now: Timestamp) {
        self.metrics.set_store_size(size.bytes, size.free_bytes);
        self.sizes().add(size, now);
    }

    /// What is used now.
    #[must_use]
    pub fn resources(&self) -> Resources {
        let certificate = self.certificate.as_ref().and_then(|certificate| certificate.facts());
        Resources {
            listeners: [ListenerName::agents, ListenerName::operators]
                .map(|name| self.metrics.listener_use(name))
                .into(),
            store: self.sizes().last(),
            certificate_expires: certificate.map(|facts| facts.expires_at),
            operators_certificate: self
                .company
                .as_ref()
                .map(|company| OperatorsCertificate { expires: company.until(), refused: company.refused() }),
        }
    }

    fn sizes(&self) -> MutexGuard<'_, Sizes> {
        // A panic leaves only numbers behind, so a poisoned lock is still good.
        self.sizes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(sizes: &[(u64, u64)]) -> Option<StoreUse> {
        let watch = ResourceWatch::new(Metrics::new(), None, None);
        for (hours, bytes) in sizes {
            let size = StoreSize { bytes: *bytes, free_bytes: Some(1000) };
            watch.store_size(size, Timestamp::from_millis(0).plus(Duration::from_secs(hours * 3600)));
        }
        watch.resources().store
    }

    #[test]
    fn the_growth_is_that_of_the_last_day_once_an_hour_is_known() {
        let growth = |sizes: &[(u64, u64)]| watch(sizes).expect("a size").growth_per_day;
        assert_eq!(watch(&[]), None);
        assert_eq!(growth(&[(0, 100)]), None);
        assert_eq!(growth(&[(0, 100), (1, 110)]), Some(240));
        assert_eq!(growth(&[(0, 100), (12, 150), (24, 150)]), Some(50));
        assert_eq!(growth(&[(0, 0), (12, 150), (36, 160)]), Some(10), "what is older than a day does not count");
        assert_eq!(growth(&[(0, 100), (2, 90)]), Some(0), "it has shrunk");
        assert_eq!(growth(&[(100, 100), (1, 90)]), None, "the clock was set back");
    }

    #[test]
    fn the_days_left_follow_from_growth_and_free_space() {
        let days = |sizes: &[(u64, u64)]| watch(sizes).expect("a size").days_left();
        assert_eq!(days(&[(0, 100), (1, 110)]), Some(4));
        assert_eq!(days(&[(0, 100), (1, 100)]), None, "it does not grow");
    }
}
