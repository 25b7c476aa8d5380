//! Product codes in sixteen bytes instead of thirty-eight.

/// The bytes of a product code as a text.
pub(in crate::store) const LENGTH: usize = 38;

/// Where the dashes of a product code stand.
const DASHES: [usize; 4] = [9, 14, 19, 24];

/// The bytes of `{8-4-4-4-12}` in capitals; every other spelling stays text.
pub(in crate::store) fn code(text: &[u8]) -> Option<[u8; 16]> {
    if text.len() != LENGTH || text[0] != b'{' || text[37] != b'}' || DASHES.iter().any(|at| text[*at] != b'-') {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    };
    let mut code = [0; 16];
    let mut digits = (1..37).filter(|at| !DASHES.contains(at)).map(|at| digit(text[at]));
    for byte in &mut code {
        *byte = digits.next()?? << 4 | digits.next()??;
    }
    Some(code)
}

/// The text of a product code.
pub(in crate::store) fn spelled(code: &[u8]) -> String {
    let mut text = String::with_capacity(LENGTH);
    text.push('{');
    for (at, byte) in code.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789ABCDEF"[usize::from(digit)]));
        }
    }
    text.push('}');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_code_takes_its_sixteen_bytes_and_other_spellings_stay_what_they_are() {
        let known = "{0123ABCD-4567-89EF-0011-223344556677}";
        assert_eq!(spelled(&code(known.as_bytes()).expect("a code")), known);
        for other in
            ["{0123abcd-4567-89EF-0011-223344556677}", &known[1..], "{0123ABCD-4567-89EF-0011-22334455667-}", ""]
        {
            assert_eq!(code(other.as_bytes()), None, "{other}");
        }
    }
}
