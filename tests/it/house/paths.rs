//! Which other modules a source file uses: the paths in it, resolved from `crate::`, `super::` and `use` trees.

use super::tokens::{Token, tokens};

/// Modules of the same crate that the file at `path` names, as places like `collector/src/store/sqlite`.
pub(super) fn inside(path: &str, text: &str) -> Vec<String> {
    let Some((krate, module)) = path.trim_end_matches(".rs").split_once("/src/") else { return Vec::new() };
    let module: Vec<&str> = module.split('/').collect();
    let tokens = tokens(text);
    let mut found = Vec::new();
    // Modules inside the file (tests, mostly) add a level for `super`.
    let mut depth = Vec::new();
    let mut braces = 0_usize;
    for at in 0..tokens.len() {
        match &tokens[at] {
            Token::Sign("{") => braces += 1,
            Token::Sign("}") => {
                braces = braces.saturating_sub(1);
                depth.retain(|opened| *opened < braces + 1);
            }
            token if token.is("mod") && tokens.get(at + 2).is_some_and(|t| t.is("{")) => depth.push(braces + 1),
            token if starts_path(&tokens, at) && token.is("crate") => {
                found.extend(tree(&tokens, at + 1).iter().map(|rest| format!("{krate}/src/{}", rest.join("/"))));
            }
            token if starts_path(&tokens, at) && token.is("super") => {
                let supers = count_supers(&tokens, at);
                let up = supers.saturating_sub(depth.len());
                let base = &module[..module.len().saturating_sub(up)];
                for rest in tree(&tokens, at + supers * 2 - 1) {
                    let full: Vec<&str> = base.iter().copied().chain(rest.iter().map(String::as_str)).collect();
                    found.push(format!("{krate}/src/{}", full.join("/")));
                }
            }
            Token::Word(_) | Token::Sign(_) | Token::Other => {}
        }
    }
    found
}

/// Paths below a name (another crate, a type) that the text uses, without the name.
pub(super) fn below(text: &str, name: &str) -> Vec<String> {
    let tokens = tokens(text);
    let goes_on = |at: usize| tokens.get(at + 1).is_some_and(|next| next.is("::"));
    let starts = (0..tokens.len()).filter(|at| tokens[*at].is(name) && goes_on(*at));
    starts.flat_map(|at| tree(&tokens, at + 1)).map(|path| path.join("/")).collect()
}

fn starts_path(tokens: &[Token], at: usize) -> bool {
    let follows = at > 1 && tokens[at - 1].is("::") && matches!(&tokens[at - 2], Token::Word(_));
    !follows && tokens.get(at + 1).is_some_and(|next| next.is("::"))
}

fn count_supers(tokens: &[Token], at: usize) -> usize {
    (0..).take_while(|n| tokens.get(at + 2 * n).is_some_and(|t| t.is("super"))).count()
}

/// All paths of the tree that continues at `at`, which is a `::` or the end of the path.
fn tree(tokens: &[Token], at: usize) -> Vec<Vec<String>> {
    let mut read = at;
    branch(tokens, &mut read)
}

fn branch(tokens: &[Token], at: &mut usize) -> Vec<Vec<String>> {
    if !tokens.get(*at).is_some_and(|token| token.is("::")) {
        return vec![Vec::new()];
    }
    *at += 1;
    match tokens.get(*at) {
        Some(Token::Sign("{")) => {
            *at += 1;
            let mut all = Vec::new();
            while let Some(token) = tokens.get(*at) {
                match token {
                    Token::Sign("}") => {
                        *at += 1;
                        break;
                    }
                    Token::Word(word) => {
                        *at += 1;
                        all.extend(branch(tokens, at).into_iter().map(|rest| prefixed(word, rest)));
                        skip_alias(tokens, at);
                    }
                    Token::Sign(_) | Token::Other => *at += 1,
                }
            }
            all
        }
        Some(Token::Word(word)) => {
            *at += 1;
            branch(tokens, at).into_iter().map(|rest| prefixed(word, rest)).collect()
        }
        _ => vec![Vec::new()],
    }
}

fn prefixed(word: &str, rest: Vec<String>) -> Vec<String> {
    std::iter::once(word.to_owned()).chain(rest).collect()
}

fn skip_alias(tokens: &[Token], at: &mut usize) {
    if tokens.get(*at).is_some_and(|token| token.is("as")) {
        *at += 2;
    }
}
