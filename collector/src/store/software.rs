//! Search: which software is asked for.

use muster_proto::model::HostId;

/// Which software is asked for.
#[derive(Debug, Clone)]
pub struct SoftwareQuery {
    /// A part of its name or of its vendor, without regard to case; not empty.
    pub text: String,
    /// How its version begins; empty is any.
    pub version: String,
    /// At most this many editions; those that most hosts have come first.
    pub editions: usize,
    /// At most this many hosts.
    pub hosts: usize,
    /// Only hosts after this one, in the order of their ids.
    pub after: Option<HostId>,
}
