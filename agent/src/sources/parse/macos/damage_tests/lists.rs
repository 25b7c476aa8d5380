//! Jobs, bundles, receipts, overrides and the history of installations: lists of which a changed letter makes another valid one.
//!
//! What no reader can notice is a changed letter of a text, of a key that need not be there, and a binary list that refers to another
//! text where two values shared one. Everything else must be noticed.

use super::super::bundle::Bundle;
use super::super::job::{Job, overrides};
use super::super::receipt::{Receipt, history};
use super::{BINARY, for_each_change, in_binary};
use crate::sources::parse::plist::{self, Plist};

/// What was read of a list; `None` if something was wrong with it.
pub(in super::super) type Reader = fn(&Plist) -> Option<Vec<String>>;

pub(in super::super) fn of_job(list: &Plist) -> Option<Vec<String>> {
    let job = Job::of(list);
    job.fault.is_none().then(|| vec![job.label, job.program, job.disabled.to_string()])
}

pub(in super::super) fn of_bundle(list: &Plist) -> Option<Vec<String>> {
    let Bundle { id, version, build, maker, executable } = Bundle::of(list);
    Bundle::unreadable_key(list).is_none().then(|| vec![id, version, build, maker, executable])
}

fn of_receipt(list: &Plist) -> Option<Vec<String>> {
    let Receipt { id, version, prefix } = Receipt::of(list);
    Receipt::missing_key(list).is_none().then(|| vec![id, version, prefix])
}

fn of_overrides(list: &Plist) -> Option<Vec<String>> {
    // In one text, because a changed letter can change the order.
    Some(vec![overrides(list)?.into_iter().map(|(label, _)| label).collect()])
}

fn of_history(list: &Plist) -> Option<Vec<String>> {
    let each = history(list)?.into_iter().map(|one| [one.name, one.version, one.packages.join(" ")]);
    Some(each.flatten().collect())
}

/// All keys, and what was read.
fn read(bytes: &[u8], reader: Reader) -> Option<(Vec<String>, Vec<String>)> {
    let list = plist::parse(bytes).ok()?;
    let mut keys = Vec::new();
    add_keys(&list, &mut keys);
    keys.sort();
    Some((keys, reader(&list)?))
}

fn add_keys(list: &Plist, keys: &mut Vec<String>) {
    keys.extend(list.dictionary().into_iter().flat_map(|values| values.keys().cloned()));
    let values = list.dictionary().into_iter().flat_map(|values| values.values());
    values.chain(list.array().into_iter().flatten()).for_each(|value| add_keys(value, keys));
}

/// Cuts the list at every byte before `end`, and changes every byte of it. `optional` is whether a value need not be there.
pub(in super::super) fn assert_damage_shows(bytes: &[u8], end: usize, others: &[u8], reader: Reader, optional: bool) {
    let (keys, whole) = read(bytes, reader).expect("a whole list");
    for cut in 0..end {
        assert_eq!(read(&bytes[..cut], reader), None, "cut at {cut}");
    }
    let mut read_after_a_change = 0;
    for_each_change(bytes, others, &mut |changed, place| {
        let Some((found_keys, found)) = read(changed, reader) else { return };
        read_after_a_change += 1;
        assert_eq!(found.len(), whole.len(), "{place}: {found:?}");
        let is_named_otherwise = optional && found_keys != keys;
        for (one, two) in found.iter().zip(&whole) {
            let is_shared = whole.iter().filter(|other| *other == two).count() > 1;
            let is_kept = !one.is_empty() && (is_shared || one.len() + 4 >= two.len());
            assert!(is_kept || two.is_empty() || is_named_otherwise, "{place}: {one:?} for {two:?}");
            assert!(!one.contains("secret"), "{place}: {found:?}");
        }
    });
    assert!(read_after_a_change > 0, "no changed letter of a text can be noticed");
}

fn assert_in_both_forms(values: &str, reader: Reader, optional: bool) {
    let xml = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<plist version=\"1.0\">{values}</plist>\n");
    // What follows the last value says nothing more.
    assert_damage_shows(xml.as_bytes(), xml.rfind("</plist>").expect("an end"), b"<", reader, optional);
    let bytes = in_binary(&xml);
    assert_damage_shows(&bytes, bytes.len(), BINARY, reader, optional);
}

#[test]
fn a_damaged_job_keeps_its_label_and_program_or_shows_it() {
    let job = "<dict><key>Label</key><string>com.kaspersky.kav</string><key>RunAtLoad</key><true/><key>ProgramArguments</key>\
               <array><string>/Library/Application Support/Kaspersky Lab/KAV/Binaries/kav</string><string>--token=secret</string>\
               </array><key>Disabled</key><false/></dict>";
    assert_in_both_forms(job, of_job, false);
}

#[test]
fn a_damaged_bundle_keeps_what_it_says_of_itself_or_shows_it() {
    let bundle = "<dict><key>CFBundleIdentifier</key><string>com.kaspersky.kav</string><key>CFBundleExecutable</key>\
                  <string>kav_app</string><key>CFBundleShortVersionString</key><string>26.0.0</string><key>CFBundleVersion</key>\
                  <string>26.0.0.150</string><key>NSHumanReadableCopyright</key><string>AO Kaspersky Lab</string>\
                  <key>LSRequiresCarbon</key><true/></dict>";
    assert_in_both_forms(bundle, of_bundle, true);
}

#[test]
fn a_damaged_receipt_says_where_its_package_is_or_shows_it() {
    let receipt = "<dict><key>InstallDate</key><date>2026-01-02T03:04:05Z</date><key>InstallPrefixPath</key><string>Applications</string>\
                   <key>InstallProcessName</key><string>installer</string><key>PackageFileName</key><string>kav.pkg</string>\
                   <key>PackageIdentifier</key><string>com.kaspersky.kav.core</string><key>PackageVersion</key><string>26.0.0.150</string>\
                   </dict>";
    assert_in_both_forms(receipt, of_receipt, false);
}

#[test]
fn damaged_overrides_have_every_label_or_show_it() {
    let overrides = "<dict><key>com.kaspersky.kav</key><true/><key>com.kaspersky.klnagent</key><false/><key>org.example.x</key>\
                     <true/></dict>";
    assert_in_both_forms(overrides, of_overrides, false);
}

#[test]
fn a_damaged_history_has_every_installation_or_shows_it() {
    let installation = |name: &str, version: &str, packages: [&str; 2]| {
        let packages: String = packages.iter().map(|id| format!("<string>{id}</string>")).collect();
        format!(
            "<dict><key>displayName</key><string>{name}</string><key>displayVersion</key><string>{version}</string>\
             <key>packageIdentifiers</key><array>{packages}</array></dict>"
        )
    };
    let one = installation("Kaspersky", "26.0.0", ["com.kaspersky.kav.core", "com.kaspersky.kav.oas"]);
    let two = installation("Zotero", "6.0.30", ["org.zotero.zotero", "org.zotero.helper"]);
    assert_in_both_forms(&format!("<array>{one}{two}</array>"), of_history, true);
}
