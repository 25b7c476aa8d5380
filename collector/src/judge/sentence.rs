//! How reasons name a product and its presence. Sentences are only written here and never read back.

use muster_proto::model::{Presence, ProductSeen};

/// `Kaspersky Endpoint Security 12.2 is installed`.
pub(super) fn is_present(product: &ProductSeen) -> String {
    let state = match product.presence {
        Presence::Active => "is installed and running",
        Presence::Installed => "is installed",
        Presence::ManagementOnly => "is installed (management only)",
        Presence::Embedded => "contains code of this vendor",
        Presence::Remnant => "is not installed, but remnants of it were found",
        Presence::Suspect => "may be present; only weak evidence was found",
        Presence::None | Presence::Unknown => "could not be judged",
    };
    format!("{product} {state}")
}

/// `Kaspersky Endpoint Security 12.2 was installed`.
pub(super) fn was_present(product: &ProductSeen) -> String {
    let state = match product.presence {
        Presence::Active => "was installed and running",
        Presence::Installed | Presence::ManagementOnly => "was installed",
        Presence::Embedded => "contained code of this vendor",
        Presence::Remnant => "had left remnants",
        Presence::Suspect => "may have been present",
        Presence::None | Presence::Unknown => "could not be judged",
    };
    format!("{product} {state}")
}
