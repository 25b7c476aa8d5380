//! Prints an error with its causes, for logs and terminals.

use std::error::Error;

/// The error and all its causes on one line, separated by `": "`.
///
/// Some libraries already print a cause as part of the error above it. Such a cause is not printed a second time.
#[must_use]
pub fn error_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        #[source]
        cause: Option<Box<Self>>,
    }

    fn chain_of(texts: &[&'static str]) -> Layer {
        let mut layers = texts.iter().rev().fold(None, |cause, text| Some(Box::new(Layer { text, cause })));
        *layers.take().expect("one layer")
    }

    #[test]
    fn causes_follow_the_error_on_one_line() {
        assert_eq!(
            error_chain(&chain_of(&["read the file", "open a.toml", "denied"])),
            "read the file: open a.toml: denied"
        );
    }

    #[test]
    fn a_cause_that_the_error_prints_itself_is_not_repeated() {
        assert_eq!(
            error_chain(&chain_of(&["connect: refused", "refused", "os error 111"])),
            "connect: refused: os error 111"
        );
        assert_eq!(error_chain(&chain_of(&["a: b: c", "b: c", "c"])), "a: b: c");
    }
}
