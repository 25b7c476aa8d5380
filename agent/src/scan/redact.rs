//! Removes user names from what is sent: a path below a home directory is written with `~`. The path is then also the same
//! on two machines with different users.

mod accounts;
mod windows;

use muster_proto::model::{Kind, Observation, Platform, SourceName};

use crate::sources;

/// Replaces home directories by `~`.
#[derive(Debug)]
pub(super) struct Redactor {
    /// Home directories, and parents of home directories with a trailing slash (`/home/`), longest first.
    homes: Vec<String>,
    /// Where nobody has a home directory, if there may be more of them.
    system_folders: Option<&'static [&'static str]>,
    /// macOS does not tell upper case from lower case.
    any_case: bool,
    /// The same for a Windows machine, whose paths have other spellings.
    windows: Option<windows::Homes>,
}

impl Redactor {
    pub(super) fn new(platform: Platform, homes: Vec<String>) -> Self {
        Self::of(platform, homes, None)
    }

    /// For a machine whose home directories are unknown: only paths in folders of the system are kept.
    pub(super) fn without_accounts(platform: Platform) -> Self {
        let homes = sources::known_homes(platform).iter().map(|home| (*home).to_owned()).collect();
        Self::of(platform, homes, Some(sources::system_folders(platform)))
    }

    fn of(platform: Platform, mut homes: Vec<String>, system_folders: Option<&'static [&'static str]>) -> Self {
        homes.sort_by_key(|home| std::cmp::Reverse(home.len()));
        homes.dedup();
        let windows = (platform == Platform::Windows).then(|| windows::Homes::new(&homes, system_folders));
        Self { homes, system_folders, any_case: platform == Platform::Macos, windows }
    }

    pub(super) fn redact(&self, observation: &mut Observation) {
        let Observation { kind, name, vendor, version, id, path, state, attributes } = observation;
        if let Some(windows) = self.windows.as_ref().filter(|_| *kind == Kind::Task) {
            windows.accounts.redact_task(name, id);
        }
        // On Windows any of these is a text that somebody wrote into the registry, and on macOS into a property list.
        let written = (self.windows.is_some() || self.any_case).then_some([vendor, version, state]);
        for text in [name, id, path].into_iter().chain(written.into_iter().flatten()).chain(attributes.values_mut()) {
            // Nearly all texts are short names, so they are tested before they are rewritten.
            if text.contains('/') || (self.windows.is_some() && (text.contains('\\') || text.contains("-1-"))) {
                *text = self.text(text);
            }
        }
    }

    /// Removes names from the reason of a source's outcome.
    pub(super) fn reason(&self, source: SourceName, reason: &str) -> String {
        match &self.windows {
            // It names tasks, whose names have the names of accounts in them.
            Some(windows) if source == SourceName::ScheduledTasks => self.text(&windows.accounts.reason(reason)),
            _ => self.text(reason),
        }
    }

    /// Replaces every home directory in a text.
    pub(super) fn text(&self, text: &str) -> String {
        if let Some(windows) = &self.windows {
            return windows.text(text);
        }
        let mut clean = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('/') {
            clean.push_str(&rest[..at]);
            // A home directory must be at the start of a path: `/srv/home/x` is not one.
            let begins = !clean.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '~'));
            rest = &rest[at..];
            // Only where a path begins: the homes are many, and most slashes are within paths.
            let home = || self.homes.iter().find_map(|home| home_length(rest, home, self.any_case));
            match begins.then(home).flatten() {
                Some(length) => {
                    clean.push('~');
                    rest = &rest[length..];
                }
                // Where the name of a person ends is unknown too.
                None if begins && self.system_folders.is_some_and(|folders| !is_of_system(rest, folders)) => {
                    clean.push('~');
                    return clean;
                }
                None => {
                    clean.push('/');
                    rest = &rest[1..];
                    // The rest of this path cannot start another one, so skip to its next component.
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

fn is_of_system(path: &str, folders: &[&str]) -> bool {
    let rest = &path[1..];
    let first = &rest[..rest.find(['/', ' ', ':', ',', ';', '"', '\'', ')', '*']).unwrap_or(rest.len())];
    first.is_empty() || folders.contains(&first)
}

/// The length of the home directory at the start of the text: `/srv/jane`, or `/home/` plus the name behind it.
fn home_length(text: &str, home: &str, any_case: bool) -> Option<usize> {
    let (head, rest) = text.split_at_checked(home.len())?;
    if head != home && !(any_case && head.to_lowercase() == home.to_lowercase()) {
        return None;
    }
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
    fn only_home_directories_become_a_tilde() {
        let homes = ["/root", "/home/", "/srv/people/jane"].map(str::to_owned).to_vec();
        let redactor = Redactor::new(Platform::Linux, homes);
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

    #[test]
    fn without_accounts_only_paths_of_the_system_are_kept() {
        let redactor = Redactor::without_accounts(Platform::Linux);
        for (text, clean) in [
            ("/opt/kaspersky/kesl", "/opt/kaspersky/kesl"),
            ("/usr/bin/x --log=/srv/people/jane/x", "/usr/bin/x --log=~"),
            ("/home/jane/.local/bin/x", "~/.local/bin/x"),
            ("/srv/people/Jane Doe/bin/x", "~"),
            ("cannot read /jane: not found", "cannot read ~"),
            ("/", "/"),
            ("/var/lib/a and /data/jane", "/var/lib/a and ~"),
        ] {
            assert_eq!(redactor.text(text), clean, "{text}");
        }
    }
}
