//! Values and names of a Windows registry. A value is bytes: its type is a claim of its writer, and every part of a text may
//! be missing or wrong.

/// A name in the form in which names are compared: those of keys and values as those of files.
pub use super::windows::path::folded;

/// A value: bytes with a type that its writer claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// The name; empty for the default value of the key.
    pub name: String,
    /// The type, one of [`kind`] or any other number.
    pub kind: u32,
    /// The bytes, as stored.
    pub data: Vec<u8>,
}

/// The types of values. <https://learn.microsoft.com/windows/win32/sysinfo/registry-value-types>
pub mod kind {
    /// No type.
    pub const NONE: u32 = 0;
    /// Text.
    pub const SZ: u32 = 1;
    /// Text with variables such as `%ProgramFiles%`.
    pub const EXPAND_SZ: u32 = 2;
    /// Bytes.
    pub const BINARY: u32 = 3;
    /// A number of 4 bytes.
    pub const DWORD: u32 = 4;
    /// A number of 4 bytes, highest first.
    pub const DWORD_BIG_ENDIAN: u32 = 5;
    /// The path of the key that a link leads to.
    pub const LINK: u32 = 6;
    /// Several texts.
    pub const MULTI_SZ: u32 = 7;
    /// A number of 8 bytes.
    pub const QWORD: u32 = 11;
}

impl Value {
    /// A value with a text, as Windows stores it.
    #[must_use]
    pub fn of_text(name: &str, text: &str) -> Self {
        let data = text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
        Self { name: name.to_owned(), kind: kind::SZ, data }
    }

    /// A value with a number of 4 bytes.
    #[must_use]
    pub fn of_number(name: &str, number: u32) -> Self {
        Self { name: name.to_owned(), kind: kind::DWORD, data: number.to_le_bytes().to_vec() }
    }

    /// The text, up to its terminator if it has one; variables are left as they are. `None` if the type is not a text.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        matches!(self.kind, kind::SZ | kind::EXPAND_SZ | kind::LINK).then(|| {
            let text = wide_text(&self.data);
            text.split('\0').next().unwrap_or_default().to_owned()
        })
    }

    /// The texts of a list, or the one text. Empty texts within a list are kept, since some lists are pairs. `None` if the
    /// type is neither.
    #[must_use]
    pub fn texts(&self) -> Option<Vec<String>> {
        if self.kind != kind::MULTI_SZ {
            return self.text().map(|text| vec![text]);
        }
        let text = wide_text(&self.data);
        let list = text.trim_end_matches('\0');
        Some(if list.is_empty() { Vec::new() } else { list.split('\0').map(str::to_owned).collect() })
    }

    /// The number; `None` if the type is not a number, or the value is shorter than its type.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        match self.kind {
            kind::DWORD => self.data.first_chunk().map(|bytes| u64::from(u32::from_le_bytes(*bytes))),
            kind::DWORD_BIG_ENDIAN => self.data.first_chunk().map(|bytes| u64::from(u32::from_be_bytes(*bytes))),
            kind::QWORD => self.data.first_chunk().map(|bytes| u64::from_le_bytes(*bytes)),
            _ => None,
        }
    }
}

/// UTF-16, low bytes first. Unpaired surrogates are replaced, and half a character at the end is left out.
#[must_use]
pub fn wide_text(bytes: &[u8]) -> String {
    let (units, _) = bytes.as_chunks();
    char::decode_utf16(units.iter().map(|unit| u16::from_le_bytes(*unit)))
        .map(|character| character.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

/// Whether two names are the same name.
#[must_use]
pub fn is_same_name(one: &str, other: &str) -> bool {
    one == other || folded(one) == folded(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(kind: u32, data: &[u8]) -> Value {
        Value { name: String::new(), kind, data: data.to_vec() }
    }

    #[test]
    fn text_needs_no_terminator_no_even_length_and_no_paired_surrogates() {
        for (data, text) in [
            (&b"a\0b\0\0\0"[..], "ab"),
            (b"a\0b\0", "ab"),
            (b"a\0b\0c", "ab"),
            (b"a\0b\0\0", "ab"),
            (b"a\0\0\0b\0", "a"),
            (b"\x3d\xd8a\0", "\u{fffd}a"),
            (b"\x3d\xd8\x00\xde", "\u{1f600}"),
            (b"\x1b\x04", "Л"),
            (b"", ""),
            (b"a", ""),
        ] {
            assert_eq!(value(kind::SZ, data).text().as_deref(), Some(text), "{data:?}");
            assert_eq!(value(kind::EXPAND_SZ, data).text().as_deref(), Some(text), "{data:?}");
        }
        assert_eq!(value(kind::BINARY, b"a\0").text(), None);
        assert_eq!(Value::of_text("x", "Лаборатория").text().as_deref(), Some("Лаборатория"));
    }

    #[test]
    fn a_list_keeps_the_empty_texts_between_others() {
        let list = |data: &str| {
            let data: Vec<u8> = data.encode_utf16().flat_map(u16::to_le_bytes).collect();
            value(kind::MULTI_SZ, &data).texts().expect("a list")
        };
        assert_eq!(list("a\0b\0\0"), ["a", "b"]);
        assert_eq!(list("a\0\0b\0\0\0"), ["a", "", "b"]);
        assert_eq!(list("a\0b"), ["a", "b"]);
        assert_eq!(list("\0"), [""; 0]);
        assert_eq!(list(""), [""; 0]);
        assert_eq!(Value::of_text("", "one").texts(), Some(vec!["one".to_owned()]));
        assert_eq!(value(kind::DWORD, &[0; 4]).texts(), None);
    }

    #[test]
    fn a_number_has_the_length_of_its_type() {
        assert_eq!(value(kind::DWORD, &[1, 2, 0, 0]).number(), Some(0x201));
        assert_eq!(value(kind::DWORD, &[1, 2, 0, 0, 9]).number(), Some(0x201));
        assert_eq!(value(kind::DWORD, &[1, 2, 0]).number(), None);
        assert_eq!(value(kind::DWORD_BIG_ENDIAN, &[0, 0, 2, 1]).number(), Some(0x201));
        assert_eq!(value(kind::QWORD, &[1, 0, 0, 0, 1, 0, 0, 0]).number(), Some(0x1_0000_0001));
        assert_eq!(value(kind::SZ, &[1, 0, 0, 0]).number(), None);
    }

    #[test]
    fn names_match_in_any_case() {
        assert!(is_same_name("Kaspersky", "KASPERSKY"));
        assert!(is_same_name("Лаборатория", "ЛАБОРАТОРИЯ"));
        assert!(!is_same_name("straße", "STRASSE"));
    }
}
