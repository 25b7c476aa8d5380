//! Decodes mojibake: text that was read in another encoding than it was written in. A Russian name that passed through a
//! western European console, file or database arrives as `Ëàáîðàòîðèÿ` or `Р›Р°Р±РѕСЂР°С‚РѕСЂРёСЏ`.
//!
//! A decoding is tested in addition to the text, so a wrong guess does no harm.

use encoding_rs::{Encoding, IBM866, WINDOWS_1251, WINDOWS_1252};

/// The encoding it was read in, and the one it was written in: Windows western European, Windows Cyrillic and the Russian
/// console.
const MISTAKES: [(&Encoding, &Encoding); 4] =
    [(WINDOWS_1252, WINDOWS_1251), (IBM866, WINDOWS_1251), (WINDOWS_1251, IBM866), (WINDOWS_1252, IBM866)];

/// The least length of a Russian word. Shorter ones appear by chance in many languages.
const SHORTEST: usize = 5;

/// What the text may have been before it was read in a wrong encoding; empty for ASCII text.
pub(super) fn decodings(text: &str) -> Vec<String> {
    if text.is_ascii() {
        return Vec::new();
    }
    // Bytes are rarely valid UTF-8 by chance, so these decodings need not be Russian.
    let unicode = [WINDOWS_1252, WINDOWS_1251, IBM866].into_iter().filter_map(|read| unicode(&bytes(text, read)?));
    let others = MISTAKES.iter().filter_map(|(read, written)| {
        let meant = written.decode_without_bom_handling(&bytes(text, read)?).0.into_owned();
        is_russian(&meant).then_some(meant)
    });
    unicode.chain(others).collect()
}

/// The bytes from which a reader of this encoding made the text; `None` if it cannot have made it.
fn bytes(text: &str, read: &'static Encoding) -> Option<Vec<u8>> {
    // A Latin-1 reader leaves control codes where Windows-1252 has letters.
    let is_code = |c: char| matches!(c, '\u{80}'..='\u{9f}');
    if read == WINDOWS_1252 && text.contains(is_code) {
        let byte =
            |c: char| u8::try_from(c).ok().or_else(|| encoded(c.encode_utf8(&mut [0; 4]), read)?.first().copied());
        return text.chars().map(byte).collect();
    }
    encoded(text, read)
}

fn encoded(text: &str, read: &'static Encoding) -> Option<Vec<u8>> {
    // For characters that the encoding lacks, `encode` writes numeric references, which nobody has read.
    let (bytes, _, lacks) = read.encode(text);
    (!lacks).then(|| bytes.into_owned())
}

/// The bytes as UTF-8, if they are valid. The last character may be truncated.
fn unicode(bytes: &[u8]) -> Option<String> {
    let valid = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    (!valid.is_ascii()).then(|| valid.to_owned())
}

/// Whether all letters outside of ASCII are Russian or Ukrainian, and some of them form a word.
fn is_russian(text: &str) -> bool {
    let is_letter = |c: char| matches!(c, 'А'..='я' | 'Ё' | 'ё' | 'І' | 'і' | 'Ї' | 'ї' | 'Є' | 'є' | 'Ґ' | 'ґ');
    let is_mark =
        |c: char| c.is_ascii() || matches!(c, '«' | '»' | '“' | '”' | '„' | '\u{a0}' | '–' | '—' | '№' | '®' | '©');
    text.chars().all(|c| is_letter(c) || is_mark(c))
        && text.split(|c| !is_letter(c)).any(|word| word.chars().count() >= SHORTEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_russian_name_is_decoded_from_every_wrong_encoding() {
        let meant = "АО «Лаборатория Касперского»";
        for seen in [
            "ÀÎ «Ëàáîðàòîðèÿ Êàñïåðñêîãî»",
            "РђРћ В«Р›Р°Р±РѕСЂР°С‚РѕСЂРёСЏ РљР°СЃРїРµСЂСЃРєРѕРіРѕВ»",
            "Ð\u{90}Ðž Â«Ð›Ð°Ð±Ð¾Ñ€Ð°Ñ‚Ð¾Ñ€Ð¸Ñ\u{8f} ÐšÐ°Ñ\u{81}Ð¿ÐµÑ€Ñ\u{81}ÐºÐ¾Ð³Ð¾Â»",
        ] {
            assert!(decodings(seen).iter().any(|one| one == meant), "{seen}: {:?}", decodings(seen));
        }
        let (console, meant) = ("╦рсюЁрЄюЁш  ╩рёяхЁёъюую", "Лаборатория Касперского");
        let read = decodings(console);
        assert!(read.iter().any(|one| one.ends_with("Касперского")), "{meant}: {read:?}");
    }

    #[test]
    fn correct_text_has_no_other_decoding() {
        for text in [
            "Kaspersky Lab",
            "Größe",
            "АО «Лаборатория Касперского»",
            "Agent réseau d’administration",
            "カスペルスキー",
            "Übersicht für Äpfel",
        ] {
            assert_eq!(decodings(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn the_last_character_may_be_truncated() {
        assert_eq!(decodings("Р›Р°Р±РѕСЂР°С"), ["Лабора"]);
    }
}
