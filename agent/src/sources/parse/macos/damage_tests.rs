//! A damaged file is never whole with less in it: a product that is missing there would be taken for one that is gone. Every file is cut
//! at every byte, and every byte of it is changed.

pub(super) mod bills;
pub(super) mod lists;

use super::extensions_db::{self, Database};
use crate::sources::parse::plist;

/// The list, if it counts as whole.
pub(super) fn database(bytes: &[u8]) -> Option<Database> {
    extensions_db::parse(&plist::parse(bytes).ok()?).filter(|database| database.fault.is_none())
}

/// Cuts the list at every byte before `end`, and changes every byte of it: to these, and to the nearest ones.
pub(super) fn assert_damage_shows(bytes: &[u8], end: usize, others: &[u8]) {
    let whole = database(bytes).expect("a whole list");
    for cut in 0..end {
        assert_eq!(database(&bytes[..cut]), None, "cut at {cut}");
    }
    // A changed letter of a text cannot be noticed, nor that a binary list refers to another text where two extensions shared one, as
    // they do their state. Everything else must be.
    for_each_change(bytes, others, &mut |changed, place| {
        let Some(found) = database(changed) else { return };
        assert_eq!(found.extensions.len(), whole.extensions.len(), "{place}");
        for (one, two) in found.extensions.iter().zip(&whole.extensions) {
            assert_eq!(one.categories.len(), two.categories.len(), "{place}");
            assert!(!one.state.is_empty(), "{place}: {found:?}");
            for (one, two) in [(&one.id, &two.id), (&one.version, &two.version), (&one.team, &two.team)] {
                assert!(!one.is_empty() && one.len() + 4 >= two.len(), "{place}: {found:?}");
            }
        }
    });
}

/// Changes every byte: to these, and to the nearest ones. The text says what was changed.
fn for_each_change(bytes: &[u8], others: &[u8], visit: &mut dyn FnMut(&[u8], &str)) {
    let mut changed = bytes.to_vec();
    for at in 0..bytes.len() {
        let original = bytes[at];
        for byte in others.iter().copied().chain([original ^ 1, original.wrapping_add(1)]) {
            changed[at] = byte;
            visit(&changed, &format!("{byte:#x} at {at}"));
        }
        changed[at] = original;
    }
}

/// A list in the binary form.
fn in_binary(xml: &str) -> Vec<u8> {
    let list = ::plist::Value::from_reader(std::io::Cursor::new(xml)).expect("a list");
    let mut bytes = Vec::new();
    list.to_writer_binary(&mut bytes).expect("written");
    bytes
}

/// The beginnings of objects of a binary list, and what its numbers may become.
pub(super) const BINARY: &[u8] = &[0, 1, 0x0f, 0x50, 0xa0, 0xd0, 0xff];

fn xml() -> String {
    let extension = |team: &str, id: &str, category: &str, version: &str| {
        format!(
            "<dict><key>identifier</key><string>{id}</string><key>teamID</key><string>{team}</string>\
             <key>state</key><string>activated_enabled</string><key>categories</key>\
             <array><string>com.apple.system_extension.{category}</string></array>\
             <key>bundleVersion</key><dict><key>CFBundleShortVersionString</key><string>{version}</string></dict>\
             <key>originPath</key><string>/Applications/{id}.app/Contents/Library/SystemExtensions/x.systemextension</string>\
             <key>stagedBundleURL</key><dict><key>relative</key>\
             <string>file:///Library/SystemExtensions/A/{id}.systemextension/</string></dict></dict>"
        )
    };
    let falcon = extension("X9E956P446", "com.crowdstrike.falcon.Agent", "endpoint_security", "7.10");
    let kaspersky = extension("2Y8XE5CQ94", "com.kaspersky.kav.sysext", "endpoint_security", "23.0.0.420");
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<plist version=\"1.0\"><dict><key>version</key><integer>1</integer>\
         <key>extensionPolicies</key><array/><key>extensions</key><array>{falcon}{kaspersky}</array></dict></plist>\n"
    )
}

#[test]
fn a_binary_list_that_was_cut_or_changed_is_not_whole_with_less() {
    let bytes = in_binary(&xml());
    assert_eq!(database(&bytes), database(xml().as_bytes()));
    assert_damage_shows(&bytes, bytes.len(), BINARY);
}

#[test]
fn a_list_in_xml_that_was_cut_or_changed_is_not_whole_with_less() {
    let text = xml();
    // The end tags of the outer dictionary and of the list say nothing more.
    assert_damage_shows(text.as_bytes(), text.rfind("</dict>").expect("an end") + "</dict>".len(), b"<");
}
