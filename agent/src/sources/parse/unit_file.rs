//! systemd unit files: the programs that a service starts. Arguments are never read.

use std::collections::BTreeSet;
use std::str::Chars;

/// Settings after which a path in `ExecStart` is not a path of the machine, or is not searched in the usual directories.
const MOVING: &[&str] = &[
    "RootDirectory",
    "RootImage",
    "BindPaths",
    "BindReadOnlyPaths",
    "MountImages",
    "ExtensionImages",
    "ExtensionDirectories",
    "ExecSearchPath",
];
/// Settings with which systemd accepts a service without `ExecStart` (systemd.service(5)).
const STOP: &str = "ExecStop";
const SUCCESS: &str = "SuccessAction";
/// No service has more commands. After these, nothing is certain.
const PROGRAMS: usize = 64;

/// The commands of a unit file and its drop-ins, read one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unit {
    /// The executable of each `ExecStart` as written, without systemd's prefixes. `None` where it is not literal.
    pub programs: Vec<Option<String>>,
    /// Those of the settings above that have a value.
    settings: BTreeSet<String>,
}

impl Unit {
    /// Whether the programs are paths of the machine.
    #[must_use]
    pub fn has_plain_paths(&self) -> bool {
        !MOVING.iter().any(|name| self.settings.contains(*name))
    }

    /// Whether the service does anything. systemd refuses one that does not.
    #[must_use]
    pub fn has_command(&self) -> bool {
        !self.programs.is_empty() || [STOP, SUCCESS].iter().any(|name| self.settings.contains(*name))
    }

    /// Applies a unit file or a drop-in. An empty value clears earlier ones.
    pub fn read(&mut self, text: &str) {
        let mut section = String::new();
        let mut continued = String::new();
        for line in text.trim_start_matches('\u{feff}').lines() {
            let trimmed = line.trim();
            // systemd also ignores comments between the lines of a continued value (systemd.syntax(7)).
            if trimmed.starts_with(['#', ';']) {
                continue;
            }
            if let Some(started) = trimmed.strip_suffix('\\') {
                continued.push_str(started);
                continued.push(' ');
                continue;
            }
            let whole = std::mem::take(&mut continued) + trimmed;
            self.line(whole.trim(), &mut section);
        }
        self.line(continued.trim(), &mut section);
    }

    fn line(&mut self, line: &str, section: &mut String) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name.clone_into(section);
        } else if let Some((name, value)) = line.split_once('=') {
            match (section.as_str(), name.trim_end(), value.trim()) {
                ("Service", "ExecStart", "") => self.programs.clear(),
                ("Service", "ExecStart", command) => self.command(command),
                ("Service" | "Unit", name, "") => self.clear(name),
                ("Unit", name @ SUCCESS, _) | ("Service", name @ STOP, _) => self.set(name),
                ("Service", name, _) if MOVING.contains(&name) => self.set(name),
                _ => {}
            }
        }
    }

    fn set(&mut self, name: &str) {
        self.settings.insert(name.to_owned());
    }

    fn clear(&mut self, name: &str) {
        self.settings.remove(name);
    }

    fn command(&mut self, command: &str) {
        if self.programs.len() < PROGRAMS {
            self.programs.push(executable(command));
        }
        // A lone semicolon separates commands, and the program of the second is not read.
        if self.programs.len() >= PROGRAMS || command.split_whitespace().any(|word| word == ";") {
            self.programs.push(None);
        }
    }
}

