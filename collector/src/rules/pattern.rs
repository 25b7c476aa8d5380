//! Patterns of recognisers: exact text, globs and regular expressions.
//!
//! | written | means |
//! |---|---|
//! | `kesl` | exactly this, after folding |
//! | `klvssbridge64_*` | a glob: `*` is any run of characters, `?` is one; in a path `*` and `?` stay within one component |
//! | `/opt/kesl/**` | in a path: this folder and everything below it; elsewhere `**` is any run of components |
//! | `~avp\d+(\.\d+)*` | a regular expression, anchored at both ends, case-insensitive |
//! | `@kaspersky` | the spellings of a vendor, from `vendors/kaspersky.toml` |

use regex_automata::util::syntax;
use regex_syntax::hir::{Dot, Hir, HirKind, Look};

use super::automaton::{Automaton, anchored, syntax_config};

/// How texts of a field are folded, and what wildcards match in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Names, vendors and states: `*` matches anything.
    Text,
    /// Paths and registry keys: `*` stays within one component.
    Place,
}

/// A pattern with valid syntax.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Pattern {
    /// A text that must be equal after folding.
    Exact(String),
    /// The source of an unanchored regular expression.
    Regex(String),
}

impl Pattern {
    /// Parses a pattern. `fold` brings its literal parts into the form of the texts.
    pub(crate) fn parse(text: &str, form: Form, fold: impl Fn(&str) -> String) -> Result<Self, String> {
        if text.contains(char::is_control) {
            return Err(format!(
                "{text:?} has a control character: \\b is one between quotation marks, but not between apostrophes"
            ));
        }
        if let Some(regex) = text.strip_prefix('~') {
            // In a path `~/` is a home folder and not the start of a regular expression.
            let is_home = form == Form::Place && regex.starts_with('/');
            if !is_home {
                check_syntax(regex)?;
                return Ok(Self::Regex(regex.to_owned()));
            }
        }
        if !text.contains(['*', '?']) {
            return Ok(Self::Exact(fold(text)));
        }
        let folded = fold(text);
        if folded.trim_matches(['*', '?', '/', ' ']).is_empty() {
            return Err(format!("the pattern {text:?} matches everything"));
        }
        let regex = glob(&folded, form);
        check_syntax(&regex)?;
        Ok(Self::Regex(regex))
    }

    /// The folder, if the pattern is one folder without wildcards and everything below it.
    pub(crate) fn folder(&self) -> Option<String> {
        let Self::Regex(source) = self else { return None };
        let mut folder = String::with_capacity(source.len());
        let mut chars = source.strip_suffix(BELOW)?.chars();
        while let Some(c) = chars.next() {
            match c {
                // An escaped letter or digit is a class of characters.
                '\\' => folder.push(chars.next().filter(|c| !c.is_alphanumeric())?),
                // The automaton would ignore case in a pattern with capitals.
                c if r".+*?()|[]{}^$".contains(c) || c.is_uppercase() => return None,
                c => folder.push(c),
            }
        }
        Some(folder)
    }
}

/// The literal text with which everything that a pattern matches begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lead {
    pub(crate) text: String,
    /// Whether any text may follow it, so that the beginning alone decides.
    pub(crate) decides: bool,
}

impl Pattern {
    /// The literal text with which everything that the pattern matches begins, if there is one.
    pub(crate) fn lead(&self) -> Option<Lead> {
        let Self::Regex(source) = self else { return None };
        let hir = parse(source).ok()?;
        let HirKind::Concat(parts) = hir.kind() else { return None };
        let [start, literal, rest @ ..] = parts.as_slice() else { return None };
        let (HirKind::Look(Look::Start), HirKind::Literal(literal)) = (start.kind(), literal.kind()) else {
            return None;
        };
        let dot = Hir::dot(Dot::AnyCharExceptLF);
        let is_any = |part: &Hir| matches!(part.kind(), HirKind::Repetition(any) if any.min == 0 && any.max.is_none() && *any.sub == dot);
        let decides = matches!(rest, [any, end] if is_any(any) && matches!(end.kind(), HirKind::Look(Look::End)));
        Some(Lead { text: String::from_utf8(literal.0.to_vec()).ok()?, decides })
    }
}

/// What ends the pattern of a folder and of everything below it.
const BELOW: &str = "(?:/.*)?";

/// Several patterns, compiled. They match if one of them does.
#[derive(Debug)]
pub(crate) struct Patterns {
    exact: Vec<String>,
    regex: Option<Automaton>,
}

impl Patterns {
    /// Compiles the patterns.
    pub(crate) fn new(patterns: &[Pattern]) -> Result<Self, String> {
        let mut exact = Vec::new();
        let mut sources = Vec::new();
        for pattern in patterns {
            match pattern {
                Pattern::Exact(text) => exact.push(text.clone()),
                Pattern::Regex(source) => sources.push(source),
            }
        }
        let regex = if sources.is_empty() { None } else { Some(Automaton::new(&sources)?) };
        Ok(Self { exact, regex })
    }

    /// Whether a pattern matches one of the folded texts.
    pub(crate) fn fit<S: AsRef<str>>(&self, texts: &[S]) -> bool {
        texts.iter().map(AsRef::as_ref).any(|text| {
            self.exact.iter().any(|exact| exact == text)
                || self.regex.as_ref().is_some_and(|regex| regex.is_match(text))
        })
    }
}

fn check_syntax(pattern: &str) -> Result<(), String> {
    parse(pattern).map(drop)
}

/// Parses a regular expression as it will be compiled.
pub(crate) fn parse(pattern: &str) -> Result<Hir, String> {
    syntax::parse_with(&anchored(pattern), &syntax_config())
        .map_err(|error| format!("not a regular expression: {}", last_line(&error.to_string())))
}

