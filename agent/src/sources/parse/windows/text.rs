//! Text that Windows stores as UTF-16, or with a byte order mark.

/// Decodes UTF-16 (little endian) up to the first terminator. A missing terminator, an odd length and unpaired surrogates are
/// no error, because Windows writes all three.
#[must_use]
pub fn utf16(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    decode(units.take_while(|unit| *unit != 0))
}

fn decode(units: impl Iterator<Item = u16>) -> String {
    char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// Decodes a file of text: UTF-16 or UTF-8 by its byte order mark; without one, UTF-16 if every second byte of its start is
/// zero.
#[must_use]
pub fn file(bytes: &[u8]) -> String {
    let little = |bytes: &[u8]| decode(bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])));
    match bytes {
        [0xff, 0xfe, rest @ ..] => little(rest),
        [0xfe, 0xff, rest @ ..] => decode(rest.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]))),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        [_, 0, _, 0, ..] => little(bytes),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// The text below a prefix that is compared without regard to case; `None` if the text does not begin with it.
#[must_use]
pub fn strip_prefix<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn units(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn text_without_terminator_of_odd_length_and_with_half_a_pair_is_decoded() {
        assert_eq!(utf16(&units("Лаборатория\0rest")), "Лаборатория");
        let mut odd = units("AVP");
        odd.push(b'x');
        assert_eq!(utf16(&odd), "AVP");
        assert_eq!(utf16(&[0x41, 0, 0x00, 0xd8, 0x42, 0]), "A\u{fffd}B");
        assert_eq!(utf16(&[]), "");
    }

    #[test]
    fn files_are_decoded_by_their_mark() {
        let marked = |mark: &[u8], rest: Vec<u8>| [mark, &rest].concat();
        assert_eq!(file(&marked(&[0xff, 0xfe], units("<Täsk>"))), "<Täsk>");
        let big: Vec<u8> = "<T>".encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(file(&marked(&[0xfe, 0xff], big)), "<T>");
        assert_eq!(file(b"\xef\xbb\xbf<T>"), "<T>");
        assert_eq!(file(&units("<T>")), "<T>");
        assert_eq!(file(b"<T>"), "<T>");
    }

    #[test]
    fn prefixes_are_compared_without_case_and_within_characters() {
        assert_eq!(strip_prefix("\\systemROOT\\x", "\\SystemRoot\\"), Some("x"));
        assert_eq!(strip_prefix("ä", "x"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80), text in any::<String>()) {
            let _ = (utf16(&bytes), file(&bytes), strip_prefix(&text, "\\??\\").map(str::len));
        }
    }
}
