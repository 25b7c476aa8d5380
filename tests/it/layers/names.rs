//! What a file declares and which names it uses: its child modules, its imports with their aliases, and the paths in
//! its code. Items under `#[cfg(test)]` are left out, because a test may use everything.

use super::lexer::{Lexeme, lexemes};

/// One name that a `use` declaration brings into a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Import {
    /// The path as written, for example `super`, `row`, `HostRow`.
    pub(super) path: Vec<String>,
    /// The name in this file; `None` for a glob.
    pub(super) name: Option<String>,
    /// Inline modules around the declaration. Each takes one `super` of the path.
    pub(super) depth: usize,
    /// Whether it passes the name on: `pub use`, `pub(crate) use`.
    pub(super) is_passed_on: bool,
}

/// The names of one file.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Modules that are declared with `mod name;`.
    pub(super) children: Vec<String>,
    /// All imports, in the order of the file.
    pub(super) imports: Vec<Import>,
    /// Paths in the code outside of `use`, each with the number of inline modules around it.
    pub(super) paths: Vec<(Vec<String>, usize)>,
    /// Items that the file defines itself.
    pub(super) items: Vec<String>,
}

const ITEM_KEYWORDS: [&str; 9] = ["struct", "enum", "union", "trait", "fn", "type", "const", "static", "macro_rules"];

/// Reads the names of a source text.
pub(super) fn names(text: &str) -> Names {
    let lexemes = without_tests(&lexemes(text));
    let mut names = Names::default();
    let mut inline_modules: Vec<usize> = Vec::new();
    let mut braces = 0_usize;
    let mut at = 0;
    while let Some(lexeme) = lexemes.get(at) {
        let next = lexemes.get(at + 1);
        match lexeme {
            Lexeme::Sign("{") => braces += 1,
            Lexeme::Sign("}") => {
                braces = braces.saturating_sub(1);
                inline_modules.retain(|opened| *opened <= braces);
            }
            Lexeme::Word(word) if word == "mod" => match (next, lexemes.get(at + 2)) {
                (Some(Lexeme::Word(child)), Some(Lexeme::Sign(";"))) => names.children.push(child.clone()),
                (Some(_), Some(Lexeme::Sign("{"))) => inline_modules.push(braces + 1),
                _ => {}
            },
            Lexeme::Word(word) if word == "use" => {
                let before = at.checked_sub(1).and_then(|before| lexemes.get(before));
                let is_passed_on = before.is_some_and(|before| before.is("pub") || before.is(")"));
                at += 1;
                let mut found = Vec::new();
                use_tree(&lexemes, &mut at, &mut Vec::new(), &mut found);
                names.imports.extend(found.into_iter().map(|(path, name)| Import {
                    path,
                    name,
                    depth: inline_modules.len(),
                    is_passed_on,
                }));
                continue;
            }
            Lexeme::Word(word) => {
                if ITEM_KEYWORDS.contains(&word.as_str()) {
                    let name = lexemes[at + 1..].iter().find(|lexeme| matches!(lexeme, Lexeme::Word(_)));
                    names.items.extend(name.and_then(word_of));
                }
                if next.is_some_and(|next| next.is("::")) {
                    let path = plain_path(&lexemes, &mut at);
                    names.paths.push((path, inline_modules.len()));
                    continue;
                }
            }
            Lexeme::Sign(_) | Lexeme::Other => {}
        }
        at += 1;
    }
    names
}

fn word_of(lexeme: &Lexeme) -> Option<String> {
    match lexeme {
        Lexeme::Word(word) => Some(word.clone()),
        Lexeme::Sign(_) | Lexeme::Other => None,
    }
}

/// `a::b::c` from its first word; `at` ends behind it.
fn plain_path(lexemes: &[Lexeme], at: &mut usize) -> Vec<String> {
    let mut path = Vec::new();
    while let Some(word) = lexemes.get(*at).and_then(word_of) {
        path.push(word);
        *at += 1;
        if !lexemes.get(*at).is_some_and(|lexeme| lexeme.is("::")) {
            break;
        }
        *at += 1;
    }
    path
}

