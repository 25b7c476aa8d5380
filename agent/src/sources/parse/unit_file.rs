//! systemd unit files: the executable of a service. Arguments are never read.

/// The `ExecStart` of a unit file and its drop-ins, read one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unit {
    /// The executable of the first `ExecStart` as written, without systemd's prefixes.
    pub exec: Option<String>,
}

impl Unit {
    /// Applies a unit file or a drop-in. An empty `ExecStart=` clears earlier ones.
    pub fn read(&mut self, text: &str) {
        let mut section = String::new();
        let mut continued = String::new();
        for line in text.lines() {
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
                ("Service", "ExecStart", "") => self.exec = None,
                ("Service", "ExecStart", command) if self.exec.is_none() => self.exec = executable(command),
                _ => {}
            }
        }
    }
}

/// The first word of a command line, without systemd's prefixes. `None` if it contains a specifier or a variable.
fn executable(command: &str) -> Option<String> {
    let command = command.trim_start_matches(['@', '-', ':', '+', '!', '|']).trim_start();
    let quote = command.chars().next().filter(|first| matches!(first, '"' | '\''));
    let mut word = String::new();
    let mut chars = command.chars().skip(usize::from(quote.is_some()));
    while let Some(c) = chars.next() {
        match c {
            c if Some(c) == quote => break,
            c if quote.is_none() && c.is_whitespace() => break,
            '\\' => word.extend(chars.next()),
            '%' if chars.clone().next() == Some('%') => word.extend(chars.next()),
            '%' | '$' => return None,
            c => word.push(c),
        }
    }
    (!word.is_empty()).then_some(word)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exec(text: &str) -> Option<String> {
        let mut unit = Unit::default();
        unit.read(text);
        unit.exec
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
        assert_eq!(unit.exec.as_deref(), Some("/usr/bin/new"));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = exec(&text);
            let _ = exec(&format!("[Service]\nExecStart={text}"));
        }
    }
}
