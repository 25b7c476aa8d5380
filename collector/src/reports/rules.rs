//! The orders and the catalogue in force.

use muster_proto::model::{OrderReport, ProductId, ProductReport};

use super::{ReportContext, ReportError};
use muster_proto::suggest::did_you_mean;

impl ReportContext {
    /// The active orders, or all.
    #[must_use]
    pub fn orders(&self, all: bool) -> Vec<OrderReport> {
        self.rules.orders.iter().filter(|order| all || order.active).map(|order| order.report()).collect()
    }

    /// The products of the catalogue.
    #[must_use]
    pub fn products(&self) -> Vec<ProductReport> {
        self.rules.catalogue.products().iter().map(|product| product.report(false)).collect()
    }

    /// One product with its recognisers.
    ///
    /// # Errors
    /// There is no product with this id.
    pub fn product(&self, id: &ProductId) -> Result<ProductReport, ReportError> {
        let product = self.rules.catalogue.product(id);
        product.map(|product| product.report(true)).ok_or_else(|| ReportError::NoProduct {
            product: id.clone(),
            hint: did_you_mean(id.as_str(), self.rules.catalogue.products().iter().map(|product| product.id.as_str())),
        })
    }

    /// The version of catalogue and orders.
    #[must_use]
    pub fn rules_version(&self) -> &str {
        &self.rules.version
    }
}
