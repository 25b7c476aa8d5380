//! What a text says whose bytes were read in another encoding than they were written in: a Russian name that went through a
//! console, a file or a database of western Europe comes as `Ëàáîðàòîðèÿ` or `Р›Р°Р±РѕСЂР°С‚РѕСЂРёСЏ`.
//!
//! A reading is one more text that is tested and takes the place of none, so a guess that is wrong says nothing.

/// A way to write a letter as one byte, from 0x80 on. Below it all are ASCII.
type Page = &'static str;

/// Windows of western Europe.
const WESTERN: &str = "\
    €\u{81}‚ƒ„…†‡ˆ‰Š‹Œ\u{8d}Ž\u{8f}\u{90}‘’“”•–—˜™š›œ\u{9d}žŸ\
    \u{a0}¡¢£¤¥¦§¨©ª«¬\u{ad}®¯°±²³´µ¶·¸¹º»¼½¾¿\
    ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖ×ØÙÚÛÜÝÞß\
    àáâãäåæçèéêëìíîïðñòóôõö÷øùúûüýþÿ";

/// Windows of Russia.
const CYRILLIC: &str = "\
    ЂЃ‚ѓ„…†‡€‰Љ‹ЊЌЋЏђ‘’“”•–—\u{98}™љ›њќћџ\
    \u{a0}ЎўЈ¤Ґ¦§Ё©Є«¬\u{ad}®Ї°±Ііґµ¶·ё№є»јЅѕї\
    АБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯ\
    абвгдежзийклмнопрстуфхцчшщъыьэюя";

/// The console of Russia.
const CONSOLE: &str = "\
    АБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯ\
    абвгдежзийклмноп░▒▓│┤╡╢╖╕╣║╗╝╜╛┐\
    └┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀\
    рстуфхцчшщъыьэюяЁёЄєЇїЎў°∙·√№¤■\u{a0}";

/// How it was read, and how it was written.
const MISTAKES: &[(Page, Page)] = &[(WESTERN, CYRILLIC), (CONSOLE, CYRILLIC), (CYRILLIC, CONSOLE), (WESTERN, CONSOLE)];

/// A shorter word may be one of many languages.
const SHORTEST: usize = 5;

/// What the text may have said before its bytes were misread; nothing of a text that is ASCII.
pub(super) fn readings(text: &str) -> Vec<String> {
    if text.is_ascii() {
        return Vec::new();
    }
    let unicode = [WESTERN, CYRILLIC, CONSOLE].into_iter().filter_map(|page| unicode(&bytes(text, page)?));
    let pages = MISTAKES.iter().filter_map(|(read, written)| {
        let meant: String = bytes(text, read)?.into_iter().map(|byte| letter(byte, written)).collect();
        is_russian(&meant).then_some(meant)
    });
    unicode.chain(pages).collect()
}

/// The bytes of which a reader made this text; `None` where it cannot have made it.
fn bytes(text: &str, page: Page) -> Option<Vec<u8>> {
    let byte = |c: char| match u8::try_from(c) {
        Ok(byte) if byte.is_ascii() => Some(byte),
        // What no letter stands for, and all of these in a reader that knows Latin-1 only.
        Ok(byte @ 0x80..=0x9f) if page == WESTERN => Some(byte),
        _ => page.chars().position(|letter| letter == c).and_then(|at| u8::try_from(0x80 + at).ok()),
    };
    text.chars().map(byte).collect()
}

fn letter(byte: u8, page: Page) -> char {
    let letter = byte.checked_sub(0x80).and_then(|at| page.chars().nth(usize::from(at)));
    letter.unwrap_or(char::from(byte))
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

    #[test]
    fn a_page_has_a_letter_for_each_byte() {
        for page in [WESTERN, CYRILLIC, CONSOLE] {
            assert_eq!(page.chars().count(), 0x80);
        }
    }
}
