//! Codes of Windows Installer: the registry stores product codes packed, with the digits of each part in reverse.

/// The product code of a packed one: `{2924BEDA-E0D7-4DAF-A224-50D2E0B12F5B}` for `ADEB42927D0EFAD42A24052D0E1BF2B5`. `None`
/// if it is not one.
#[must_use]
pub fn unpack(packed: &str) -> Option<String> {
    if packed.len() != 32 || !packed.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let packed = packed.to_ascii_uppercase();
    let reversed = |part: &str| part.chars().rev().collect::<String>();
    // The last two parts are bytes, and the digits of each byte are swapped.
    let bytes: String = packed.as_bytes()[16..].chunks(2).flat_map(|pair| [pair[1] as char, pair[0] as char]).collect();
    let (first, second, third) = (reversed(&packed[..8]), reversed(&packed[8..12]), reversed(&packed[12..16]));
    Some(format!("{{{first}-{second}-{third}-{}-{}}}", &bytes[..4], &bytes[4..]))
}

/// The product code in the name of an uninstall entry: `{GUID}`, or `InstallWIX_{GUID}` for a second entry of one product.
/// In upper case, as Windows writes it.
#[must_use]
pub fn in_entry(name: &str) -> Option<String> {
    let code = super::text::strip_prefix(name, "InstallWIX_").unwrap_or(name);
    let inner = code.strip_prefix('{')?.strip_suffix('}')?;
    let lengths: Vec<usize> = inner.split('-').map(str::len).collect();
    let is_code = lengths == [8, 4, 4, 4, 12] && inner.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    is_code.then(|| code.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn packed_codes_are_unpacked() {
        assert_eq!(
            unpack("349e1197CC230D542AC9656EFE672257").as_deref(),
            Some("{7911E943-32CC-45D0-A29C-56E6EF762275}")
        );
        assert_eq!(
            unpack("9A253204F7FADCBCC260DAF609E13D53").as_deref(),
            Some("{402352A9-AF7F-CBCD-2C06-AD6F901ED335}")
        );
        for other in ["", "S-1-5-18", "349E1197CC230D542AC9656EFE67225G", "349E1197CC230D542AC9656EFE6722570"] {
            assert_eq!(unpack(other), None, "{other}");
        }
    }

    #[test]
    fn both_entries_of_one_product_have_its_code() {
        let code = "{2924BEDA-E0D7-4DAF-A224-50D2E0B12F5B}";
        assert_eq!(in_entry(code).as_deref(), Some(code));
        assert_eq!(in_entry("installwix_{2924beda-E0D7-4DAF-A224-50D2E0B12F5B}").as_deref(), Some(code));
        for other in ["Git_is1", "{2924BEDA}", "{90140000-0011-0000-0000-0000000FF1CE}_Office14", "InstallWIX_x", "{-}"]
        {
            assert_eq!(in_entry(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>(), code in "[0-9a-f]{32}") {
            let _ = (unpack(&text), in_entry(&text));
            prop_assert!(unpack(&code).and_then(|code| in_entry(&code)).is_some());
        }
    }
}
