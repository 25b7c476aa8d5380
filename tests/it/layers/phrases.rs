//! Words and phrases that the project no longer uses, in code, help, errors and documents. Each has a plain or a common
//! term in its place; the table of terms is in ARCHITECTURE.md.

use std::path::Path;

use super::{Source, repository};

/// Words, each with the term that replaces it. They are found in identifiers too: `crowd_size`, `DocketLoop`.
const WORDS: &[(&str, &str)] = &[
    ("docket", "judge queue"),
    ("dockets", "judge queues"),
    ("deed", "operation or action"),
    ("deeds", "operations or actions"),
    ("faces", "api and cli"),
    ("intake", "ingest"),
    ("sieve", "prefilter"),
    ("mesh", "prefilter"),
    ("sheet", "TOML reader"),
    ("crowd", "watched processes"),
    ("desk", "context"),
    ("watchman", "watch"),
    ("room", "module, or space"),
    ("rooms", "modules"),
    ("house", "layers"),
    ("enrol", "enroll"),
    ("enrolment", "enrollment"),
    ("whoever", "a plain subject"),
    ("lest", "so that … not"),
];

/// Phrases of earlier texts that read like a translation.
const PHRASES: &[&str] = &[
    "looked completely",
    "looks completely",
    "a covered product is there",
    "nothing that counts",
    "protection that counts",
    "it is gone, and",
    "there is no place of",
    "this door",
    "operators' door",
    "agents' door",
    "must be a text",
    "is told",
    "are told",
    "until told",
    "go the way",
    "says of each line",
    "asks a muster collector",
    "look and report",
    "traces were seen",
    "to be proven:",
    "older than recognisers of",
    "page is none",
    "an id that begins so",
    "as it is typed",
    "what it lacks",
    "what became of",
    "not to be had",
    "has no meaning",
];

/// Words before `look` or `looks` that make it a noun.
const BEFORE_A_NOUN: &[&str] = &[
    "a",
    "the",
    "one",
    "each",
    "every",
    "this",
    "that",
    "last",
    "next",
    "first",
    "second",
    "its",
    "current",
    "full",
    "complete",
    "any",
    "no",
    "old",
    "older",
    "new",
    "newer",
    "two",
    "three",
    "whose",
    "same",
    "late",
    "of",
    "unchanged",
];

/// Words after `look` that make it a verb in an identifier.
const AFTER_A_VERB: &[&str] = &["up", "at", "for"];

const FOLDERS: &[&str] = &["proto", "agent", "collector", "tests", "deploy", ".ci", ".github"];
const DOCUMENTS: &[&str] = &["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"];
/// Data, bytes and this list.
const LEFT_OUT: &[&str] = &[
    // Rows of other programs, quoted as they are.
    "collector/src/judge/recall_tests",
    "collector/rules",
    // Quotations of public records.
    "collector/src/judge/recall_tests/field.jsonl",
    "agent/watchlist/linux.toml",
    "agent/watchlist/macos.toml",
    "agent/watchlist/windows.toml",
    "tests/fixtures",
    "tests/fuzz/seeds",
    "tests/fuzz/corpus",
    "tests/fuzz/target",
    "tests/fuzz/Cargo.lock",
    "tests/it/layers/phrases.rs",
];

fn texts() -> Vec<Source> {
    let root = repository();
    let mut found = Vec::new();
    for folder in FOLDERS {
        collect(&root, &root.join(folder), &mut found);
    }
    for document in DOCUMENTS {
        let text = std::fs::read_to_string(root.join(document)).unwrap();
        found.push(Source { path: (*document).to_owned(), text });
    }
    found
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<Source>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        let place = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        if LEFT_OUT.contains(&place.as_str()) {
            continue;
        }
        if path.is_dir() {
            collect(root, &path, found);
        } else if let Ok(text) = std::fs::read_to_string(&path) {
            found.push(Source { path: place, text });
        }
    }
}

fn breaches(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in source.text.lines().enumerate() {
        // The vendor's name is one word.
        let words = words(&line.replace("CrowdStrike", "crowdstrike"));
        let at = format!("{}:{}", source.path, number + 1);
        for (word, instead) in WORDS {
            if words.iter().any(|found| found.text == *word) {
                found.push(format!("{at}: `{word}`: use {instead}"));
            }
        }
        let is_lookup = |at: usize| words.get(at + 2).is_some_and(|word| word.text == "up");
        if words.windows(2).enumerate().any(|(at, pair)| is_noun(&pair[0], &pair[1]) && !is_lookup(at)) {
            found.push(format!("{at}: `look` as a noun: use scan for the act, snapshot for the thing"));
        }
    }
    let text = on_one_line(&source.text);
    for phrase in PHRASES.iter().filter(|phrase| text.contains(**phrase)) {
        found.push(format!("{}: `{phrase}`", source.path));
    }
    found
}

/// A word of a line in lower case, and whether it is part of an identifier with the word after it.
struct Word {
    text: String,
    joins_next: bool,
}

/// The words of a line. `snake_case` and `CamelCase` are several words.
fn words(line: &str) -> Vec<Word> {
    let mut found: Vec<Word> = Vec::new();
    let mut word = String::new();
    let mut characters = line.chars().peekable();
    while let Some(c) = characters.next() {
        let next = characters.peek().copied();
        if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        }
        let is_camel = c.is_lowercase() && next.is_some_and(char::is_uppercase);
        if !word.is_empty() && (is_camel || !next.is_some_and(char::is_alphanumeric)) {
            let joins_next = is_camel || next == Some('_');
            found.push(Word { text: std::mem::take(&mut word), joins_next });
        }
    }
    found
}

fn is_noun(before: &Word, word: &Word) -> bool {
    let is_look = |word: &Word| word.text == "look" || word.text == "looks";
    if is_look(before) && before.joins_next {
        return !AFTER_A_VERB.contains(&word.text.as_str());
    }
    is_look(word) && (before.joins_next && !word.joins_next || BEFORE_A_NOUN.contains(&before.text.as_str()))
}

/// The text in lower case without line breaks, marks of comments and continued strings, so that a phrase may be broken.
fn on_one_line(text: &str) -> String {
    let bare = |line: &str| {
        let line = line.trim().trim_end_matches('\\').trim_end();
        let line = line.trim_start_matches(['/', '!', '#', '-']).trim_start();
        line.to_lowercase()
    };
    text.lines().map(bare).collect::<Vec<_>>().join(" ")
}

#[test]
fn no_text_uses_a_word_or_phrase_that_was_replaced() {
    let found: Vec<String> = texts().iter().flat_map(breaches).collect();
    assert!(found.is_empty(), "{} old words and phrases:\n{}", found.len(), found.join("\n"));
}

#[test]
fn words_are_found_in_identifiers_and_phrases_across_lines() {
    let of = |text: &str| breaches(&Source { path: "x.rs".to_owned(), text: text.to_owned() }).len();
    assert_eq!(of("struct DocketLoop; fn crowd_size() {}"), 2);
    assert_eq!(of("const HELP: &str = \"a covered \\\n    product is there\";"), 1);
    assert_eq!(of("/// The last look of a host.\nfn look_digest() {}"), 2);
    assert_eq!(of("// Look up the CrowdStrike row, look at it, look for more.\nfn look_up() {}"), 0);
}
