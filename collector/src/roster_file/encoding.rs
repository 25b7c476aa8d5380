//! The encoding of a file: found in its first bytes, and decoded to UTF-8 piece by piece.

use encoding_rs::{Decoder, DecoderResult, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::other_format::OtherFormat;

/// The encoding of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextEncoding {
    /// UTF-8, or ASCII.
    Utf8,
    /// UTF-8 with a byte order mark.
    Utf8WithMark,
    /// UTF-16 with the low byte first, which Windows calls Unicode.
    Utf16Le,
    /// UTF-16 with the high byte first.
    Utf16Be,
    /// Windows-1252, which Windows calls ANSI in Western Europe. Bytes that are not UTF-8 are taken as this.
    Windows1252,
}

impl TextEncoding {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "UTF-8",
            Self::Utf8WithMark => "UTF-8 with a byte order mark",
            Self::Utf16Le => "UTF-16 (little endian)",
            Self::Utf16Be => "UTF-16 (big endian)",
            Self::Windows1252 => "Windows-1252",
        }
    }
}

impl std::fmt::Display for TextEncoding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// How much of a file tells its encoding.
pub(super) const SNIFFED_BYTES: usize = 4096;

/// The first bytes of formats that are no text.
const MAGIC: &[(&[u8], OtherFormat)] = &[
    (b"PK\x03\x04", OtherFormat::Zip),
    (b"PK\x05\x06", OtherFormat::Zip),
    (b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", OtherFormat::Xls),
    (b"\x1F\x8B", OtherFormat::Gzip),
    (b"%PDF-", OtherFormat::Pdf),
    (b"\xFF\xFE\x00\x00", OtherFormat::Utf32),
    (b"\x00\x00\xFE\xFF", OtherFormat::Utf32),
];

const MARKS: &[(&[u8], TextEncoding)] = &[
    (b"\xEF\xBB\xBF", TextEncoding::Utf8WithMark),
    (b"\xFF\xFE", TextEncoding::Utf16Le),
    (b"\xFE\xFF", TextEncoding::Utf16Be),
];

/// The encoding of a text that begins with these bytes, and the length of its byte order mark.
pub(super) fn sniff(start: &[u8]) -> Result<(TextEncoding, usize), OtherFormat> {
    if let Some((_, format)) = MAGIC.iter().find(|(magic, _)| start.starts_with(magic)) {
        return Err(*format);
    }
    if let Some((mark, encoding)) = MARKS.iter().find(|(mark, _)| start.starts_with(mark)) {
        return Ok((*encoding, mark.len()));
    }
    // The header of a table is mostly ASCII, and one byte of each of its characters in UTF-16 is zero.
    let zeros = |odd: usize| start.chunks_exact(2).filter(|pair| pair.get(odd) == Some(&0)).count();
    let (even, odd, third) = (zeros(0), zeros(1), start.len() / 6);
    match (even, odd) {
        (0, 0) => Ok((TextEncoding::Utf8, 0)),
        (0, odd) if odd > third => Ok((TextEncoding::Utf16Le, 0)),
        (even, 0) if even > third => Ok((TextEncoding::Utf16Be, 0)),
        _ => Err(OtherFormat::Binary),
    }
}

/// Bytes that are no text in their encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Undecodable;

/// Decodes a text in pieces.
pub(super) struct TextDecoder {
    encoding: TextEncoding,
    state: State,
}

enum State {
    /// The bytes at the end of the last piece that are a part of a character.
    Utf8 {
        part: Vec<u8>,
        has_letters_beyond_ascii: bool,
    },
    Other(Box<Decoder>),
}

impl TextDecoder {
    pub(super) fn new(encoding: TextEncoding) -> Self {
        let state = match encoding {
            TextEncoding::Utf8 | TextEncoding::Utf8WithMark => {
                State::Utf8 { part: Vec::new(), has_letters_beyond_ascii: false }
            }
            TextEncoding::Utf16Le => State::Other(Box::new(UTF_16LE.new_decoder_without_bom_handling())),
            TextEncoding::Utf16Be => State::Other(Box::new(UTF_16BE.new_decoder_without_bom_handling())),
            TextEncoding::Windows1252 => State::Other(Box::new(WINDOWS_1252.new_decoder_without_bom_handling())),
        };
        Self { encoding, state }
    }

    /// The encoding, as far as the text shows it.
    pub(super) const fn encoding(&self) -> TextEncoding {
        self.encoding
    }

    /// Decodes the next piece, the last one or not, and appends it in UTF-8. What comes before undecodable bytes is appended, too.
    ///
    /// Bytes that are not UTF-8 are Windows-1252 if there has been nothing but ASCII before, because ASCII is the same in both.
    pub(super) fn decode(&mut self, piece: &[u8], is_last: bool, text: &mut Vec<u8>) -> Result<(), Undecodable> {
        match &mut self.state {
            State::Other(decoder) => decode_all(decoder, piece, is_last, text),
            State::Utf8 { part, has_letters_beyond_ascii } => {
                part.extend_from_slice(piece);
                let (valid, is_broken) = match std::str::from_utf8(part) {
                    Ok(_) => (part.len(), false),
                    Err(fault) => (fault.valid_up_to(), is_last || fault.error_len().is_some()),
                };
                let rest = part.split_off(valid);
                *has_letters_beyond_ascii |= !part.is_ascii();
                text.append(part);
                if !is_broken {
                    *part = rest;
                    return Ok(());
                }
                if *has_letters_beyond_ascii || self.encoding == TextEncoding::Utf8WithMark {
                    return Err(Undecodable);
                }
                *self = Self::new(TextEncoding::Windows1252);
                self.decode(&rest, is_last, text)
            }
        }
    }
}

fn decode_all(decoder: &mut Decoder, piece: &[u8], is_last: bool, text: &mut Vec<u8>) -> Result<(), Undecodable> {
    // The longest UTF-8 of a byte of UTF-16 or Windows-1252 has three bytes, and the decoder keeps a character at most.
    let begin = text.len();
    text.resize(begin + piece.len() * 3 + 16, 0);
    let space = text.get_mut(begin..).unwrap_or_default();
    let (result, _, written) = decoder.decode_to_utf8_without_replacement(piece, space, is_last);
    text.truncate(begin + written);
    match result {
        DecoderResult::InputEmpty => Ok(()),
        DecoderResult::OutputFull | DecoderResult::Malformed(..) => Err(Undecodable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes in pieces of this length.
    fn decoded(encoding: TextEncoding, bytes: &[u8], length: usize) -> Result<(String, TextEncoding), Undecodable> {
        let mut decoder = TextDecoder::new(encoding);
        let mut text = Vec::new();
        for piece in bytes.chunks(length) {
            decoder.decode(piece, false, &mut text)?;
        }
        decoder.decode(&[], true, &mut text)?;
        Ok((String::from_utf8(text).expect("UTF-8"), decoder.encoding()))
    }

    fn utf16(text: &str, order: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(order).collect()
    }

    #[test]
    fn the_first_bytes_tell_the_encoding() {
        let le = utf16("Name;Büro", u16::to_le_bytes);
        let be = utf16("Name;Büro", u16::to_be_bytes);
        for (start, expected) in [
            (&b"Name,Serial"[..], (TextEncoding::Utf8, 0)),
            (b"", (TextEncoding::Utf8, 0)),
            (b"\xEF\xBB\xBFName", (TextEncoding::Utf8WithMark, 3)),
            (b"\xFF\xFEN\0", (TextEncoding::Utf16Le, 2)),
            (b"\xFE\xFF\0N", (TextEncoding::Utf16Be, 2)),
            (&le, (TextEncoding::Utf16Le, 0)),
            (&be, (TextEncoding::Utf16Be, 0)),
        ] {
            assert_eq!(sniff(start), Ok(expected), "{start:?}");
        }
        for (start, expected) in [
            (&b"PK\x03\x04\x14\0"[..], OtherFormat::Zip),
            (b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", OtherFormat::Xls),
            (b"\x1F\x8B\x08", OtherFormat::Gzip),
            (b"%PDF-1.7", OtherFormat::Pdf),
            (b"\xFF\xFE\0\0N\0\0\0", OtherFormat::Utf32),
            (b"Name\0\0\0\0", OtherFormat::Binary),
        ] {
            assert_eq!(sniff(start), Err(expected), "{start:?}");
        }
    }

    #[test]
    fn a_text_is_the_same_in_pieces_of_any_length() {
        let text = "Büro,€,\u{1f4bb}\r\n";
        for length in 1..8 {
            let utf8 = decoded(TextEncoding::Utf8, text.as_bytes(), length);
            assert_eq!(utf8, Ok((text.to_owned(), TextEncoding::Utf8)));
            let le = decoded(TextEncoding::Utf16Le, &utf16(text, u16::to_le_bytes), length);
            assert_eq!(le, Ok((text.to_owned(), TextEncoding::Utf16Le)));
            let be = decoded(TextEncoding::Utf16Be, &utf16(text, u16::to_be_bytes), length);
            assert_eq!(be, Ok((text.to_owned(), TextEncoding::Utf16Be)));
            let ansi = decoded(TextEncoding::Utf8, b"B\xFCro,\x80\n", length);
            assert_eq!(ansi, Ok(("Büro,€\n".to_owned(), TextEncoding::Windows1252)));
        }
    }

    #[test]
    fn half_a_character_is_an_error() {
        for length in 1..5 {
            let mut lone = utf16("ab", u16::to_le_bytes);
            lone.extend(0xD83D_u16.to_le_bytes());
            lone.extend(utf16("c", u16::to_le_bytes));
            assert_eq!(decoded(TextEncoding::Utf16Le, &lone, length), Err(Undecodable));
            assert_eq!(decoded(TextEncoding::Utf16Le, b"a\0b", length), Err(Undecodable), "an odd length");
            assert_eq!(
                decoded(TextEncoding::Utf8, "é".as_bytes().repeat(2).split_last().expect("bytes").1, length),
                Err(Undecodable)
            );
            assert_eq!(
                decoded(TextEncoding::Utf8WithMark, b"B\xFCro", length),
                Err(Undecodable),
                "the mark says UTF-8"
            );
        }
    }
}
