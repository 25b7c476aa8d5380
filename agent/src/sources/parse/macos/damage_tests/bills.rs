//! Bills of materials: one that has lost an entry would call a package removed that is there.

use super::super::bom::{Bom, builder};
use super::for_each_change;

/// Cuts a bill at every byte before `end`, and changes every byte of it. What no reader can notice is a changed letter of a name, and
/// that an entry is in another folder of the bill. Every entry must still be there, and of its kind.
pub(in super::super) fn assert_damage_shows(bytes: &[u8], end: usize) {
    let entries = |bytes: &[u8]| Bom::parse(bytes).map(|bom| (bom.entries(), bom.files()));
    let whole = entries(bytes);
    assert!(whole.is_some(), "it is no whole bill");
    for cut in 0..end {
        assert_eq!(entries(&bytes[..cut]), None, "cut at {cut}");
    }
    let mut read_after_a_change = 0;
    for_each_change(bytes, &[0, 2, 0xff], &mut |changed, place| {
        let found = entries(changed);
        assert!(found.is_none() || found == whole, "{place}: {found:?} instead of {whole:?}");
        read_after_a_change += usize::from(found.is_some());
    });
    assert!(read_after_a_change > 0, "no changed letter of a name can be noticed");
}

#[test]
fn a_damaged_bill_has_every_entry_or_is_none() {
    let files = [
        "./Applications/X.app/Contents/MacOS/x",
        "./Applications/X.app/y",
        "./Library/z",
        "./Library/LaunchDaemons/x.plist",
    ];
    let bytes = builder::bom(&files);
    assert_damage_shows(&bytes, bytes.len());
}
