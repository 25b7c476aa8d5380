//! The actions of a scheduled task: from the value `Actions` of the task cache, or from the task's XML file. Only programs and
//! class ids are kept: arguments, authors and accounts may name people.

use super::text;

/// Limit of actions; Windows allows 32.
const ACTIONS: usize = 64;
/// Limit of one text of an action.
const TEXT_BYTES: usize = 64 * 1024;

/// What a task does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Starts a program. The text may have quotation marks, variables and arguments.
    Program(String),
    /// Runs a class with this id.
    Class(String),
    /// Sends mail or shows a message.
    Other,
}

/// A part of the actions that is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the actions of a task are damaged at byte {at}")]
pub struct ActionsFault {
    /// Where.
    pub at: usize,
}

/// Parses the value `Actions`: a version, from version 2 on the name of an account, then one block for each action.
///
/// # Errors
/// The value ends within an action, or has an unknown kind of action.
pub fn of_actions(bytes: &[u8]) -> Result<Vec<Action>, ActionsFault> {
    let mut reader = Reader { bytes, at: 0 };
    let version = reader.number16()?;
    if version >= 2 {
        // The account, which nobody needs to know.
        reader.text()?;
    }
    let mut actions = Vec::new();
    while reader.at < bytes.len() && actions.len() < ACTIONS {
        let start = reader.at;
        let kind = reader.number16()?;
        reader.text()?;
        actions.push(match kind {
            0x6666 => {
                let program = reader.text()?;
                // Arguments and the working folder.
                reader.text()?;
                reader.text()?;
                if version >= 3 {
                    reader.number16()?;
                }
                Action::Program(program)
            }
            0x7777 => {
                let class = reader.take(16)?;
                reader.text()?;
                Action::Class(class_id(class))
            }
            0x8888 => {
                (0..8).try_for_each(|_| reader.text().map(drop))?;
                let headers = reader.number32()?;
                (0..headers.min(ACTIONS)).try_for_each(|_| reader.text().and_then(|_| reader.text()).map(drop))?;
                Action::Other
            }
            0x9999 => {
                reader.text()?;
                reader.text()?;
                Action::Other
            }
            _ => return Err(ActionsFault { at: start }),
        });
    }
    Ok(actions)
}

/// Parses the XML file of a task; `None` if it has no actions, or one that is too long.
#[must_use]
pub fn of_xml(bytes: &[u8]) -> Option<Vec<Action>> {
    let text = text::file(bytes);
    let (_, rest) = text.split_once("<Actions")?;
    let mut rest = rest.split("</Actions>").next()?;
    let mut actions = Vec::new();
    while actions.len() < ACTIONS {
        let command = rest.find("<Command>").map(|at| (at, "Command"));
        let class = rest.find("<ClassId>").map(|at| (at, "ClassId"));
        let Some((at, tag)) = [command, class].into_iter().flatten().min() else { break };
        let inner = &rest[at + tag.len() + 2..];
        let Some((value, behind)) = inner.split_once(&format!("</{tag}>")) else { break };
        let value = value.trim();
        if value.len() > TEXT_BYTES {
            return None;
        }
        let value = unescape(value);
        actions.push(if tag == "Command" { Action::Program(value) } else { Action::Class(value.to_ascii_uppercase()) });
        rest = behind;
    }
    Some(actions)
}

fn unescape(text: &str) -> String {
    // The ampersand comes last, so that `&amp;lt;` stays `&lt;`.
    let marks = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    marks.iter().fold(text.to_owned(), |text, (mark, character)| text.replace(mark, character))
}

