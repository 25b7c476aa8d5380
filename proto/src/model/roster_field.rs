//! What a list of machines can say about one of them.

use super::closed_list::closed_list;

closed_list! {
    /// What a roster can say about a machine. The names are those that an operator types.
    RosterField {
        /// The host name, without a domain.
        Name = 1, "name";
        /// The full name in the DNS.
        Fqdn = 2, "fqdn";
        /// The serial number that the manufacturer gave the machine.
        Serial = 3, "serial";
        /// The UUID of the system in the firmware.
        HardwareUuid = 4, "hardware-uuid";
        /// The addresses of network cards.
        Mac = 5, "mac";
        /// Who has the machine or is responsible for it.
        Owner = 6, "owner";
        /// How to reach them.
        OwnerEmail = 7, "owner-email";
        /// Where the machine is.
        Site = 8, "site";
        /// The operating system.
        Os = 9, "os";
        /// How the list itself identifies the machine.
        ExternalId = 10, "external-id";
        /// The id of the device object in Entra ID. It is not the device id, which is another number of the same device.
        EntraObjectId = 11, "entra-object-id";
        /// When the list's system last heard of the machine.
        LastSeen = 12, "last-seen";
    }
}

impl RosterField {
    /// Whether a value of this field can name a machine. A row needs at least one of them.
    #[must_use]
    pub const fn names_a_machine(self) -> bool {
        match self {
            Self::Name | Self::Fqdn | Self::Serial | Self::HardwareUuid | Self::Mac => true,
            Self::Owner
            | Self::OwnerEmail
            | Self::Site
            | Self::Os
            | Self::ExternalId
            | Self::EntraObjectId
            | Self::LastSeen => false,
        }
    }
}
