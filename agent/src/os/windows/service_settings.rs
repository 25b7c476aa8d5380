//! The settings of the service on Windows, and the words for its state: the decisions, without any call of the system.

use std::time::Duration;

/// The verb with which the service manager starts the program.
pub(super) const ARGUMENT: &str = "run";

/// After how long the service starts again when it has failed: the first time, the second, and every later time. The last delay is
/// long, because a service that is not enrolled fails until a person enrolls it.
pub(super) const RESTART_DELAYS: [Duration; 3] =
    [Duration::from_secs(60), Duration::from_secs(5 * 60), Duration::from_secs(15 * 60)];
/// A service that ran this long without a failure begins with the first delay again.
pub(super) const FAILURES_FORGOTTEN: Duration = Duration::from_secs(24 * 60 * 60);

/// The rights of its account that the service keeps. It reads what SYSTEM may read. Passing through folders that it may not list
/// is the only right that this needs; every process of Windows has it.
pub(super) const PRIVILEGES: &[&str] = &["SeChangeNotifyPrivilege"];

/// Strings for a call of Windows: each ends with a NUL, and another one ends the list.
pub(super) fn multi_string(strings: &[&str]) -> Vec<u16> {
    let mut text: Vec<u16> = strings.iter().flat_map(|text| text.encode_utf16().chain([0])).collect();
    text.push(0);
    text
}

/// The program in the command line of a service. Without quotes it is everything before the verb.
pub(super) fn program_of(command_line: &str) -> &str {
    let line = command_line.trim();
    if let Some(rest) = line.strip_prefix('"') {
        return rest.split('"').next().unwrap_or(rest);
    }
    line.strip_suffix(ARGUMENT).unwrap_or(line).trim_end()
}

/// Whether two paths name the same file, as far as their text says. Windows ignores case.
pub(super) fn is_same_program(one: &str, other: &str) -> bool {
    let plain = |path: &str| path.strip_prefix(r"\\?\").unwrap_or(path).replace('/', r"\").to_lowercase();
    plain(one) == plain(other)
}

/// How a service starts, in words; `start` is the number of `SERVICE_AUTO_START` and its siblings.
pub(super) const fn start_word(start: u32, is_delayed: bool) -> &'static str {
    match start {
        2 if is_delayed => "automatic (delayed)",
        2 => "automatic",
        3 => "manual",
        4 => "disabled",
        _ => "",
    }
}

/// What a service does, in words; `state` is the number of `SERVICE_STOPPED` and its siblings.
pub(super) const fn state_word(state: u32) -> &'static str {
    match state {
        1 => "stopped",
        2 => "starting",
        3 => "stopping",
        4 => "running",
        5 => "resuming",
        6 => "pausing",
        7 => "paused",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_restarts_three_times_and_later_each_time() {
        assert!(RESTART_DELAYS.is_sorted_by(|a, b| a < b));
        assert!(RESTART_DELAYS.iter().sum::<Duration>() < FAILURES_FORGOTTEN, "or the first delay would always count");
    }

    #[test]
    fn a_list_of_strings_ends_with_an_empty_one() {
        assert_eq!(multi_string(&["ab", "c"]), [97, 98, 0, 99, 0, 0]);
        assert_eq!(multi_string(PRIVILEGES).iter().filter(|unit| **unit == 0).count(), PRIVILEGES.len() + 1);
    }

    #[test]
    fn the_program_is_found_in_its_command_line() {
        for (line, program) in [
            (r#""C:\Program Files\Muster\muster-agent.exe" run"#, r"C:\Program Files\Muster\muster-agent.exe"),
            (r"C:\Program Files\Muster\muster-agent.exe run", r"C:\Program Files\Muster\muster-agent.exe"),
            (r"C:\run\agent.exe run ", r"C:\run\agent.exe"),
            (r"C:\agent.exe", r"C:\agent.exe"),
            (r#""C:\agent.exe"#, r"C:\agent.exe"),
            ("", ""),
        ] {
            assert_eq!(program_of(line), program, "{line}");
        }
        assert!(is_same_program(r"c:\program files\muster\AGENT.exe", r"\\?\C:\Program Files/Muster\agent.exe"));
        assert!(!is_same_program(r"C:\a\agent.exe", r"C:\b\agent.exe"));
    }

    #[test]
    fn states_have_words() {
        assert_eq!((start_word(2, true), start_word(2, false)), ("automatic (delayed)", "automatic"));
        assert_eq!((start_word(3, true), start_word(4, false), start_word(0, false)), ("manual", "disabled", ""));
        let words: Vec<&str> = (0..9).map(state_word).collect();
        let expected = ["", "stopped", "starting", "stopping", "running", "resuming", "pausing", "paused", ""];
        assert_eq!(words, expected);
    }
}