/// `{XXXXXXXX-XXXX-XXXX-XXXX-XXXXXXXXXXXX}` of 16 bytes. The first three parts are numbers in little endian.
fn class_id(bytes: &[u8]) -> String {
    let order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    let mut id = String::from("{");
    for (count, at) in order.into_iter().enumerate() {
        if matches!(count, 4 | 6 | 8 | 10) {
            id.push('-');
        }
        id.push_str(&format!("{:02X}", bytes.get(at).copied().unwrap_or_default()));
    }
    id.push('}');
    id
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Reader<'b> {
    fn take(&mut self, length: usize) -> Result<&'b [u8], ActionsFault> {
        let fault = ActionsFault { at: self.at };
        let end = self.at.checked_add(length).ok_or(fault)?;
        let taken = self.bytes.get(self.at..end).ok_or(fault)?;
        self.at = end;
        Ok(taken)
    }

    fn number16(&mut self) -> Result<u16, ActionsFault> {
        let bytes = self.take(2)?;
        Ok(u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    fn number32(&mut self) -> Result<usize, ActionsFault> {
        let at = self.at;
        let bytes: [u8; 4] = self.take(4)?.try_into().map_err(|_| ActionsFault { at })?;
        usize::try_from(u32::from_le_bytes(bytes)).map_err(|_| ActionsFault { at })
    }

    /// A text with its length in bytes before it.
    fn text(&mut self) -> Result<String, ActionsFault> {
        let at = self.at;
        let length = self.number32()?;
        if length > TEXT_BYTES {
            return Err(ActionsFault { at });
        }
        self.take(length).map(text::utf16)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> Vec<u8> {
        let units: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let length = u32::try_from(units.len()).expect("short");
        [length.to_le_bytes().to_vec(), units].concat()
    }

    /// The value `Actions` of a task that starts a program.
    pub(crate) fn program(path: &str, arguments: &str) -> Vec<u8> {
        [&[3, 0][..], &text("LocalSystem"), &[0x66, 0x66], &text(""), &text(path), &text(arguments), &text(""), &[0, 0]]
            .concat()
    }

    #[test]
    fn programs_and_classes_are_read_without_arguments_and_accounts() {
        let path = "\"%ProgramFiles%\\Kaspersky Lab\\x.exe\"";
        let mut bytes = program(path, "--secret");
        bytes.extend([&[0x77, 0x77][..], &text("id"), &(0..16).collect::<Vec<u8>>(), &text("data")].concat());
        bytes.extend([&[0x99, 0x99][..], &text(""), &text("title"), &text("text")].concat());
        let class = Action::Class("{03020100-0504-0706-0809-0A0B0C0D0E0F}".to_owned());
        assert_eq!(of_actions(&bytes), Ok(vec![Action::Program(path.to_owned()), class, Action::Other]));
        // Version 1 has no account, and no flags behind a program.
        let old = [&[1, 0][..], &[0x66, 0x66], &text(""), &text("a.exe"), &text(""), &text("")].concat();
        assert_eq!(of_actions(&old), Ok(vec![Action::Program("a.exe".to_owned())]));
        assert_eq!(of_actions(&[3, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0]), Err(ActionsFault { at: 6 }));
    }

    #[test]
    fn actions_that_are_cut_are_a_fault() {
        let bytes = program("a.exe", "");
        let account = 2 + 4 + 2 * "LocalSystem".len();
        for cut in (0..bytes.len()).filter(|cut| *cut != account) {
            assert!(of_actions(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn the_file_of_a_task_is_utf_16() {
        let xml = "<?xml version=\"1.0\" encoding=\"UTF-16\"?>\n<Task><RegistrationInfo><Author>HOST\\jane</Author>\
                   </RegistrationInfo><Actions Context=\"x\"><Exec><Command>C:\\A &amp; B\\x.exe</Command><Arguments>-q</Arguments>\
                   </Exec><ComHandler><ClassId>{a-b}</ClassId></ComHandler></Actions></Task>";
        let bytes: Vec<u8> = [0xfeff].into_iter().chain(xml.encode_utf16()).flat_map(u16::to_le_bytes).collect();
        let actions = [Action::Program("C:\\A & B\\x.exe".to_owned()), Action::Class("{A-B}".to_owned())];
        assert_eq!(of_xml(&bytes).as_deref(), Some(&actions[..]));
        assert_eq!(of_xml(xml.as_bytes()).as_deref(), Some(&actions[..]));
        assert_eq!(of_xml(b"<Task></Task>"), None);
        assert_eq!(of_xml(b"<Task><Actions></Actions></Task>"), Some(Vec::new()));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), xml in "(<Actions|<Command>|</Command>|<ClassId>|x|&amp;|>){0,30}") {
            let _ = (of_actions(&bytes), of_xml(&bytes), of_xml(xml.as_bytes()));
            let mut changed = program("a.exe", "b");
            for (at, byte) in bytes.iter().enumerate().take(changed.len()) {
                changed[at] ^= byte;
            }
            let _ = of_actions(&changed);
        }
    }
}
