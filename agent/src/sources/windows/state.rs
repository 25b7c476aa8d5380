//! The host state of Windows: which watched services and programs run, what Microsoft Defender says about itself, whether a
//! restart is pending, the signatures of protection products, and what shows that they protect. Each place is spelled as the
//! catalogue spells it, because the collector assigns it to a product by that text.

pub(super) mod boot;
pub(super) mod realtime;
pub(super) mod reboot;
pub(super) mod services;
pub(super) mod signatures;

use std::collections::BTreeSet;
use std::net::IpAddr;

use muster_proto::model::{Outcome, RealtimeEvidence, SignatureState};

use super::defender;
use super::processes;
use super::reader::Reader;
use crate::sources::ScanContext;
use crate::sources::portable::addresses::shown;
use crate::sources::record::{Part, Record};

/// Without these the age of the signatures is unknown, and so is a restart by default: nothing has to be entered.
const fn stays_unknown(_record: &mut Record) {}

pub(super) const PARTS: &[Part] = &[
    Part {
        what: "the running processes",
        read: |context| {
            let (found, outcome) = processes::evidence(context);
            Box::new(move |record| {
                record.state.realtime.extend(found);
                record.state.realtime_outcome = Some(outcome);
            })
        },
        unread: |record| record.state.realtime_outcome = Some(Outcome::TimedOut),
    },
    Part {
        what: "the running services",
        read: |context| {
            let (units, outcome) = services::running(context);
            Box::new(move |record| {
                record.state.units = units;
                record.state.units_outcome = Some(outcome);
            })
        },
        unread: |record| record.state.units_outcome = Some(Outcome::TimedOut),
    },
    Part {
        what: "the state of Microsoft Defender",
        read: |context| {
            let (evidence, signatures) = of_defender(context);
            Box::new(move |record| {
                record.state.realtime.extend(evidence);
                record.state.signatures.extend(signatures);
            })
        },
        unread: stays_unknown,
    },
    Part {
        what: "the settings of real-time protection",
        read: |context| {
            let found = with_reader(context, realtime::evidence).unwrap_or_default();
            Box::new(move |record| record.state.realtime.extend(found))
        },
        unread: stays_unknown,
    },
    Part {
        what: "the signatures of protection products",
        read: |context| {
            let found = with_reader(context, signatures::signatures).unwrap_or_default();
            Box::new(move |record| record.state.signatures.extend(found))
        },
        unread: stays_unknown,
    },
    Part {
        what: "boot id and addresses",
        read: |context| {
            let boot_id = with_reader(context, |reader| boot::boot_id(reader, boot::started)).unwrap_or_default();
            let addresses = shown(&addresses());
            Box::new(move |record| {
                record.state.boot_id = boot_id;
                record.state.addresses = addresses;
            })
        },
        unread: stays_unknown,
    },
    Part {
        what: "whether a restart is pending",
        read: |context| {
            let pending = with_reader(context, reboot::is_pending).flatten();
            Box::new(move |record| record.state.pending_reboot = pending)
        },
        unread: stays_unknown,
    },
];

/// Reads with the registry of the machine; `None` if there is none.
fn with_reader<T>(context: &ScanContext, read: fn(&mut Reader<'_>) -> T) -> Option<T> {
    let registry = context.registry.as_ref().ok()?;
    Some(read(&mut Reader::new(registry.as_ref(), &context.root)))
}

/// What Defender says of its protection and of its signatures.
pub(super) fn of_defender(context: &ScanContext) -> (Option<RealtimeEvidence>, Option<SignatureState>) {
    let Some(Ok(status)) = defender::status(&context.wmi) else { return (None, None) };
    let place = defender::STATUS.class;
    let evidence = status.protects.map(|on| RealtimeEvidence { place: place.to_owned(), on });
    let state = |release: crate::sources::parse::signatures::Release| SignatureState {
        place: place.to_owned(),
        version: release.version,
        released: release.released,
    };
    (evidence, status.signatures.map(state))
}

#[cfg(windows)]
fn addresses() -> BTreeSet<IpAddr> {
    super::live::network::addresses()
}

#[cfg(not(windows))]
const fn addresses() -> BTreeSet<IpAddr> {
    BTreeSet::new()
}
