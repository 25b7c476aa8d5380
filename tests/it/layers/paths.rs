//! The modules that a source file uses: its paths, resolved from `crate::`, `super::` and `use` trees.

use super::lexer::{Lexeme, lexemes};

/// Modules of the same crate that the file at `path` uses, as paths like `collector/src/store/sqlite`.
pub(super) fn inside(path: &str, text: &str) -> Vec<String> {
    let Some((krate, module)) = path.trim_end_matches(".rs").split_once("/src/") else { return Vec::new() };
    let module: Vec<&str> = module.split('/').collect();
    let lexemes = lexemes(text);
    let mut found = Vec::new();
    // Each inline module (mostly `tests`) takes one `super`.
    let mut depth = Vec::new();
    let mut braces = 0_usize;
    for at in 0..lexemes.len() {
        match &lexemes[at] {
            Lexeme::Sign("{") => braces += 1,
            Lexeme::Sign("}") => {
                braces = braces.saturating_sub(1);
                depth.retain(|opened| *opened < braces + 1);
            }
            token if token.is("mod") && lexemes.get(at + 2).is_some_and(|t| t.is("{")) => depth.push(braces + 1),
            token if starts_path(&lexemes, at) && token.is("crate") => {
                found.extend(tree(&lexemes, at + 1).iter().map(|rest| format!("{krate}/src/{}", rest.join("/"))));
            }
            token if starts_path(&lexemes, at) && token.is("super") => {
                let supers = count_supers(&lexemes, at);
                let up = supers.saturating_sub(depth.len());
                let base = &module[..module.len().saturating_sub(up)];
                for rest in tree(&lexemes, at + supers * 2 - 1) {
                    let full: Vec<&str> = base.iter().copied().chain(rest.iter().map(String::as_str)).collect();
                    found.push(format!("{krate}/src/{}", full.join("/")));
                }
            }
            Lexeme::Word(_) | Lexeme::Sign(_) | Lexeme::Other => {}
        }
    }
    found
}

/// Paths that begin with a name (another crate, a type), without that name.
pub(super) fn below(text: &str, name: &str) -> Vec<String> {
    let lexemes = lexemes(text);
    let goes_on = |at: usize| lexemes.get(at + 1).is_some_and(|next| next.is("::"));
    let starts = (0..lexemes.len()).filter(|at| lexemes[*at].is(name) && goes_on(*at));
    starts.flat_map(|at| tree(&lexemes, at + 1)).map(|path| path.join("/")).collect()
}

fn starts_path(lexemes: &[Lexeme], at: usize) -> bool {
    let follows = at > 1 && lexemes[at - 1].is("::") && matches!(&lexemes[at - 2], Lexeme::Word(_));
    !follows && lexemes.get(at + 1).is_some_and(|next| next.is("::"))
}

fn count_supers(lexemes: &[Lexeme], at: usize) -> usize {
    (0..).take_while(|n| lexemes.get(at + 2 * n).is_some_and(|t| t.is("super"))).count()
}

/// All paths of the `use` tree that continues at `at`, which is a `::` or the end of the path.
fn tree(lexemes: &[Lexeme], at: usize) -> Vec<Vec<String>> {
    let mut read = at;
    branch(lexemes, &mut read)
}

fn branch(lexemes: &[Lexeme], at: &mut usize) -> Vec<Vec<String>> {
    if !lexemes.get(*at).is_some_and(|token| token.is("::")) {
        return vec![Vec::new()];
    }
    *at += 1;
    match lexemes.get(*at) {
        Some(Lexeme::Sign("{")) => {
            *at += 1;
            let mut all = Vec::new();
            while let Some(token) = lexemes.get(*at) {
                match token {
                    Lexeme::Sign("}") => {
                        *at += 1;
                        break;
                    }
                    Lexeme::Word(word) => {
                        *at += 1;
                        all.extend(branch(lexemes, at).into_iter().map(|rest| prefixed(word, rest)));
                        skip_alias(lexemes, at);
                    }
                    Lexeme::Sign(_) | Lexeme::Other => *at += 1,
                }
            }
            all
        }
        Some(Lexeme::Word(word)) => {
            *at += 1;
            branch(lexemes, at).into_iter().map(|rest| prefixed(word, rest)).collect()
        }
        _ => vec![Vec::new()],
    }
}

fn prefixed(word: &str, rest: Vec<String>) -> Vec<String> {
    std::iter::once(word.to_owned()).chain(rest).collect()
}

fn skip_alias(lexemes: &[Lexeme], at: &mut usize) {
    if lexemes.get(*at).is_some_and(|token| token.is("as")) {
        *at += 2;
    }
}
