//! The host state: what differs from host to host and from day to day. Read from files of the running system only; no bus
//! is queried and no program run.

mod realtime;
mod reboot;
mod signatures;
mod units;

use muster_proto::limits;
use muster_proto::model::{HostState, Losses, Outcome};

use super::watched_processes::WatchedProcesses;
use crate::sources::ScanContext;
use crate::sources::parse::network;

pub(super) fn state(context: &ScanContext, units: &[String], units_outcome: Outcome) -> HostState {
    let watched_processes = WatchedProcesses::of(context);
    let (units, units_outcome) = units::of(context, watched_processes.as_ref(), units, units_outcome);
    let (realtime, realtime_outcome) = realtime::of(context, watched_processes.as_ref());
    HostState {
        boot_id: context.root.read_text("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned(),
        addresses: addresses(context),
        units_outcome: Some(units_outcome),
        units,
        signatures: signatures::of(context),
        realtime,
        pending_reboot: reboot::is_pending(context),
        realtime_outcome: Some(realtime_outcome),
        // `scan` fills these in, because it has the secret for the pseudonyms.
        user_items: Vec::new(),
        users_outcome: None,
        // `uplink` fills these in at delivery.
        losses: Losses::default(),
    }
}

fn addresses(context: &ScanContext) -> Vec<String> {
    let large = |path: &str| {
        let bytes = context.root.read(path, 16 * 1024 * 1024).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let four = network::ipv4_of_fib_trie(&large("/proc/net/fib_trie"));
    let six = network::ipv6_of_if_inet6(&large("/proc/net/if_inet6"));
    let four = four.into_iter().map(|address| address.to_string());
    four.chain(six.into_iter().map(|address| address.to_string())).take(limits::ADDRESSES_PER_HOST).collect()
}
