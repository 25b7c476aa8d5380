//! What a text says whose bytes were read in another encoding than they were written in: a Russian name that went through a
//! console, a file or a database of western Europe comes as `Ëàáîðàòîðèÿ` or `Р›Р°Р±РѕСЂР°С‚РѕСЂРёСЏ`.
//!
//! A reading is one more text that is tested and takes the place of none, so a guess that is wrong says nothing.

use encoding_rs::{Encoding, IBM866, WINDOWS_1251, WINDOWS_1252};

/// How it was read, and how it was written: windows of western Europe and of Russia, and the console of Russia.
const MISTAKES: [(&Encoding, &Encoding); 4] =
    [(WINDOWS_1252, WINDOWS_1251), (IBM866, WINDOWS_1251), (WINDOWS_1251, IBM866), (WINDOWS_1252, IBM866)];

/// A shorter word may be one of many languages.
const SHORTEST: usize = 5;

/// What the text may have said before its bytes were misread; nothing of a text that is ASCII.
pub(super) fn readings(text: &str) -> Vec<String> {
    if text.is_ascii() {
        return Vec::new();
    }
    let unicode = [WINDOWS_1252, WINDOWS_1251, IBM866].into_iter().filter_map(|read| unicode(&bytes(text, read)?));
    let others = MISTAKES.iter().filter_map(|(read, written)| {
        let meant = written.decode_without_bom_handling(&bytes(text, read)?).0.into_owned();
        is_russian(&meant).then_some(meant)
    });
    unicode.chain(others).collect()
}

/// The bytes of which a reader made this text; `None` where it cannot have made it.
fn bytes(text: &str, read: &'static Encoding) -> Option<Vec<u8>> {
    // A reader that knows Latin-1 only leaves codes where Windows has letters.
    let is_code = |c: char| matches!(c, '\u{80}'..='\u{9f}');
    if read == WINDOWS_1252 && text.contains(is_code) {
        let byte =
            |c: char| u8::try_from(c).ok().or_else(|| encoded(c.encode_utf8(&mut [0; 4]), read)?.first().copied());
        return text.chars().map(byte).collect();
    }
    encoded(text, read)
}

fn encoded(text: &str, read: &'static Encoding) -> Option<Vec<u8>> {
    let (bytes, _, lacks) = read.encode(text);
    (!lacks).then(|| bytes.into_owned())
}

/// UTF-8, if it is that. The end may be cut within a letter.
fn unicode(bytes: &[u8]) -> Option<String> {
    let valid = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    (!valid.is_ascii()).then(|| valid.to_owned())
}

/// Whether all of its letters beyond ASCII are Russian or Ukrainian, and some of them are a word.
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
    fn a_russian_name_is_read_again_whatever_it_was_taken_for() {
        let meant = "АО «Лаборатория Касперского»";
        for seen in [
            "ÀÎ «Ëàáîðàòîðèÿ Êàñïåðñêîãî»",
            "РђРћ В«Р›Р°Р±РѕСЂР°С‚РѕСЂРёСЏ РљР°СЃРїРµСЂСЃРєРѕРіРѕВ»",
            "Ð\u{90}Ðž Â«Ð›Ð°Ð±Ð¾Ñ€Ð°Ñ‚Ð¾Ñ€Ð¸Ñ\u{8f} ÐšÐ°Ñ\u{81}Ð¿ÐµÑ€Ñ\u{81}ÐºÐ¾Ð³Ð¾Â»",
        ] {
            assert!(readings(seen).iter().any(|one| one == meant), "{seen}: {:?}", readings(seen));
        }
        let (console, meant) = ("╦рсюЁрЄюЁш  ╩рёяхЁёъюую", "Лаборатория Касперского");
        let read = readings(console);
        assert!(read.iter().any(|one| one.ends_with("Касперского")), "{meant}: {read:?}");
    }

    #[test]
    fn what_was_read_rightly_has_no_other_reading() {
        for text in [
            "Kaspersky Lab",
            "Größe",
            "АО «Лаборатория Касперского»",
            "Agent réseau d’administration",
            "カスペルスキー",
            "Übersicht für Äpfel",
        ] {
            assert_eq!(readings(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn the_end_may_be_cut_within_a_letter() {
        assert_eq!(readings("Р›Р°Р±РѕСЂР°С"), ["Лабора"]);
    }
}
