//! Which passwords are accepted. Pure.
//!
//! A password must be long, and must have something left when everything that lists of leaked passwords have in common is taken
//! out: words that everybody uses, the names of the account and of this program, runs such as `1234` and `qwerty`, and
//! repetitions. The words are our own choice, not a copy of a list.

/// The fewest characters.
pub(crate) const LEAST: usize = 12;
/// The most bytes: hashing takes a password of any length, but nobody types more.
pub(crate) const MOST: usize = 1_024;
/// The fewest characters that must be left, and how many of them must differ.
const LEFT: usize = 5;

/// Why a password is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordFault {
    /// It is too short.
    #[error("the password is too short: it needs at least {LEAST} characters")]
    Short,
    /// It is too long.
    #[error("the password is too long: it may have at most {MOST} bytes")]
    Long,
    /// It has a control character, which no form can send.
    #[error("the password has a control character, such as a tab; leave it out")]
    Control,
    /// It consists of what everybody uses.
    #[error(
        "the password is easy to guess: it consists of common words, the name of the account, runs such as 1234 or repetitions; \
         use several words that have nothing to do with each other"
    )]
    Common,
}

/// Words that are in many passwords.
const WORDS: &str = "password passwort passwd passphrase parole motdepasse contrasena senha wachtwoord pass admin administrator root user \
    username guest login logon welcome willkommen bienvenue letmein changeme default secret geheim test testing temp temporary demo \
    example sample hello hallo hola iloveyou loveyou love lovely sunshine princess dragon monkey football baseball soccer hockey \
    superman batman starwars pokemon master shadow michael jordan jennifer thomas robert daniel charlie andrew jessica ashley \
    summer winter spring autumn sommer herbst january february march april june july august september october november december \
    monday tuesday wednesday thursday friday saturday sunday company firma office server service computer internet microsoft \
    windows google apple linux kaspersky muster collector security trustno access freedom whatever forever correcthorsebatterystaple \
    correct horse battery staple";

/// Neighbours on keyboards and in alphabets; a part of three or more of them, in either direction, is a run.
const RUNS: [&str; 8] = [
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890",
    "qwertyuiop",
    "qwertzuiop",
    "asdfghjkl",
    "zxcvbnm",
    "yxcvbnm",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm",
];

/// Refuses a password that is easy to guess. `account` is the name of its account.
///
/// # Errors
/// Why it is refused.
pub(crate) fn check(password: &str, account: &str) -> Result<(), PasswordFault> {
    if password.len() > MOST {
        return Err(PasswordFault::Long);
    }
    if password.chars().count() < LEAST {
        return Err(PasswordFault::Short);
    }
    if password.chars().any(char::is_control) {
        return Err(PasswordFault::Control);
    }
    let left = without_runs(&without_words(&password.to_lowercase(), account));
    // The digits of `p4ssw0rd` stand for letters, those of `2026` do not, so both readings must have something left.
    let as_letters = without_runs(&without_words(&letters(&password.to_lowercase()), account));
    if is_enough(&left) && is_enough(&as_letters) { Ok(()) } else { Err(PasswordFault::Common) }
}

/// Whether enough is left that differs.
fn is_enough(left: &str) -> bool {
    let mut letters: Vec<char> = left.chars().filter(|letter| letter.is_alphanumeric()).collect();
    let count = letters.len();
    letters.sort_unstable();
    letters.dedup();
    count >= LEFT && letters.len() >= LEFT
}

/// Letters for the digits and signs that people write for them.
fn letters(text: &str) -> String {
    let letter = |letter: char| match letter {
        '0' => 'o',
        '1' | '!' | '|' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        other => other,
    };
    text.chars().map(letter).collect()
}

/// The text without common words and the name of the account, the longest ones first.
fn without_words(text: &str, account: &str) -> String {
    let account = account.to_lowercase();
    let names = account.split(['.', '-', '_']).filter(|part| part.len() >= 3);
    let mut words: Vec<&str> = WORDS.split_whitespace().chain(std::iter::once(account.as_str())).chain(names).collect();
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    // What is taken out leaves a gap, so that its neighbours do not become another word.
    words.iter().filter(|word| !word.is_empty()).fold(text.to_owned(), |text, word| text.replace(word, " "))
}

/// The text without runs and repetitions of characters.
fn without_runs(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let mut left = String::new();
    let mut at = 0;
    while let Some(letter) = letters.get(at) {
        let length = run(letters.get(at..).unwrap_or_default());
        if length >= 3 {
            left.push(' ');
            at += length;
        } else {
            left.push(*letter);
            at += 1;
        }
    }
    left
}

/// How many of the first characters are a run, or the same character.
fn run(letters: &[char]) -> usize {
    let same = letters.iter().take_while(|letter| Some(*letter) == letters.first()).count();
    let along = |row: &str| {
        let starts = row.char_indices().map(|(start, _)| row.get(start..).unwrap_or_default());
        let shared = |rest: &str| rest.chars().zip(letters).take_while(|(a, b)| a == *b).count();
        starts.map(shared).max().unwrap_or_default()
    };
    let backwards = |row: &str| along(&row.chars().rev().collect::<String>());
    RUNS.iter().map(|row| along(row).max(backwards(row))).max().unwrap_or_default().max(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_odd_passwords_are_accepted() {
        for password in [
            "velvet cactus orbit",
            "Zq8#kT2!mWx5",
            "мой дом у реки",
            "tea-kettle-fjord",
            "12 jugglers ate my lunch",
            "adas plum tractor",
        ] {
            assert_eq!(check(password, "ada"), Ok(()), "{password}");
        }
    }

    #[test]
    fn short_long_and_unsendable_ones_are_refused_with_the_bound() {
        assert_eq!(check("Zq8#kT2!mWx", "ada"), Err(PasswordFault::Short));
        assert_eq!(check(&"a".repeat(1_025), "ada"), Err(PasswordFault::Long));
        assert_eq!(check("velvet\tcactus orbit", "ada"), Err(PasswordFault::Control));
        assert!(PasswordFault::Short.to_string().contains("12 characters"));
        assert!(PasswordFault::Long.to_string().contains("1024 bytes"));
    }

    #[test]
    fn what_everybody_uses_is_refused() {
        for password in [
            "password1234",
            "P4ssw0rd2026!",
            "Pa$$w0rd!!!!!",
            "administrator",
            "qwertyuiop12",
            "123456789012",
            "987654321098",
            "aaaaaaaaaaaa",
            "abcabcabcabc",
            "welcome-welcome",
            "Summer2026!!",
            "1qaz2wsx3edc",
            "correct horse battery staple",
            "xyxyxyxyxyxy",
            "letmein letmein",
            "muster-admin-2026",
        ] {
            assert_eq!(check(password, "ada"), Err(PasswordFault::Common), "{password}");
        }
        assert_eq!(check("ada.lovelace-2026", "ada.lovelace"), Err(PasswordFault::Common));
        assert_eq!(check("Lovelace2026!", "ada.lovelace"), Err(PasswordFault::Common));
    }
}
