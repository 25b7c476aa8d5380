//! The identifiers that a system gives to its machine and to its start.

/// A UUID as the agent writes it, in lower case; `None` if the text is none, or has nothing but zeros, as some virtual machines say.
#[must_use]
pub fn of(text: &str) -> Option<String> {
    let text = text.trim();
    let is_fit = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    let is_uuid = text.len() == 36 && text.bytes().enumerate().all(is_fit);
    let says_something = text.bytes().any(|byte| !matches!(byte, b'0' | b'-'));
    (is_uuid && says_something).then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_uuid_that_says_something_is_one() {
        let id = "5C3A1F0E-9B7D-4E21-8A6F-0123456789AB";
        assert_eq!(of(&format!("{id}\n")), Some(id.to_lowercase()));
        for none in [
            "",
            "12345",
            "5C3A1F0E-9B7D-4E21-8A6F-0123456789A",
            "5C3A1F0E-9B7D-4E21-8A6F-0123456789ABC",
            "5C3A1F0E-9B7D-4E21-8A6F-0123456789AG",
            "5C3A1F0E09B7D04E2108A6F00123456789AB",
            "00000000-0000-0000-0000-000000000000",
            "5C3A1F0E-9B7D-4E21-8A6F-0123456789\u{e4}",
        ] {
            assert_eq!(of(none), None, "{none}");
        }
    }
}
