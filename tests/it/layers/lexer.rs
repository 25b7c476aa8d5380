//! Rust source as words and signs, without comments and the insides of strings: as much of a lexer as the house needs.

/// A word or a sign of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lexeme {
    /// An identifier or keyword.
    Word(String),
    /// `::` as one, every other sign alone.
    Sign(&'static str),
    /// A sign without meaning for the house, or a literal.
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

/// The tokens of a source text.
pub(super) fn lexer(text: &str) -> Vec<Lexeme> {
    let bytes = text.as_bytes();
    let mut lexer = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text[at..];
        let first = rest.chars().next().unwrap_or(' ');
        if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
        } else if rest.starts_with("/*") {
            at += block_comment(rest);
        } else if let Some(length) = string(rest) {
            lexer.push(Lexeme::Other);
            at += length;
        } else if first == '\'' {
            at += quote(rest);
        } else if first.is_alphanumeric() || first == '_' {
            let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            lexer.push(Lexeme::Word(rest[..length].to_owned()));
            at += length;
        } else if rest.starts_with("::") {
            lexer.push(Lexeme::Sign("::"));
            at += 2;
        } else {
            if !first.is_whitespace() {
                lexer.push(
                    SIGNS.iter().find(|sign| rest.starts_with(**sign)).map_or(Lexeme::Other, |s| Lexeme::Sign(s)),
                );
            }
            at += first.len_utf8();
        }
    }
    lexer
}

/// Length of a block comment, nested ones included.
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

/// Length of the string literal that begins here: plain, raw, byte or C.
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

/// Length of a character literal or of the quote of a lifetime.
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

/// Every condition of a `cfg`, `cfg!` or `cfg_attr` that asks for the operating system.
pub(super) fn asked_systems(text: &str) -> Vec<String> {
    let lexer = lexer(text);
    let mut asked = Vec::new();
    for (at, token) in lexer.iter().enumerate() {
        if !(token.is("cfg") || token.is("cfg_attr") || token.is("cfg_select")) {
            continue;
        }
        let mut depth = 0;
        for inner in lexer[at + 1..].iter().skip_while(|t| t.is("!")) {
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
