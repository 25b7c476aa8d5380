//! A small lexer for Rust: words and signs, without comments and without the text of literals.

/// A word or a sign of the source text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lexeme {
    /// An identifier or keyword.
    Word(String),
    /// `::` is one sign; every other sign is one character.
    Sign(&'static str),
    /// A literal, or a sign that the checks do not need.
    Other,
}

impl Lexeme {
    pub(super) fn is(&self, text: &str) -> bool {
        match self {
            Self::Word(word) => word == text,
            Self::Sign(sign) => *sign == text,
            Self::Other => false,
        }
    }
}

const SIGNS: [&str; 11] = ["{", "}", "(", ")", "[", "]", ",", ";", "*", "#", "!"];

/// The lexemes of a source text.
pub(super) fn lexemes(text: &str) -> Vec<Lexeme> {
    let mut lexemes = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let first = rest.chars().next().unwrap_or(' ');
        if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
        } else if rest.starts_with("/*") {
            at += block_comment(rest);
        } else if let Some(length) = string(rest) {
            lexemes.push(Lexeme::Other);
            at += length;
        } else if first == '\'' {
            at += quote(rest);
        } else if first.is_alphanumeric() || first == '_' {
            let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            lexemes.push(Lexeme::Word(rest[..length].to_owned()));
            at += length;
        } else if rest.starts_with("::") {
            lexemes.push(Lexeme::Sign("::"));
            at += 2;
        } else {
            if !first.is_whitespace() {
                lexemes.push(
                    SIGNS.iter().find(|sign| rest.starts_with(**sign)).map_or(Lexeme::Other, |s| Lexeme::Sign(s)),
                );
            }
            at += first.len_utf8();
        }
    }
    lexemes
}

/// Length of a block comment with the comments nested in it.
fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// Length of the string literal that begins here: plain, raw, byte or C string.
fn string(rest: &str) -> Option<usize> {
    let body = rest.trim_start_matches(['b', 'c']);
    let prefix = rest.len() - body.len();
    if prefix > 1 {
        return None;
    }
    if let Some(raw) = body.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let opened = raw[hashes..].strip_prefix('"')?;
        let end = format!("\"{}", "#".repeat(hashes));
        let length = opened.find(&end).map_or(opened.len(), |found| found + end.len());
        return Some(prefix + 1 + hashes + 1 + length);
    }
    let opened = body.strip_prefix('"')?;
    let mut escaped = false;
    for (index, byte) in opened.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(prefix + 1 + index + 1),
            _ => {}
        }
    }
    Some(rest.len())
}

/// Length of a character literal, or of the quote before a lifetime.
fn quote(rest: &str) -> usize {
    let mut characters = rest.char_indices().skip(1);
    match characters.next() {
        Some((_, '\\')) => rest[3..].find('\'').map_or(1, |end| 3 + end + 1),
        Some((_, _)) => match characters.next() {
            Some((end, '\'')) => end + 1,
            _ => 1,
        },
        None => 1,
    }
}

/// The names in `cfg`, `cfg!` and `cfg_attr` conditions that ask for the operating system.
pub(super) fn asked_systems(text: &str) -> Vec<String> {
    let lexemes = lexemes(text);
    let mut asked = Vec::new();
    for (at, lexeme) in lexemes.iter().enumerate() {
        if !(lexeme.is("cfg") || lexeme.is("cfg_attr") || lexeme.is("cfg_select")) {
            continue;
        }
        let mut depth = 0;
        for inner in lexemes[at + 1..].iter().skip_while(|l| l.is("!")) {
            match inner {
                Lexeme::Sign("(" | "{") => depth += 1,
                Lexeme::Sign(")" | "}") => depth -= 1,
                Lexeme::Word(word) if ["target_os", "target_family", "unix", "windows"].contains(&word.as_str()) => {
                    asked.push(word.clone());
                }
                Lexeme::Word(_) | Lexeme::Sign(_) | Lexeme::Other => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    asked
}
