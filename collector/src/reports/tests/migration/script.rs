//! What the machines of a migration are going to do. Everything follows from the number of a machine, so each run is the same.

use super::log::Seen;
use super::machines;

/// Days on which something happens to many machines.
pub(super) const ROSTER: u64 = 3;
pub(super) const EXCUSED: u64 = 10;
pub(super) const REIMAGED: u64 = 41;
pub(super) const NEW_RULES: u64 = 45;
pub(super) const RETIRED: u64 = 50;
pub(super) const TAKEN_BACK: u64 = 65;
/// From this day on some retired hosts report again.
pub(super) const RETURNED: u64 = 70;
/// The sites to which the order applies under the new rules, and how long hosts may be silent then.
pub(super) const SITES_LEFT: &[&str] = &["hq", "plant"];
pub(super) const NEW_PATIENCE: u64 = 10;

/// Numbers in no visible order.
const fn mixed(machine: u32, other: u64) -> u64 {
    let mut mixed = ((machine as u64) << 32 ^ other).wrapping_add(77).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 32)
}

pub(super) fn site(machine: u32) -> &'static str {
    ["hq", "plant", "lab"][(machine % 3) as usize]
}

/// The day on which the machine enrolls; `None` for one that only the roster knows.
pub(super) fn enrolls_on(machine: u32) -> Option<u64> {
    (!machine.is_multiple_of(20)).then(|| mixed(machine, 1) % 20)
}

pub(super) const fn is_on_roster(machine: u32) -> bool {
    machine % 20 != 19
}

/// The roster has a machine of this name without a serial number, which a person would have to match.
pub(super) const fn is_ambiguous(machine: u32) -> bool {
    machine % 100 == 19
}

pub(super) const fn is_excused(machine: u32) -> bool {
    machine.is_multiple_of(200)
}

/// The machine is installed anew and enrolls as another host, with the same serial number.
pub(super) const fn is_reimaged(machine: u32) -> bool {
    machine % 60 == 13
}

/// The host that a machine is after it was installed anew.
pub(super) fn reimaged(machine: u32) -> u32 {
    machines() + machine
}

pub(super) const fn is_retired(machine: u32) -> bool {
    machine % 80 == 21
}

pub(super) const fn is_taken_back(machine: u32) -> bool {
    machine % 320 == 101
}

/// A waiver: who is in it, when it is asked for (it is approved on the next day), when it ends by itself, and when a person ends it.
pub(super) struct Waiver {
    pub(super) is_of: fn(u32) -> bool,
    pub(super) asked: u64,
    pub(super) until: (u64, u64),
    pub(super) ended: Option<u64>,
}

pub(super) const WAIVERS: [Waiver; 2] = [
    Waiver { is_of: |machine| machine % 30 == 4, asked: 22, until: (60, 43_200), ended: None },
    Waiver { is_of: |machine| machine % 30 == 21, asked: 30, until: (80, 0), ended: Some(55) },
];

/// Whether the machine reports on a day, if it has enrolled.
pub(super) fn reports_on(machine: u32, day: u64) -> bool {
    let is_away = match machine {
        machine if machine % 97 == 50 => true,
        machine if is_reimaged(machine) => day >= REIMAGED - 1,
        machine if is_retired(machine) => day >= RETIRED - 2 && !(machine % 160 == 21 && day >= RETURNED),
        machine if machine % 24 == 5 => day >= 30,
        machine if machine % 12 == 5 => (30..50).contains(&day),
        machine if is_late(machine) => (33..47).contains(&day),
        _ => false,
    };
    let since = enrolls_on(machine).and_then(|enrolled| day.checked_sub(enrolled));
    !is_away && since.is_some_and(|days| days.is_multiple_of(2))
}

/// Whether the machine scans while it cannot report, and delivers that later.
pub(super) const fn is_late(machine: u32) -> bool {
    machine % 12 == 7
}

/// The days of the scans that a machine delivers on this day before the newest one.
pub(super) fn spooled_on(machine: u32, day: u64) -> &'static [u64] {
    if is_late(machine) && (47..49).contains(&day) && reports_on(machine, day) { &[36, 40] } else { &[] }
}

/// When the product is removed, if it is there.
fn swap_on(machine: u32) -> u64 {
    34 + mixed(machine, 4) % 50
}

/// What a scan on a day sees.
pub(super) fn seen(machine: u32, day: u64) -> Seen {
    let swap = swap_on(machine);
    let had_it = mixed(machine, 2).is_multiple_of(3);
    let installed_on = if had_it { Some(0) } else { (machine % 10 == 1).then(|| 12 + mixed(machine, 5) % 20) };
    let comes_back = machine % 50 == 3 && installed_on.is_some();
    let is_back = comes_back && (swap + 15..swap + 25).contains(&day);
    let product = is_back || installed_on.is_some_and(|installed| (installed..swap).contains(&day));
    let cannot_be_read = machine % 25 == 9;
    let protected_on = match machine {
        machine if cannot_be_read => Some(30 + u64::from(machine % 3)),
        machine if mixed(machine, 3).is_multiple_of(2) => Some(0),
        machine if machine % 9 == 4 => Some(26),
        machine if machine.is_multiple_of(7) => Some(swap + 10),
        _ => installed_on.map(|_| swap),
    };
    let restarted_on = if machine.is_multiple_of(11) { swap + 8 } else { swap };
    Seen {
        is_readable: !(cannot_be_read && (20..28).contains(&day)),
        product,
        protection: protected_on.is_some_and(|protected| day >= protected),
        boot: 1 + u32::from(day >= restarted_on) + u32::from(comes_back && day >= swap + 25),
    }
}

/// What a scan of a machine that was installed anew sees.
pub(super) const fn seen_anew() -> Seen {
    Seen { is_readable: true, product: false, protection: true, boot: 1 }
}
