//! `sd_notify(3)`: datagrams to the socket in `NOTIFY_SOCKET`. A few lines instead of a dependency.

use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use super::Notification;

/// systemd needs no thread of the process.
#[expect(clippy::unnecessary_wraps, reason = "other systems can fail here")]
pub(super) fn host<T, E>(work: impl FnOnce() -> Result<T, E>) -> io::Result<Result<T, E>> {
    Ok(work())
}

#[derive(Debug)]
pub(super) struct Supervisor {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog_timeout: Option<Duration>,
}

impl Supervisor {
    pub(super) fn of(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let number = |name| variable(name)?.to_str()?.parse::<u64>().ok();
        let socket = variable("NOTIFY_SOCKET").and_then(|name| {
            let address = match name.as_bytes() {
                // systemd writes the NUL byte that starts an abstract name as `@` (sd_notify(3)).
                [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest).ok()?,
                _ => SocketAddr::from_pathname(&name).ok()?,
            };
            Some((UnixDatagram::unbound().ok()?, address))
        });
        // The variables may be inherited from a parent process with its own watchdog.
        let ours = number("WATCHDOG_PID").is_none_or(|process| process == u64::from(std::process::id()));
        let watchdog_timeout = number("WATCHDOG_USEC").filter(|micros| *micros > 0 && ours).map(Duration::from_micros);
        Self { socket, watchdog_timeout }
    }

    pub(super) const fn watchdog_timeout(&self) -> Option<Duration> {
        self.watchdog_timeout
    }

    pub(super) fn notify(&self, notification: Notification<'_>) {
        let Some((socket, address)) = &self.socket else { return };
        let message = match notification {
            Notification::Ready(status) => format!("READY=1\nSTATUS={status}"),
            Notification::Reloading => "RELOADING=1".to_owned(),
            Notification::Stopping => "STOPPING=1".to_owned(),
            Notification::Alive => "WATCHDOG=1".to_owned(),
            Notification::Status(status) => format!("STATUS={status}"),
        };
        if let Err(error) = socket.send_to_addr(message.as_bytes(), address) {
            tracing::debug!(error = %error, "cannot notify the service manager");
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
    fn messages_arrive_at_the_socket_in_the_environment() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("notify");
        let by_path = UnixDatagram::bind(&path).expect("bound");
        let name = format!("muster-test-{}", std::process::id());
        let abstract_address = SocketAddr::from_abstract_name(name.as_bytes()).expect("a name");
        let by_name = UnixDatagram::bind_addr(&abstract_address).expect("bound");
        for (socket, name) in [(by_path, path.into_os_string()), (by_name, OsString::from(format!("@{name}")))] {
            Supervisor::of(environment(vec![("NOTIFY_SOCKET", name)])).notify(Notification::Ready("started"));
            let mut buffer = [0; 64];
            let size = socket.recv(&mut buffer).expect("received");
            assert_eq!(&buffer[..size], b"READY=1\nSTATUS=started");
        }
    }

    #[test]
    fn a_watchdog_of_another_process_is_ignored() {
        let timeout = |pid: &str, micros: &str| {
            let variables =
                vec![("WATCHDOG_PID", OsStr::new(pid).into()), ("WATCHDOG_USEC", OsStr::new(micros).into())];
            Supervisor::of(environment(variables)).watchdog_timeout()
        };
        let own = std::process::id().to_string();
        assert_eq!(timeout(&own, "60000000"), Some(Duration::from_secs(60)));
        assert_eq!(timeout("1", "60000000"), None);
        assert_eq!(timeout(&own, "0"), None);
        assert_eq!(timeout(&own, "soon"), None);
        Supervisor::of(environment(Vec::new())).notify(Notification::Status("nobody receives this"));
    }
}
