//! Which presences are those of something that can run.

use muster_proto::model::Presence;

/// Whether something with this presence can run.
pub(super) const fn is_live(presence: Presence) -> bool {
    matches!(
        presence,
        Presence::Active | Presence::Installed | Presence::ManagementOnly | Presence::Embedded | Presence::Suspect
    )
}
