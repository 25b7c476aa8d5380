//! Addresses of network cards.

use std::fmt::Write as _;

/// The address of a card in its one spelling, `00:1b:63:84:45:e6`; `None` if the bytes are no address of a single card.
#[must_use]
pub fn of_bytes(bytes: &[u8]) -> Option<String> {
    let bytes: &[u8; 6] = bytes.try_into().ok()?;
    // The lowest bit of the first byte marks groups of cards.
    let is_of_one = bytes[0] & 1 == 0 && *bytes != [0; 6];
    is_of_one.then(|| {
        bytes.iter().enumerate().fold(String::new(), |mut text, (at, byte)| {
            let colon = if at == 0 { "" } else { ":" };
            // Writing to a string cannot fail.
            let _ = write!(text, "{colon}{byte:02x}");
            text
        })
    })
}

/// The same from a text with colons or hyphens.
#[must_use]
pub fn of_text(text: &str) -> Option<String> {
    // The standard library also reads a sign as the first digit.
    let is_byte = |part: &str| part.len() == 2 && part.bytes().all(|digit| digit.is_ascii_hexdigit());
    let bytes: Option<Vec<u8>> =
        text.split([':', '-']).map(|part| is_byte(part).then(|| u8::from_str_radix(part, 16).ok()).flatten()).collect();
    of_bytes(&bytes?)
}

/// Whether an address in this spelling is one that no manufacturer has, but a program or an administrator has chosen.
#[must_use]
pub fn is_local(address: &str) -> bool {
    address.get(..2).and_then(|first| u8::from_str_radix(first, 16).ok()).is_some_and(|first| first & 2 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_spelling() {
        for text in ["00:1B:63:84:45:E6", "00-1b-63-84-45-e6"] {
            assert_eq!(of_text(text).as_deref(), Some("00:1b:63:84:45:e6"));
        }
        for none in
            ["", "00:00:00:00:00:00", "01:00:5e:00:00:01", "00:1b:63:84:45", "0:1b:63:84:45:e6", "+0:1b:63:84:45:e6"]
        {
            assert_eq!(of_text(none), None, "{none}");
        }
        assert!(is_local("52:54:00:84:45:e9") && !is_local("00:1b:63:84:45:e6"));
    }
}
