//! Numbers of few bytes: seven bits in each, the lowest first.

/// Appends a number.
pub(in crate::store) fn put(bytes: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// Reads a number and leaves what follows it.
pub(in crate::store) fn read(bytes: &mut &[u8]) -> Option<usize> {
    let mut value = 0;
    // A longer number is damage.
    for shift in (0..28).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Appends a text after its length.
pub(in crate::store) fn put_text(bytes: &mut Vec<u8>, text: &[u8]) {
    put(bytes, text.len());
    bytes.extend_from_slice(text);
}

/// Reads a text that follows its length, and leaves what follows the text.
pub(in crate::store) fn read_text<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = read(bytes)?;
    let (text, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(text)
}

/// The bytes of a text of this length with the length before it.
pub(in crate::store) const fn text_bytes(length: usize) -> usize {
    length
        + match length {
            0..0x80 => 1,
            0x80..0x4000 => 2,
            0x4000..0x20_0000 => 3,
            _ => 4,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_as_it_was_written_and_has_that_length() {
        for length in [0, 1, 0x7f, 0x80, 0x3fff, 0x4000, 0x1f_ffff, 0x20_0000] {
            let (text, mut bytes) = (vec![b'x'; length], Vec::new());
            put_text(&mut bytes, &text);
            assert_eq!(bytes.len(), text_bytes(length));
            bytes.push(7);
            let mut rest = bytes.as_slice();
            assert_eq!((read_text(&mut rest), rest), (Some(text.as_slice()), &[7][..]));
        }
        assert_eq!(read_text(&mut &[2, b'x'][..]), None, "cut");
        assert_eq!(read(&mut &[0x80; 9][..]), None);
    }
}
