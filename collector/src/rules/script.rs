//! Confusable letters: in a word with letters of two scripts, those of one are replaced by similar letters of the other.
//! An example is the Cyrillic `К` in `Кaspersky`, typed on the wrong keyboard or chosen to hide the name.

/// Small Cyrillic and Greek letters, with the Latin letters of the same shape as them or their capitals.
const ALIKE: &[(char, char)] = &[
    ('а', 'a'),
    ('в', 'b'),
    ('е', 'e'),
    ('к', 'k'),
    ('м', 'm'),
    ('н', 'h'),
    ('о', 'o'),
    ('р', 'p'),
    ('с', 'c'),
    ('т', 't'),
    ('у', 'y'),
    ('х', 'x'),
    ('ѕ', 's'),
    ('і', 'i'),
    ('ј', 'j'),
    ('һ', 'h'),
    ('ӏ', 'l'),
    ('α', 'a'),
    ('β', 'b'),
    ('ε', 'e'),
    ('ι', 'i'),
    ('κ', 'k'),
    ('μ', 'm'),
    ('ο', 'o'),
    ('ρ', 'p'),
    ('τ', 't'),
    ('υ', 'y'),
    ('χ', 'x'),
];

/// The text with every word in one script, where similar letters make that possible; `None` if no word is mixed. The text
/// must be in lower case.
pub(super) fn in_one_script(text: &str) -> Option<String> {
    let is_mixed = |word: &str| word.contains(|c: char| c.is_ascii_alphabetic()) && word.contains(is_foreign);
    if !words(text).any(is_mixed) {
        return None;
    }
    // Latin comes first, so a word that fits both scripts becomes Latin.
    let settled = |word: &str| if is_mixed(word) { latin(word).or_else(|| russian(word)) } else { None };
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for word in words(text) {
        // `split` gives no positions, but each word is a slice of the text, so addresses give them.
        let at = word.as_ptr() as usize - text.as_ptr() as usize;
        out.push_str(&text[from..at]);
        match settled(word) {
            Some(settled) => out.push_str(&settled),
            None => out.push_str(word),
        }
        from = at + word.len();
    }
    out.push_str(&text[from..]);
    Some(out)
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

/// Greek and Cyrillic.
const fn is_foreign(c: char) -> bool {
    matches!(c, '\u{370}'..='\u{52f}')
}

fn latin(word: &str) -> Option<String> {
    let letter = |c: char| match c {
        _ if !is_foreign(c) => Some(c),
        _ => ALIKE.iter().find(|(foreign, _)| *foreign == c).map(|(_, latin)| *latin),
    };
    word.chars().map(letter).collect()
}

fn russian(word: &str) -> Option<String> {
    let letter = |c: char| match c {
        _ if !c.is_ascii_alphabetic() => Some(c),
        _ => ALIKE.iter().find(|(_, latin)| *latin == c).map(|(foreign, _)| *foreign),
    };
    word.chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_in_two_scripts_becomes_one_in_one_script() {
        let settled = |text: &str| in_one_script(text).unwrap_or_else(|| text.to_owned());
        assert_eq!(settled("кaspersky internet security"), "kaspersky internet security");
        assert_eq!(settled("kаѕреrsку-lаb"), "kaspersky-lab");
        assert_eq!(settled("κaspersky"), "kaspersky");
        assert_eq!(settled("klif.к4w-21-3"), "klif.k4w-21-3");
        assert_eq!(settled("лaбopaтория касперского"), "лаборатория касперского");
        for text in ["kaspersky endpoint security для windows", "ip-адрес", "касперский", "größe"] {
            assert_eq!(settled(text), text);
        }
    }
}
