//! What identifies a machine beyond its host name: the numbers of its hardware, and its names on the network. Matching a host
//! with a list of machines needs them; nothing is judged by them.

use super::closed_list::closed_list;

closed_list! {
    /// How much an agent reports of what identifies its machine beyond the host name.
    IdentityScope {
        /// Everything in [`MachineIdentity`].
        Full = 1, "full";
        /// Nothing.
        None = 2, "none";
    }
}

/// How a machine can be recognised in other lists. A text is empty if it is unknown.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct MachineIdentity {
    /// The serial number that the manufacturer gave the machine.
    pub serial: String,
    /// The UUID of the system in the firmware, in lower case: `4c4c4544-0042-3510-8056-b4c04f4e4d31`.
    pub hardware_uuid: String,
    /// The number that the owner gave the machine, as the firmware has it.
    pub asset_tag: String,
    /// The addresses of physical network cards: `00:1b:63:84:45:e6`, in lower case and sorted; at most [`crate::limits::MACS_PER_HOST`].
    pub macs: Vec<String>,
    /// The full name in the DNS: `pc-17.example.org`.
    pub fqdn: String,
    /// The domain that the machine belongs to: `example.org`.
    pub domain: String,
    /// The kind of case: `desktop`, `notebook`, `rack-mount-chassis`.
    pub chassis: String,
}

impl MachineIdentity {
    /// Whether nothing is known.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }
}
