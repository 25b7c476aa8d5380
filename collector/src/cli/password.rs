//! Reads a new password: twice from the terminal without showing it, or a line of standard input. Never an argument, which other
//! users of the machine could see.

use std::io::{self, BufRead, IsTerminal as _, Read as _, Write as _};

use anyhow::Context as _;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// The longest line, in bytes. The collector says what the longest password is.
const LONGEST: u64 = 4_096;

/// Reads the password of an account: with `from_stdin` a line of standard input, otherwise twice from the terminal.
///
/// # Errors
/// There is no terminal, the two differ, or nothing was given.
pub(crate) fn read_password(account: &str, from_stdin: bool) -> anyhow::Result<String> {
    if from_stdin {
        return line(&mut io::stdin().lock());
    }
    anyhow::ensure!(io::stdin().is_terminal(), "standard input is not a terminal; add --stdin to pipe the password in");
    let first = asked(&format!("new password of {account}: "))?;
    let second = asked("repeat the password: ")?;
    anyhow::ensure!(first == second, "the two passwords differ; nothing was changed");
    Ok(first)
}

/// Asks for a line that the terminal does not show.
fn asked(question: &str) -> anyhow::Result<String> {
    let mut err = io::stderr();
    write!(err, "{question}")?;
    err.flush()?;
    let hidden = Hidden::begin()?;
    let answer = line(&mut io::stdin().lock());
    drop(hidden);
    // The end of the line that was typed is not shown either.
    writeln!(err)?;
    answer
}

/// The terminal shows nothing that is typed until this is dropped.
struct Hidden(Termios);

impl Hidden {
    fn begin() -> anyhow::Result<Self> {
        let before = tcgetattr(io::stdin()).context("read the settings of the terminal")?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent).context("switch off the echo of the terminal")?;
        Ok(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // The shell restores it, too.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// One line without its end.
fn line(input: &mut dyn BufRead) -> anyhow::Result<String> {
    let mut text = String::new();
    input.take(LONGEST + 2).read_line(&mut text).context("read the password")?;
    let text = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
    anyhow::ensure!(text.len() as u64 <= LONGEST, "the line is longer than {LONGEST} bytes");
    anyhow::ensure!(!text.is_empty(), "no password was given; nothing was changed");
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_one_line_without_its_end() {
        let read = |text: &str| line(&mut text.as_bytes());
        assert_eq!(read("velvet cactus\nmore\n").expect("a line"), "velvet cactus");
        assert_eq!(read("velvet cactus\r\n").expect("a line"), "velvet cactus");
        assert_eq!(read(" velvet ").expect("a line"), " velvet ", "blanks belong to it");
        assert!(read("").is_err() && read("\n").is_err());
        assert!(read(&"x".repeat(5_000)).is_err());
    }
}
