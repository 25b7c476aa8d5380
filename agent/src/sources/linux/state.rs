//! What differs from host to host and day to day: asked of the running system only, by files alone. No bus is asked and
//! no program run.

mod realtime;
mod reboot;
mod signatures;
mod units;

use muster_proto::limits;
use muster_proto::model::{HostState, Losses, Outcome};

use super::crowd::Crowd;
use crate::sources::Scene;
use crate::sources::parse::network;

pub(super) fn state(scene: &Scene, units: &[String], units_outcome: Outcome) -> HostState {
    let crowd = Crowd::of(scene);
    let (units, units_outcome) = units::of(scene, crowd.as_ref(), units, units_outcome);
    let (realtime, realtime_outcome) = realtime::of(scene, crowd.as_ref());
    HostState {
        boot_id: scene.root.read_text("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned(),
        addresses: addresses(scene),
        units_outcome: Some(units_outcome),
        units,
        signatures: signatures::of(scene),
        realtime,
        pending_reboot: reboot::is_pending(scene),
        realtime_outcome: Some(realtime_outcome),
        // Whoever knows the pseudonyms adds these.
        user_items: Vec::new(),
        users_outcome: None,
        // And these whoever delivers.
        losses: Losses::default(),
    }
}

fn addresses(scene: &Scene) -> Vec<String> {
    let large = |path: &str| {
        let bytes = scene.root.read(path, 16 * 1024 * 1024).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let four = network::ipv4_of_fib_trie(&large("/proc/net/fib_trie"));
    let six = network::ipv6_of_if_inet6(&large("/proc/net/if_inet6"));
    let four = four.into_iter().map(|address| address.to_string());
    four.chain(six.into_iter().map(|address| address.to_string())).take(limits::ADDRESSES_PER_HOST).collect()
}
