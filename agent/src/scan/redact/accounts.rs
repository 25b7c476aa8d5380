//! Names of accounts in the names of scheduled tasks. Many programs make a task for each account and end its name with the
//! account's: `CCleanerSkipUAC - jane`.

use crate::sources::parse::windows::path::{FOLDERS_OF_NOBODY, capital, folded};

/// The folder of a session whose profile could not be loaded.
const TEMPORARY: &str = "TEMP";
/// What stands before the path of a task in the reason of an outcome.
const BEFORE_TASKS: &[&str] = &[r"the task \", r"\Tree\", r"\Tasks\"];
/// The tasks that come with Windows.
const OF_WINDOWS: &str = r"\MICROSOFT\WINDOWS\";

/// The accounts of a machine, as far as the folders of its profiles name them.
#[derive(Debug)]
pub(super) struct Accounts {
    /// Folded, longest first.
    names: Vec<String>,
    /// Whether there are no others.
    are_known: bool,
}

impl Accounts {
    pub(super) fn new<'h>(homes: impl Iterator<Item = &'h String>, are_known: bool) -> Self {
        let mut names: Vec<String> = homes.flat_map(|home| names_of(home)).collect();
        names.sort_by(|one, two| two.len().cmp(&one.len()).then_with(|| one.cmp(two)));
        names.dedup();
        Self { names, are_known }
    }

    /// Replaces accounts in the name and the path of a task.
    pub(super) fn redact_task(&self, name: &mut String, path: &mut String) {
        // While the accounts are unknown, a name may be one wherever a word ends. Windows itself has no such names.
        let keeps_words = self.are_known || folded(path).starts_with(OF_WINDOWS);
        for text in [name, path] {
            let parts: Vec<String> = text.split('\\').map(|part| self.part(part, keeps_words)).collect();
            *text = parts.join("\\");
        }
    }

    /// Replaces accounts at the end of one name of a task's path.
    fn part(&self, part: &str, keeps_words: bool) -> String {
        if let Some(before) = without_guid(part) {
            return format!("{before}~");
        }
        let body = part.trim_end_matches([' ', '.', ')', ']', '}', '"', '\'']);
        let is_end = |name: &String| {
            let (at, _) = body.char_indices().rev().nth(name.chars().count().checked_sub(1)?)?;
            (body[at..].chars().map(capital).eq(name.chars()) && ends_word(&body[..at])).then_some(at)
        };
        if let Some(at) = self.names.iter().find_map(is_end) {
            return format!("{}~{}", &body[..at], &part[body.len()..]);
        }
        match part.find([' ', '-', '_']) {
            Some(at) if !keeps_words => format!("{}~", &part[..at]),
            // A single word may be an account as a whole.
            None if !keeps_words && !part.is_empty() => "~".to_owned(),
            _ => part.to_owned(),
        }
    }

    /// Replaces accounts in the reason of the outcome of tasks: every word that is one.
    pub(super) fn reason(&self, reason: &str) -> String {
        let end = BEFORE_TASKS.iter().filter_map(|before| Some(reason.find(before)? + before.len())).min();
        if let Some(end) = end.filter(|_| !self.are_known) {
            return format!("{}~", &reason[..end]);
        }
        let mut clean = String::with_capacity(reason.len());
        let mut rest = reason;
        while let Some(next) = rest.chars().next() {
            let account = || self.names.iter().find_map(|name| begins_with_word(rest, name));
            let (length, is_account) = match ends_word(&clean).then(account).flatten() {
                Some(length) => (length, true),
                None => (next.len_utf8(), false),
            };
            clean.push_str(if is_account { "~" } else { &rest[..length] });
            rest = &rest[length..];
        }
        clean
    }
}

/// Whether a word can begin behind this text.
fn ends_word(text: &str) -> bool {
    !text.ends_with(char::is_alphanumeric)
}

/// The length of this word at the start of a text.
fn begins_with_word(text: &str, word: &str) -> Option<usize> {
    let mut rest = text.chars();
    let is_there = word.chars().all(|c| rest.next().map(capital) == Some(c));
    let rest = rest.as_str();
    (is_there && !rest.starts_with(char::is_alphanumeric)).then_some(text.len() - rest.len())
}

