//! The host state: what differs from host to host and from day to day. Read from files of the running system only; no bus
//! is queried and no program run.
//!
//! Each part is read on its own thread, because the places of one may be on a disk that does not answer.

mod realtime;
mod reboot;
mod signatures;
mod units;

use muster_proto::limits;
use muster_proto::model::Outcome;

use super::watched_processes::WatchedProcesses;
use crate::sources::ScanContext;
use crate::sources::parse::network;
use crate::sources::record::{Part, Record};

/// Without signatures the age of the signatures is unknown, and so is a restart by default: nothing has to be entered.
const fn stays_unknown(_record: &mut Record) {}

pub(super) const PARTS: &[Part] = &[
    Part {
        what: "the running processes",
        read: |context| {
            let processes = WatchedProcesses::of(context);
            let evidence = processes.as_ref().map(|processes| realtime::of_processes(context, processes));
            let (evidence, outcome) = evidence.unwrap_or_else(|outcome| (Vec::new(), *outcome));
            let units = processes.map(|processes| processes.units);
            Box::new(move |record| {
                record.running_units = units;
                record.state.realtime.extend(evidence);
                worsen(&mut record.state.realtime_outcome, outcome);
            })
        },
        unread: |record| {
            record.running_units = Err(Outcome::TimedOut);
            worsen(&mut record.state.realtime_outcome, Outcome::TimedOut);
        },
    },
    Part {
        what: "the settings of real-time protection",
        read: |context| {
            let evidence = realtime::of_files(context);
            Box::new(move |record| record.state.realtime.extend(evidence))
        },
        unread: |record| worsen(&mut record.state.realtime_outcome, Outcome::TimedOut),
    },
    Part {
        what: "whether systemd runs",
        read: |context| {
            let has_systemd = matches!(context.root.kind_at("/run/systemd/system"), Ok(Some(_)));
            Box::new(move |record| record.has_systemd = Ok(has_systemd))
        },
        unread: |record| record.has_systemd = Err(Outcome::TimedOut),
    },
    Part {
        what: "boot id and addresses",
        read: |context| {
            let boot_id = context.root.read_text("/proc/sys/kernel/random/boot_id").unwrap_or_default();
            let addresses = addresses(context);
            Box::new(move |record| {
                boot_id.trim().clone_into(&mut record.state.boot_id);
                record.state.addresses = addresses;
            })
        },
        unread: stays_unknown,
    },
    Part {
        what: "the signatures of ClamAV",
        read: |context| {
            let found = signatures::clamav(context);
            Box::new(move |record| record.state.signatures.extend(found))
        },
        unread: stays_unknown,
    },
    Part {
        what: "the signatures of other products",
        read: |context| {
            let found = signatures::of_others(context);
            Box::new(move |record| record.state.signatures.extend(found))
        },
        unread: stays_unknown,
    },
    Part {
        what: "whether a restart is pending",
        read: |context| {
            let pending = reboot::is_pending(context);
            Box::new(move |record| record.state.pending_reboot = pending)
        },
        unread: stays_unknown,
    },
];

/// What was not read completely in one part is not complete as a whole.
fn worsen(outcome: &mut Option<Outcome>, part: Outcome) {
    if outcome.is_none_or(|outcome| outcome.is_complete()) {
        *outcome = Some(part);
    }
}

pub(super) fn finish(record: &mut Record, context: &ScanContext, units: &[String], units_outcome: Outcome) {
    let Record { state, running_units, has_systemd, .. } = record;
    let (units, outcome) = units::of(&context.watchlist, running_units.as_ref(), *has_systemd, units, units_outcome);
    (state.units, state.units_outcome) = (units, Some(outcome));
    record.bound();
}

fn addresses(context: &ScanContext) -> Vec<String> {
    let large = |path: &str| {
        let bytes = context.root.read(path, 4 * 1024 * 1024).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let four = network::ipv4_of_fib_trie(&large("/proc/net/fib_trie"));
    let six = network::ipv6_of_if_inet6(&large("/proc/net/if_inet6"));
    let four = four.into_iter().map(|address| address.to_string());
    four.chain(six.into_iter().map(|address| address.to_string())).take(limits::ADDRESSES_PER_HOST).collect()
}