/// The first word of a command line, unquoted and without systemd's prefixes. `None` if it is not literal: it has a
/// specifier, a variable or bytes that are not UTF-8, or systemd refuses it.
fn executable(command: &str) -> Option<String> {
    let mut quote = None;
    let mut word = Vec::new();
    let mut chars = command.chars();
    while let Some(c) = chars.next() {
        match c {
            c if Some(c) == quote => quote = None,
            '"' | '\'' if quote.is_none() => quote = Some(c),
            c if quote.is_none() && c.is_whitespace() => break,
            '\\' => match escaped(&mut chars)? {
                Escaped::Byte(byte) => word.push(byte),
                Escaped::Char(c) => word.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            },
            '%' if chars.clone().next() == Some('%') => word.extend(chars.next().map(|_| b'%')),
            '%' | '$' | char::REPLACEMENT_CHARACTER => return None,
            c => word.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    let word = String::from_utf8(word).ok()?;
    let program = word.trim_start_matches(['@', '-', ':', '+', '!', '|']);
    let is_literal = quote.is_none() && !program.is_empty() && !program.contains(char::is_control);
    is_literal.then(|| program.to_owned())
}

enum Escaped {
    Byte(u8),
    Char(char),
}

/// What follows a backslash (systemd.syntax(7), "Quoting"). `None` if systemd refuses it.
fn escaped(chars: &mut Chars) -> Option<Escaped> {
    let first = chars.next()?;
    let mut number = |first: Option<char>, digits: usize, base: u32| {
        let digits: String = first.into_iter().chain(chars.by_ref().take(digits)).collect();
        u32::from_str_radix(&digits, base).ok()
    };
    let byte = |number: u32| u8::try_from(number).ok().map(Escaped::Byte);
    match first {
        's' => Some(Escaped::Char(' ')),
        't' => Some(Escaped::Char('\t')),
        c @ ('\\' | '"' | '\'') => Some(Escaped::Char(c)),
        'x' => byte(number(None, 2, 16)?),
        c @ '0'..='7' => byte(number(Some(c), 2, 8)?),
        'u' => char::from_u32(number(None, 4, 16)?).map(Escaped::Char),
        'U' => char::from_u32(number(None, 8, 16)?).map(Escaped::Char),
        // The others are control characters, which no path has.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unit(text: &str) -> Unit {
        let mut unit = Unit::default();
        unit.read(text);
        unit
    }

    fn exec(text: &str) -> Option<String> {
        unit(text).programs.into_iter().next().flatten()
    }

    #[test]
    fn only_the_executable_of_the_first_command_is_kept() {
        let text = "[Unit]\nDescription=KESL\n[Service]\nType=forking\nExecStart=-/opt/kaspersky/kesl/bin/kesl --secret=x \\\n  --more\n\
                    ExecStart=/bin/true\n[Install]\nExecStart=/bin/false\n";
        assert_eq!(exec(text).as_deref(), Some("/opt/kaspersky/kesl/bin/kesl"));
        assert_eq!(exec("[Service]\nExecStart=\"/opt/My App/run\" a\n").as_deref(), Some("/opt/My App/run"));
        assert_eq!(exec("[Service]\nExecStart=@!!/bin/sh sh -c x\n").as_deref(), Some("/bin/sh"));
        assert_eq!(exec("[Service]\nExecStart=/usr/bin/%i\n"), None);
        assert_eq!(exec("ExecStart=/bin/outside\n"), None);
    }

    #[test]
    fn a_drop_in_replaces_the_command() {
        let mut unit = Unit::default();
        unit.read("[Service]\nExecStart=/usr/bin/old\n");
        unit.read("[Service]\nExecStart=\nExecStart=/usr/bin/new\n");
        assert_eq!(unit.programs, [Some("/usr/bin/new".to_owned())]);
    }

    #[test]
    fn a_command_is_unquoted_and_unescaped_as_systemd_does() {
        let program = |command: &str| executable(command);
        assert_eq!(program(r"/srv/av\x20x/kesl -a").as_deref(), Some("/srv/av x/kesl"));
        assert_eq!(program(r"/srv/\xc3\xa9\u00e9\U000000e9\040\s/k").as_deref(), Some("/srv/ééé  /k"));
        assert_eq!(program(r#"-"/opt/My App/run" x"#).as_deref(), Some("/opt/My App/run"));
        assert_eq!(program("/opt/'My App'/100%% x").as_deref(), Some("/opt/My App/100%"));
        for refused in [r"/srv/\xff/k", r"/srv/\q", r"/srv/\x2", "/srv/\u{fffd}", "\"/srv/open", "-", r"/srv/\x00"] {
            assert_eq!(program(refused), None, "{refused}");
        }
    }

    #[test]
    fn settings_that_move_paths_or_replace_a_command_are_known() {
        for setting in ["RootDirectory=/srv/jail", "ExecSearchPath=/srv", "BindPaths=/srv:/opt", "RootImage=/x.raw"] {
            assert!(!unit(&format!("[Service]\nExecStart=x\n{setting}\n")).has_plain_paths(), "{setting}");
        }
        assert!(unit("[Service]\nRootDirectory=/srv/jail\nRootDirectory=\n").has_plain_paths());
        for idle in
            ["", "\0\0\0", "# placeholder\n", "[Service]\nExecStart=/bin/x\nExecStart=\n", "[Unit]\nExecStop=x\n"]
        {
            assert!(!unit(idle).has_command(), "{idle}");
        }
        for text in ["\u{feff}[Service]\nExecStart=%h/x\n", "[Unit]\nSuccessAction=exit\n", "[Service]\nExecStop=/x\n"]
        {
            assert!(unit(text).has_command(), "{text}");
        }
        assert_eq!(unit("[Service]\nExecStart=/bin/a ; /bin/b\n").programs, [Some("/bin/a".to_owned()), None]);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = exec(&text);
            let _ = exec(&format!("[Service]\nExecStart={text}"));
        }
    }
}