/// The last line of a syntax error, which says what is wrong; the lines before it are a drawing.
fn last_line(error: &str) -> String {
    error.lines().last().unwrap_or(error).trim_start_matches("error: ").to_owned()
}

fn push_escaped(regex: &mut String, c: char) {
    if r"\.+*?()|[]{}^$#&-~/".contains(c) && c != '/' {
        regex.push('\\');
    }
    regex.push(c);
}

fn glob(text: &str, form: Form) -> String {
    let (any, one) = match form {
        Form::Text => (".*", "."),
        Form::Place => ("[^/]*", "[^/]"),
    };
    let (text, below) = match (form, text.strip_suffix("/**")) {
        (Form::Place, Some(place)) => (place, BELOW),
        (Form::Place | Form::Text, _) => (text, ""),
    };
    let mut regex = String::with_capacity(text.len() + 16);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '*' if form == Form::Place && chars.peek() == Some(&'*') => {
                chars.next();
                regex.push_str(".*");
            }
            '*' => regex.push_str(any),
            '?' => regex.push_str(one),
            _ => push_escaped(&mut regex, c),
        }
    }
    regex.push_str(below);
    regex
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::text::{fold, fold_path};

    fn fits(pattern: &str, text: &str) -> bool {
        let pattern = Pattern::parse(pattern, Form::Text, fold).expect("a pattern");
        Patterns::new(&[pattern]).expect("compiles").fit(&[fold(text)])
    }

    fn fits_path(pattern: &str, text: &str) -> bool {
        let pattern = Pattern::parse(pattern, Form::Place, fold_path).expect("a pattern");
        Patterns::new(&[pattern]).expect("compiles").fit(&[fold_path(text)])
    }

    #[test]
    fn patterns_are_anchored_and_case_insensitive() {
        assert!(fits("KESL", "kesl"));
        assert!(!fits("kesl", "keslx"));
        assert!(fits("klvssbridge64_*", "KLVSSBRIDGE64_21.25"));
        assert!(fits(r"~avp\d+(\.\d+)*", "AVP21.3"));
        assert!(fits(r"~AVP\D+", "avp-x"), "a pattern with capitals fits what was folded");
        assert!(!fits(r"~avp\d+", "librte-net-avp23"));
        assert!(!fits(r"~avp\d+|kav", "kavita"), "the alternatives are anchored together");
        assert!(fits(r"~лаборатори[яи] касперского", "ЛАБОРАТОРИЯ КАСПЕРСКОГО"));
        assert!(fits("a.b", "a.b") && !fits("a.b*", "axbc"));
    }

    #[test]
    fn in_a_path_one_star_stays_within_a_component_and_two_do_not() {
        assert!(fits_path("/opt/kav/**", "/opt/kav"));
        assert!(fits_path("/opt/kav/**", "/opt/kav/5.5/bin"));
        assert!(!fits_path("/opt/kav/**", "/opt/kavita"));
        assert!(fits_path("/opt/kaspersky/*/bin", "/opt/kaspersky/kesl/bin"));
        assert!(!fits_path("/opt/kaspersky/*/bin", "/opt/kaspersky/a/b/bin"));
        assert!(fits_path("%ProgramFiles%\\Kaspersky Lab\\**", "C:\\Program Files (x86)\\Kaspersky Lab\\x\\y.exe"));
        assert!(fits_path("~/Library/*.plist", "/Users/jane/Library/com.x.plist"));
    }

    #[test]
    fn a_folder_without_wildcards_is_known_as_one() {
        let folder = |text: &str| Pattern::parse(text, Form::Place, fold_path).expect("a pattern").folder();
        assert_eq!(folder("/opt/Kaspersky.Lab-1/**").as_deref(), Some("/opt/kaspersky.lab-1"));
        assert_eq!(folder("%ProgramFiles%/ESET (x)/**").as_deref(), Some("%programfiles%/eset (x)"));
        for other in [
            "/opt/*/bin/**",
            "/opt/kaspersky",
            r"~opt\d(?:/.*)?",
            "~Opt(?:/.*)?",
            "~(/opt|/srv)/kav(?:/.*)?",
            "/opt/kav/*",
        ] {
            assert_eq!(folder(other), None, "{other}");
        }
    }

    #[test]
    fn the_literal_beginning_of_a_pattern_is_known_and_whether_it_decides() {
        let lead = |text: &str| Pattern::parse(text, Form::Text, fold).expect("a pattern").lead();
        let is = |text: &str, decides| Some(Lead { text: text.to_owned(), decides });
        assert_eq!(lead("Kaspersky Endpoint*"), is("kaspersky endpoint", true));
        assert_eq!(lead(r"~avp\d+(\.\d+)*"), is("avp", false));
        assert_eq!(lead("~kesl-(gui|net)"), is("kesl-", false));
        assert_eq!(lead("~kesl.*x"), is("kesl", false));
        for other in ["kesl", "*kesl", "~(kesl|avp).*", "~KESL.*", "~(?:kesl)?x"] {
            assert_eq!(lead(other), None, "{other}");
        }
    }

    #[test]
    fn a_broken_pattern_or_one_that_matches_everything_is_refused() {
        let unclosed = Pattern::parse("~avp(", Form::Text, fold).expect_err("unclosed");
        assert!(unclosed.contains("unclosed group"), "{unclosed}");
        assert!(Pattern::parse("**", Form::Text, fold).expect_err("everything").contains("matches everything"));
        assert!(Pattern::parse("~\u{8}avp", Form::Text, fold).expect_err("a backspace").contains("control character"));
    }
}
