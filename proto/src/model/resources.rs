//! What a running collector uses, and how much is left.

use super::Timestamp;

/// What a collector uses.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Resources {
    /// The ports for agents and operators.
    pub listeners: Vec<ListenerUse>,
    /// The store; `None` if its size is not known yet.
    pub store: Option<StoreUse>,
    /// When the server certificate ends. The collector renews it before.
    pub certificate_expires: Option<Timestamp>,
    /// The company's own certificate on the operators' port, if it has one.
    pub operators_certificate: Option<OperatorsCertificate>,
}

/// The company's own certificate on the operators' port. The collector does not renew it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct OperatorsCertificate {
    /// When the certificate in use ends.
    pub expires: Timestamp,
    /// Why the files as they are now cannot be used; the certificate before is in use.
    pub refused: Option<String>,
}

/// The connections of a port.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ListenerUse {
    /// `agents` or `operators`.
    pub name: String,
    /// Open connections.
    pub connections: u64,
    /// How many may be open.
    pub limit: u64,
    /// Open connections whose peer has not proven who it is.
    pub unproven: u64,
    /// Connections since the start that were not let in or had to give way to others.
    pub refused: u64,
}

/// The size of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct StoreUse {
    /// Bytes on its disk.
    pub bytes: u64,
    /// By how many bytes it grows in a day; `None` in the first hour after a start.
    pub growth_per_day: Option<u64>,
    /// Free bytes of its disk; `None` if the collector cannot see the disk.
    pub free_bytes: Option<u64>,
}

impl StoreUse {
    /// After how many days the disk is full if the store goes on growing like this.
    #[must_use]
    pub fn days_left(&self) -> Option<u64> {
        self.free_bytes?.checked_div(self.growth_per_day?)
    }
}