/// The names that the account of a profile can have. Windows adds the domain or a number to a folder if there is one already:
/// `jane.CORP`, `jane.CORP.000`.
fn names_of(home: &str) -> Vec<String> {
    let folder = home.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut names = vec![folder];
    for is_suffix in [
        |suffix: &str| suffix.len() == 3 && suffix.bytes().all(|byte| byte.is_ascii_digit()),
        |suffix: &str| !suffix.is_empty() && !suffix.contains(char::is_lowercase),
    ] {
        let last = names[names.len() - 1];
        names.extend(last.rsplit_once('.').filter(|(_, suffix)| is_suffix(suffix)).map(|(account, _)| account));
    }
    let is_nobody = |name: &String| name.is_empty() || name == TEMPORARY || FOLDERS_OF_NOBODY.contains(&name.as_str());
    let names: Vec<String> = names.into_iter().map(folded).collect();
    if names.iter().any(is_nobody) { Vec::new() } else { names }
}

/// What stands before a random id at the end of a name: Windows makes one for each user, and each installation another.
fn without_guid(name: &str) -> Option<&str> {
    const LENGTHS: [usize; 5] = [8, 4, 4, 4, 12];
    let (before, id) = name.strip_suffix('}')?.rsplit_once('{')?;
    let is_hexadecimal = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_guid = id.split('-').map(str::len).eq(LENGTHS) && id.split('-').all(is_hexadecimal);
    // A name that is nothing else is the same everywhere.
    (is_guid && !before.is_empty()).then_some(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts(are_known: bool) -> Accounts {
        let homes =
            [r"C:\Users\jane", r"D:\Homes\Jane Doe", r"\Users\o'brien.CORP.000", r"C:\Users\TEMP", r"C:\Users\Лена"];
        Accounts::new(homes.map(str::to_owned).iter(), are_known)
    }

    fn task(accounts: &Accounts, path: &str) -> String {
        let (mut name, mut id) = (path.rsplit('\\').next().unwrap_or_default().to_owned(), path.to_owned());
        accounts.redact_task(&mut name, &mut id);
        assert!(id.ends_with(&name), "{name} {id}");
        id
    }

    #[test]
    fn an_account_at_the_end_of_a_name_or_as_a_folder_becomes_a_tilde() {
        for (path, clean) in [
            (r"\CCleanerSkipUAC - jane", r"\CCleanerSkipUAC - ~"),
            (r"\WpsUpdateTask_JANE", r"\WpsUpdateTask_~"),
            (r"\Update (Jane Doe)", r"\Update (~)"),
            (r"\Update o'brien", r"\Update ~"),
            (r"\Update o'brien.corp", r"\Update ~"),
            (r"\Update-ЛЕНА", r"\Update-~"),
            (r"\jane\Update", r"\~\Update"),
            (r"\Vendor\PC_jane\Update", r"\Vendor\PC_~\Update"),
            (r"\User_Feed_Synchronization-{0A1B2C3D-0000-1111-2222-333344445555}", r"\User_Feed_Synchronization-~"),
        ] {
            assert_eq!(task(&accounts(true), path), clean);
        }
        for path in [
            r"\GoogleUpdateTaskMachineCore",
            r"\Mjane",
            r"\janet",
            r"\jane's backup",
            r"\Clean Temp",
            r"\Vendor\{0A1B2C3D-0000-1111-2222-333344445555}",
            r"\Vendor\Core{A}",
        ] {
            assert_eq!(task(&accounts(true), path), path);
        }
    }

    #[test]
    fn while_the_accounts_are_unknown_only_the_first_of_several_words_of_a_task_stays() {
        for (path, clean) in [
            (r"\CCleanerSkipUAC - Mary Ann", r"\CCleanerSkipUAC~"),
            (r"\Kaspersky_Upgrade_mary", r"\Kaspersky~"),
            (r"\mary", r"\~"),
            (r"\mary\Update", r"\~\~"),
            (r"\Microsoft\Windows\Windows Defender\Windows Defender Scheduled Scan", ""),
        ] {
            assert_eq!(task(&accounts(false), path), if clean.is_empty() { path } else { clean });
        }
        let reason = r"the actions of the task \CCleanerSkipUAC - Mary are unknown";
        assert_eq!(accounts(false).reason(reason), r"the actions of the task \~");
    }

    #[test]
    fn a_reason_names_no_account() {
        let reason =
            r"the actions of the task \X - Jane Doe are unknown; cannot read C:\Windows\System32\Tasks\Janet_jane";
        let clean = r"the actions of the task \X - ~ are unknown; cannot read C:\Windows\System32\Tasks\Janet_~";
        assert_eq!(accounts(true).reason(reason), clean);
    }
}