/// One branch of a `use` tree: its full paths and the names that they get.
fn use_tree(
    lexemes: &[Lexeme],
    at: &mut usize,
    prefix: &mut Vec<String>,
    found: &mut Vec<(Vec<String>, Option<String>)>,
) {
    let before = prefix.len();
    loop {
        match lexemes.get(*at) {
            Some(Lexeme::Sign("{")) => {
                *at += 1;
                while let Some(lexeme) = lexemes.get(*at) {
                    match lexeme {
                        Lexeme::Sign("}") => break,
                        Lexeme::Sign(",") => *at += 1,
                        Lexeme::Word(_) | Lexeme::Sign(_) | Lexeme::Other => use_tree(lexemes, at, prefix, found),
                    }
                }
                *at += 1;
                break;
            }
            Some(Lexeme::Sign("*")) => {
                *at += 1;
                found.push((prefix.clone(), None));
                break;
            }
            Some(Lexeme::Word(word)) => {
                *at += 1;
                // `self` in braces is the path before them.
                if word != "self" || prefix.is_empty() {
                    prefix.push(word.clone());
                }
                if lexemes.get(*at).is_some_and(|lexeme| lexeme.is("::")) {
                    *at += 1;
                    continue;
                }
                let mut name = prefix.last().cloned();
                if lexemes.get(*at).is_some_and(|lexeme| lexeme.is("as")) {
                    name = lexemes.get(*at + 1).and_then(word_of);
                    *at += 2;
                }
                found.push((prefix.clone(), name));
                break;
            }
            // A leading `::`, or the end of something that is no `use` declaration.
            Some(Lexeme::Sign(_) | Lexeme::Other) => {
                *at += 1;
                break;
            }
            None => break,
        }
    }
    prefix.truncate(before);
}

/// The lexemes without the items under `#[cfg(test)]`.
fn without_tests(lexemes: &[Lexeme]) -> Vec<Lexeme> {
    let mark = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut rest = Vec::with_capacity(lexemes.len());
    let mut at = 0;
    while at < lexemes.len() {
        let is_mark = mark.iter().enumerate().all(|(n, sign)| lexemes.get(at + n).is_some_and(|l| l.is(sign)));
        if is_mark {
            at = end_of_item(lexemes, at + mark.len());
        } else {
            rest.push(lexemes[at].clone());
            at += 1;
        }
    }
    rest
}

/// Where the item that begins at `at` ends: behind its `;` or its last `}`.
fn end_of_item(lexemes: &[Lexeme], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while let Some(lexeme) = lexemes.get(at) {
        match lexeme {
            Lexeme::Sign("{" | "(" | "[") => depth += 1,
            Lexeme::Sign(")" | "]") => depth = depth.saturating_sub(1),
            Lexeme::Sign("}") if depth <= 1 => return at + usize::from(depth == 1),
            Lexeme::Sign("}") => depth -= 1,
            Lexeme::Sign(";") if depth == 0 => return at + 1,
            Lexeme::Word(_) | Lexeme::Sign(_) | Lexeme::Other => {}
        }
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn imports_have_their_whole_path_and_their_alias() {
        let found = names("use super::{row::{self, HostRow as Row}, memory}; pub use child::*;");
        let all: Vec<_> =
            found.imports.iter().map(|i| (i.path.join("::"), i.name.clone().unwrap_or_default())).collect();
        let expected =
            [("super::row", "row"), ("super::row::HostRow", "Row"), ("super::memory", "memory"), ("child", "")];
        assert_eq!(all, expected.map(|(path, name)| (path.to_owned(), name.to_owned())));
    }

    #[test]
    fn only_a_public_import_is_passed_on() {
        let found = names("pub use a::A; pub(crate) use b::B; use c::C;");
        assert_eq!(found.imports.iter().map(|import| import.is_passed_on).collect::<Vec<_>>(), [true, true, false]);
    }

    #[test]
    fn what_only_tests_use_is_left_out() {
        let found =
            names("#[cfg(test)] use crate::a::B; #[cfg(test)] mod tests { use crate::c; } mod d; fn f() { d::g() }");
        assert!(found.imports.is_empty(), "{:?}", found.imports);
        assert_eq!(found.children, ["d"]);
        assert_eq!(found.paths, [(vec!["d".to_owned(), "g".to_owned()], 0)]);
    }
}
