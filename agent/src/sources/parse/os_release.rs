//! `os-release`: assignments in shell syntax.

use std::collections::BTreeMap;

/// A parsed `os-release`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OsRelease {
    fields: BTreeMap<String, String>,
}

impl OsRelease {
    /// Parses the assignments; other lines are skipped, as the format demands.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let assignment = |line: &str| {
            let line = line.trim();
            let (name, value) = line.split_once('=').filter(|_| !line.starts_with('#'))?;
            Some((name.trim().to_owned(), unquote(value.trim())))
        };
        Self { fields: text.lines().filter_map(assignment).collect() }
    }

    /// The value of a field; empty if it is missing.
    #[must_use]
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    /// The display name.
    #[must_use]
    pub fn pretty_name(&self) -> String {
        let pretty = self.field("PRETTY_NAME");
        if pretty.is_empty() {
            format!("{} {}", self.field("ID"), self.field("VERSION_ID")).trim().to_owned()
        } else {
            pretty.to_owned()
        }
    }

    /// `ID` and the ids in `ID_LIKE`, which names the closest relatives first (os-release(5)), in lower case.
    pub fn ids(&self) -> impl Iterator<Item = String> {
        let like = self.field("ID_LIKE").split_whitespace();
        std::iter::once(self.field("ID")).chain(like).filter(|id| !id.is_empty()).map(str::to_ascii_lowercase)
    }
}

fn unquote(value: &str) -> String {
    let quote = value.chars().next().filter(|first| matches!(first, '"' | '\''));
    let Some(quote) = quote else { return value.to_owned() };
    let mut text = String::with_capacity(value.len());
    let mut chars = value.chars().skip(1);
    while let Some(c) = chars.next() {
        match c {
            c if c == quote => break,
            // The format is that of a shell, where a backslash in single quotes is an ordinary character.
            '\\' if quote == '"' => text.extend(chars.next()),
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_escapes_and_comments_follow_the_shell() {
        let text = "# ID=no\nID=debian\nPRETTY_NAME=\"A \\\"B\\\" \\$C\"\nVERSION_ID='12'\nnonsense\n";
        let os = OsRelease::parse(text);
        assert_eq!((os.field("ID"), os.field("VERSION_ID")), ("debian", "12"));
        assert_eq!(os.pretty_name(), "A \"B\" $C");
    }

    #[test]
    fn the_id_comes_before_its_relatives() {
        let ids = |text: &str| OsRelease::parse(text).ids().collect::<Vec<_>>();
        assert_eq!(ids("ID=Eurolinux\nID_LIKE=\"rhel fedora centos\"\n"), ["eurolinux", "rhel", "fedora", "centos"]);
        assert_eq!(ids("ID_LIKE=debian\n"), ["debian"]);
        assert!(ids("").is_empty());
    }
}
