//! `sd_notify(3)` by hand: datagrams to the socket that `NOTIFY_SOCKET` names. Some lines instead of a dependency.

use std::ffi::OsString;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

#[derive(Debug)]
pub(super) struct Supervisor {
    line: Option<(UnixDatagram, SocketAddr)>,
    patience: Option<Duration>,
}

impl Supervisor {
    pub(super) fn of(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let number = |name| variable(name)?.to_str()?.parse::<u64>().ok();
        let line = variable("NOTIFY_SOCKET").and_then(|name| {
            let address = match name.as_bytes() {
                [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest).ok()?,
                _ => SocketAddr::from_pathname(&name).ok()?,
            };
            Some((UnixDatagram::unbound().ok()?, address))
        });
        // A watchdog that was meant for a parent is not ours.
        let ours = number("WATCHDOG_PID").is_none_or(|process| process == u64::from(std::process::id()));
        let patience = number("WATCHDOG_USEC").filter(|micros| *micros > 0 && ours).map(Duration::from_micros);
        Self { line, patience }
    }

    pub(super) const fn patience(&self) -> Option<Duration> {
        self.patience
    }

    pub(super) fn say(&self, words: &str) {
        let Some((socket, address)) = &self.line else { return };
        if let Err(error) = socket.send_to_addr(words.as_bytes(), address) {
            tracing::debug!(error = %error, "the service manager does not listen");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    fn environment(variables: Vec<(&'static str, OsString)>) -> impl Fn(&str) -> Option<OsString> {
        move |name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
    }

    #[test]
    fn words_arrive_at_the_socket_that_the_environment_names() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("notify");
        let by_path = UnixDatagram::bind(&path).expect("bound");
        let name = format!("muster-test-{}", std::process::id());
        let abstract_address = SocketAddr::from_abstract_name(name.as_bytes()).expect("a name");
        let by_name = UnixDatagram::bind_addr(&abstract_address).expect("bound");
        for (socket, name) in [(by_path, path.into_os_string()), (by_name, OsString::from(format!("@{name}")))] {
            Supervisor::of(environment(vec![("NOTIFY_SOCKET", name)])).say("READY=1\nSTATUS=at work");
            let mut buffer = [0; 64];
            let size = socket.recv(&mut buffer).expect("received");
            assert_eq!(&buffer[..size], b"READY=1\nSTATUS=at work");
        }
    }

    #[test]
    fn patience_counts_only_when_it_is_meant_for_this_process() {
        let patience = |pid: &str, micros: &str| {
            let variables =
                vec![("WATCHDOG_PID", OsStr::new(pid).into()), ("WATCHDOG_USEC", OsStr::new(micros).into())];
            Supervisor::of(environment(variables)).patience()
        };
        let own = std::process::id().to_string();
        assert_eq!(patience(&own, "60000000"), Some(Duration::from_secs(60)));
        assert_eq!(patience("1", "60000000"), None);
        assert_eq!(patience(&own, "0"), None);
        assert_eq!(patience(&own, "soon"), None);
        Supervisor::of(environment(Vec::new())).say("to nobody");
    }
}
