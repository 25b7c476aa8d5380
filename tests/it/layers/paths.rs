//! Which other modules a source file uses: the paths in it, resolved from `crate::`, `super::` and `use` trees.

use super::lexer::{Lexeme, lexer};

/// Modules of the same crate that the file at `path` names, as places like `collector/src/store/sqlite`.
pub(super) fn inside(path: &str, text: &str) -> Vec<String> {
    let Some((krate, module)) = path.trim_end_matches(".rs").split_once("/src/") else { return Vec::new() };
    let module: Vec<&str> = module.split('/').collect();
    let lexer = lexer(text);
    let mut found = Vec::new();
    // Modules inside the file (tests, mostly) add a level for `super`.
    let mut depth = Vec::new();
    let mut braces = 0_usize;
    for at in 0..lexer.len() {
        match &lexer[at] {
            Lexeme::Sign("{") => braces += 1,
            Lexeme::Sign("}") => {
                braces = braces.saturating_sub(1);
                depth.retain(|opened| *opened < braces + 1);
            }
            token if token.is("mod") && lexer.get(at + 2).is_some_and(|t| t.is("{")) => depth.push(braces + 1),
            token if starts_path(&lexer, at) && token.is("crate") => {
                found.extend(tree(&lexer, at + 1).iter().map(|rest| format!("{krate}/src/{}", rest.join("/"))));
            }
            token if starts_path(&lexer, at) && token.is("super") => {
                let supers = count_supers(&lexer, at);
                let up = supers.saturating_sub(depth.len());
                let base = &module[..module.len().saturating_sub(up)];
                for rest in tree(&lexer, at + supers * 2 - 1) {
                    let full: Vec<&str> = base.iter().copied().chain(rest.iter().map(String::as_str)).collect();
                    found.push(format!("{krate}/src/{}", full.join("/")));
                }
            }
            Lexeme::Word(_) | Lexeme::Sign(_) | Lexeme::Other => {}
        }
    }
    found
}

/// Paths below a name (another crate, a type) that the text uses, without the name.
pub(super) fn below(text: &str, name: &str) -> Vec<String> {
    let lexer = lexer(text);
    let goes_on = |at: usize| lexer.get(at + 1).is_some_and(|next| next.is("::"));
    let starts = (0..lexer.len()).filter(|at| lexer[*at].is(name) && goes_on(*at));
    starts.flat_map(|at| tree(&lexer, at + 1)).map(|path| path.join("/")).collect()
}

fn starts_path(lexer: &[Lexeme], at: usize) -> bool {
    let follows = at > 1 && lexer[at - 1].is("::") && matches!(&lexer[at - 2], Lexeme::Word(_));
    !follows && lexer.get(at + 1).is_some_and(|next| next.is("::"))
}

fn count_supers(lexer: &[Lexeme], at: usize) -> usize {
    (0..).take_while(|n| lexer.get(at + 2 * n).is_some_and(|t| t.is("super"))).count()
}

/// All paths of the tree that continues at `at`, which is a `::` or the end of the path.
fn tree(lexer: &[Lexeme], at: usize) -> Vec<Vec<String>> {
    let mut read = at;
    branch(lexer, &mut read)
}

fn branch(lexer: &[Lexeme], at: &mut usize) -> Vec<Vec<String>> {
    if !lexer.get(*at).is_some_and(|token| token.is("::")) {
        return vec![Vec::new()];
    }
    *at += 1;
    match lexer.get(*at) {
        Some(Lexeme::Sign("{")) => {
            *at += 1;
            let mut all = Vec::new();
            while let Some(token) = lexer.get(*at) {
                match token {
                    Lexeme::Sign("}") => {
                        *at += 1;
                        break;
                    }
                    Lexeme::Word(word) => {
                        *at += 1;
                        all.extend(branch(lexer, at).into_iter().map(|rest| prefixed(word, rest)));
                        skip_alias(lexer, at);
                    }
                    Lexeme::Sign(_) | Lexeme::Other => *at += 1,
                }
            }
            all
        }
        Some(Lexeme::Word(word)) => {
            *at += 1;
            branch(lexer, at).into_iter().map(|rest| prefixed(word, rest)).collect()
        }
        _ => vec![Vec::new()],
    }
}

fn prefixed(word: &str, rest: Vec<String>) -> Vec<String> {
    std::iter::once(word.to_owned()).chain(rest).collect()
}

fn skip_alias(lexer: &[Lexeme], at: &mut usize) {
    if lexer.get(*at).is_some_and(|token| token.is("as")) {
        *at += 2;
    }
}
