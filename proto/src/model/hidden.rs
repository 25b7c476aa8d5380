//! Characters that nobody sees: controls, which a terminal runs as commands; bidirectional controls, which show a name in
//! another order; and characters without a shape, which make two different names look alike.

/// First and last of each range of hidden characters, sorted: General_Category Cc, Cf, Zl and Zp, and
/// Default_Ignorable_Code_Point, of Unicode 16. A test compares the table with the Unicode data of `regex-syntax`.
const HIDDEN: &[(u32, u32)] = &[
    (0x0000, 0x001f),   // controls
    (0x007f, 0x009f),   // delete, C1 controls
    (0x00ad, 0x00ad),   // soft hyphen
    (0x034f, 0x034f),   // combining grapheme joiner
    (0x0600, 0x0605),   // Arabic number signs
    (0x061c, 0x061c),   // Arabic letter mark
    (0x06dd, 0x06dd),   // Arabic end of ayah
    (0x070f, 0x070f),   // Syriac abbreviation mark
    (0x0890, 0x0891),   // Arabic currency marks
    (0x08e2, 0x08e2),   // Arabic disputed end of ayah
    (0x115f, 0x1160),   // Hangul fillers
    (0x17b4, 0x17b5),   // Khmer inherent vowels
    (0x180b, 0x180f),   // Mongolian variation selectors
    (0x200b, 0x200f),   // zero width space, joiners, direction marks
    (0x2028, 0x202e),   // line and paragraph separators, bidirectional embeddings and overrides
    (0x2060, 0x206f),   // word joiner, invisible operators, bidirectional isolates
    (0x3164, 0x3164),   // Hangul filler
    (0xfe00, 0xfe0f),   // variation selectors
    (0xfeff, 0xfeff),   // byte order mark
    (0xffa0, 0xffa0),   // half width Hangul filler
    (0xfff0, 0xfffb),   // reserved, interlinear annotations
    (0x110bd, 0x110bd), // Kaithi number sign
    (0x110cd, 0x110cd), // Kaithi number sign above
    (0x13430, 0x1343f), // Egyptian hieroglyph format controls
    (0x1bca0, 0x1bca3), // shorthand format controls
    (0x1d173, 0x1d17a), // musical format controls
    (0xe0000, 0xe0fff), // tags, variation selectors
];

/// Whether a character has no shape of its own or changes how others are shown.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    let code = u32::from(c);
    let after = HIDDEN.partition_point(|(first, _)| *first <= code);
    after > 0 && code <= HIDDEN[after - 1].1
}
