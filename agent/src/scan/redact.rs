//! What must not leave: whose home it is. A path below somebody's home is written from `~`, so it is also the same on
//! two machines whose people differ.

use muster_proto::model::Observation;

/// Writes `~` for the homes of people.
#[derive(Debug)]
pub(super) struct Redactor {
    /// Whole homes, and directories of homes with a slash at the end, longest first.
    homes: Vec<String>,
}

impl Redactor {
    pub(super) fn new(mut homes: Vec<String>) -> Self {
        homes.sort_by_key(|home| std::cmp::Reverse(home.len()));
        homes.dedup();
        Self { homes }
    }

    pub(super) fn redact(&self, observation: &mut Observation) {
        let Observation { kind: _, name, vendor: _, version: _, id, path, state: _, attributes } = observation;
        for text in [name, id, path].into_iter().chain(attributes.values_mut()) {
            if text.contains('/') {
                *text = self.text(text);
            }
        }
    }

    /// Replaces every home in a text.
    pub(super) fn text(&self, text: &str) -> String {
        let mut clean = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('/') {
            clean.push_str(&rest[..at]);
            // A home begins where a path begins: `/srv/home/x` is nobody's home.
            let begins = !clean.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '~'));
            rest = &rest[at..];
            match self.homes.iter().find_map(|home| home_length(rest, home)).filter(|_| begins) {
                Some(length) => {
                    clean.push('~');
                    rest = &rest[length..];
                }
                None => {
                    clean.push('/');
                    rest = &rest[1..];
                    // The other components of this path do not begin one.
                    let component = rest.find(['/', ' ']).unwrap_or(rest.len());
                    clean.push_str(&rest[..component]);
                    rest = &rest[component..];
                }
            }
        }
        clean.push_str(rest);
        clean
    }
}

/// How much of the text is a home: all of `/srv/jane`, or `/home/` and the name behind it.
fn home_length(text: &str, home: &str) -> Option<usize> {
    let rest = text.strip_prefix(home)?;
    let end = |c: char| matches!(c, '/' | ' ' | ':' | ',' | '"');
    if home.ends_with('/') {
        let name = rest.find(end).unwrap_or(rest.len());
        return (name > 0).then_some(home.len() + name);
    }
    (rest.is_empty() || rest.starts_with(end)).then_some(home.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_become_a_tilde_and_nothing_else_does() {
        let homes = ["/root", "/home/", "/srv/people/jane"].map(str::to_owned).to_vec();
        let redactor = Redactor::new(homes);
        for (text, clean) in [
            ("/home/jane/.local/bin/agent", "~/.local/bin/agent"),
            ("/home/jane", "~"),
            ("/home/", "/home/"),
            ("/srv/people/jane/bin/x", "~/bin/x"),
            ("/srv/people/janet/bin/x", "/srv/people/janet/bin/x"),
            ("/root", "~"),
            ("/rootkit/x", "/rootkit/x"),
            ("/opt/home/x", "/opt/home/x"),
            ("/opt/root", "/opt/root"),
            ("cannot read /home/jane/a: not found", "cannot read ~/a: not found"),
            ("no path", "no path"),
        ] {
            assert_eq!(redactor.text(text), clean, "{text}");
        }
    }
}
