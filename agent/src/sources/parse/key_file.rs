//! Key files of Flatpak and freedesktop.org: `[group]` lines with `key=value` lines below.

/// A group with its keys, in file order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The name between the brackets.
    pub name: String,
    keys: Vec<(String, String)>,
}

impl Group {
    /// The value of a key; empty if it is missing.
    #[must_use]
    pub fn value(&self, key: &str) -> &str {
        self.keys.iter().find(|(name, _)| name == key).map_or("", |(_, value)| value.as_str())
    }
}

/// Parses the groups; lines outside of any group are skipped.
#[must_use]
pub fn parse(text: &str) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            groups.push(Group { name: name.to_owned(), keys: Vec::new() });
        } else if let (Some(group), Some((key, value))) = (groups.last_mut(), line.split_once('=')) {
            group.keys.push((key.trim_end().to_owned(), value.trim_start().to_owned()));
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn groups_have_their_own_keys() {
        let groups = parse("stray=1\n[Application]\n# name=no\nname = org.x.App\n[Context]\nname=other\n");
        assert_eq!(groups.len(), 2);
        assert_eq!((groups[0].value("name"), groups[1].value("name")), ("org.x.App", "other"));
        assert_eq!(groups[0].value("none"), "");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = parse(&text);
        }
    }
}
