//! How reasons name a product and its presence. Sentences are only written here and never read back.

use muster_proto::model::{Evidence, Kind, Presence, ProductId, ProductSeen};

use crate::rules::Order;

/// What a product is found as. Only programs are installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// An installed program.
    Program,
    /// A program that runs without being installed.
    PortableTool,
    /// A container image.
    Image,
}

impl Form {
    /// The form of a product with this deciding evidence.
    pub(super) fn of(order: &Order, product: &ProductId, evidence: Option<&Evidence>) -> Self {
        if order.portable_tools.contains(product) {
            Self::PortableTool
        } else if evidence.is_some_and(|evidence| evidence.kind == Kind::ContainerImage) {
            Self::Image
        } else {
            Self::Program
        }
    }
}

/// `Kaspersky Endpoint Security 12.2 is installed`.
pub(super) fn is_present(product: &ProductSeen, form: Form) -> String {
    let state = match (product.presence, form) {
        (Presence::Active | Presence::Installed | Presence::ManagementOnly, Form::PortableTool) => "was found",
        (Presence::Installed | Presence::ManagementOnly, Form::Image) => {
            return format!("An image of {product} is on this host");
        }
        (Presence::Active, _) => "is installed and running",
        (Presence::Installed, _) => "is installed",
        (Presence::ManagementOnly, _) => "is installed (management only)",
        (Presence::Embedded, _) => "contains code of this vendor",
        (Presence::Remnant, Form::PortableTool | Form::Image) => return format!("Remnants of {product} were found"),
        (Presence::Remnant, Form::Program) => {
            return format!("Remnants of {product} were found; it is not installed");
        }
        (Presence::Suspect, _) => "may be present; only weak evidence was found",
        (Presence::None | Presence::Unknown, _) => "could not be judged",
    };
    format!("{product} {state}")
}

/// `Kaspersky Endpoint Security 12.2 was installed`.
pub(super) fn was_present(product: &ProductSeen, form: Form) -> String {
    let state = match (product.presence, form) {
        (Presence::Active | Presence::Installed | Presence::ManagementOnly, Form::PortableTool) => "was there",
        (Presence::Installed | Presence::ManagementOnly, Form::Image) => {
            return format!("An image of {product} was on this host");
        }
        (Presence::Active, _) => "was installed and running",
        (Presence::Installed | Presence::ManagementOnly, _) => "was installed",
        (Presence::Embedded, _) => "contained code of this vendor",
        (Presence::Remnant, _) => "had left remnants",
        (Presence::Suspect, _) => "may have been present",
        (Presence::None | Presence::Unknown, _) => "could not be judged",
    };
    format!("{product} {state}")
}
