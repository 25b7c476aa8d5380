//! What of a host's state is judged: two hosts with the same look and the same key have the same assessments.

use muster_proto::model::{Digest, HostState, Platform, Timestamp};

use super::protection::is_fresh;
use crate::rules::Catalogue;

/// The digest of what is judged of a state: running units and signs that the catalogue knows, and whether signatures
/// are fresh at the time of receipt. Addresses, boot id and the exact day of signatures are not in it.
#[must_use]
pub fn state_key(catalogue: &Catalogue, state: &HostState, received: Timestamp) -> Digest {
    let mut lines = vec![format!("units {}", state.units_outcome.map_or("unasked", |outcome| outcome.name()))];
    for platform in Platform::ALL {
        for unit in state.units.iter().filter(|unit| unit.active) {
            if !catalogue.products_of_unit(*platform, &unit.name).is_empty() {
                lines.push(format!("running {platform} {}", unit.name));
            }
        }
        for product in catalogue.products() {
            let signs = catalogue.signs_seen(product, *platform, state);
            for seen in signs.iter().filter(|seen| seen.on.is_some()) {
                let sign = (&seen.sign.unit, &seen.sign.places);
                lines.push(format!("sign {platform} {} {sign:?} {:?} {}", product.id, seen.on, seen.by_absence));
            }
            if let Some(fresh) = is_fresh(catalogue, *platform, product, state, received) {
                lines.push(format!("fresh {platform} {} {fresh}", product.id));
            }
        }
    }
    lines.sort();
    Digest::of(lines.join("\n").as_bytes())
}
