//! The service manager of Windows. Its dispatcher takes the main thread and calls the service on another one; controls arrive
//! on the main thread. The states are those of `controls`.

use std::ffi::OsString;
use std::io;
use std::sync::{LazyLock, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::time::Duration;

use tokio::sync::watch;
use windows_service::service::{
    ServiceControl, ServiceControlAccept, ServiceExitCode, ServiceState, ServiceStatus, ServiceType,
};
use windows_service::service_control_handler::{self, ServiceControlHandlerResult, ServiceStatusHandle};
use windows_service::{Error, service_dispatcher};

use super::Notification;
use super::controls::{Asked, Controls, Phase, asked};
use crate::os::service::NAME;

/// `ERROR_FAILED_SERVICE_CONTROLLER_CONNECT`: the service manager did not start this process.
const STARTED_ELSEWHERE: i32 = 1063;
/// What the service manager shows as the service's own error if its work failed.
const WORK_FAILED: u32 = 1;

/// The work of the service. Windows passes it no closure. Returns whether it succeeded.
type Work = Box<dyn FnOnce() -> bool + Send>;
static WORK: Mutex<Option<Work>> = Mutex::new(None);
/// Why the service could not be registered.
static FAULT: Mutex<Option<io::Error>> = Mutex::new(None);
static HOST: OnceLock<Host> = OnceLock::new();
static CONTROLS: LazyLock<watch::Sender<Controls>> = LazyLock::new(|| watch::Sender::new(Controls::default()));

/// The service that this process is.
#[derive(Debug)]
struct Host {
    handle: ServiceStatusHandle,
    phase: Mutex<Phase>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the service manager has started this process.
pub(in crate::os) fn is_hosted() -> bool {
    HOST.get().is_some()
}

/// The controls that have arrived so far, and those to come.
pub(in crate::os) fn pending_controls() -> watch::Receiver<Controls> {
    CONTROLS.subscribe()
}

pub(super) fn host<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> io::Result<Result<T, E>>
where
    T: Send + 'static,
    E: Send + 'static,
{
    let (sender, receiver) = mpsc::sync_channel(1);
    *lock(&WORK) = Some(Box::new(move || {
        let result = work();
        let succeeded = result.is_ok();
        // The main thread waits for it, so it is always taken.
        let _ = sender.send(result);
        succeeded
    }));
    match service_dispatcher::start(NAME, service_main) {
        Ok(()) => {}
        Err(Error::Winapi(error)) if error.raw_os_error() == Some(STARTED_ELSEWHERE) => {
            let work = lock(&WORK).take();
            if let Some(work) = work {
                work();
            }
        }
        Err(error) => return Err(system_error(error)),
    }
    receiver.recv().map_err(|_| {
        let fault = lock(&FAULT).take();
        fault.unwrap_or_else(|| io::Error::other("the service manager did not call the service"))
    })
}

/// The error of the system itself, which the error of the library only has as its source.
pub(in crate::os) fn system_error(error: Error) -> io::Error {
    if let Error::Winapi(error) = error { error } else { io::Error::other(error) }
}

/// The service manager calls this on a thread of its own.
extern "system" fn service_main(_count: u32, _arguments: *mut *mut u16) {
    let Some(work) = lock(&WORK).take() else { return };
    // A plain function: the library frees a handler at the first stop, and a control may follow.
    match service_control_handler::register(NAME, on_control) {
        Ok(handle) => {
            let host = HOST.get_or_init(|| Host { handle, phase: Mutex::new(Phase::Starting) });
            host.tell(Phase::Starting);
            let succeeded = work();
            host.enter(Phase::Stopped { failed: !succeeded });
        }
        Err(error) => *lock(&FAULT) = Some(system_error(error)),
    }
}

/// Must return at once: the service manager waits for it.
fn on_control(control: ServiceControl) -> ServiceControlHandlerResult {
    let event = if let ServiceControl::SessionChange(change) = &control { change.reason.to_raw() } else { 0 };
    match asked(control.raw_service_control_type(), event) {
        Asked::Signal(signal) => {
            CONTROLS.send_modify(|controls| controls.add(signal));
            if let (crate::os::signals::Signal::End(_), Some(host)) = (signal, HOST.get()) {
                host.enter(Phase::Stopping);
            }
            ServiceControlHandlerResult::NoError
        }
        Asked::Nothing => ServiceControlHandlerResult::NoError,
        Asked::NotOffered => ServiceControlHandlerResult::NotImplemented,
    }
}

impl Host {
    fn enter(&self, next: Phase) {
        let mut phase = lock(&self.phase);
        if phase.may_become(next) {
            *phase = next;
            self.tell(next);
        }
    }

    fn tell(&self, phase: Phase) {
        let (current_state, exit_code) = match phase {
            Phase::Starting => (ServiceState::StartPending, ServiceExitCode::NO_ERROR),
            Phase::Running => (ServiceState::Running, ServiceExitCode::NO_ERROR),
            Phase::Stopping => (ServiceState::StopPending, ServiceExitCode::NO_ERROR),
            Phase::Stopped { failed: false } => (ServiceState::Stopped, ServiceExitCode::NO_ERROR),
            Phase::Stopped { failed: true } => (ServiceState::Stopped, ServiceExitCode::ServiceSpecific(WORK_FAILED)),
        };
        let status = ServiceStatus {
            service_type: ServiceType::OWN_PROCESS,
            current_state,
            controls_accepted: ServiceControlAccept::from_bits_truncate(phase.accepts()),
            exit_code,
            checkpoint: 0,
            wait_hint: phase.wait_hint(),
            process_id: None,
        };
        if let Err(error) = self.handle.set_service_status(status) {
            tracing::debug!(error = %system_error(error), "cannot notify the service manager");
        }
    }
}

#[derive(Debug)]
pub(super) struct Supervisor;

impl Supervisor {
    pub(super) fn of(_variable: impl Fn(&str) -> Option<OsString>) -> Self {
        Self
    }

    /// Windows watches no service that says that it runs.
    #[expect(clippy::unused_self, reason = "other systems use their fields")]
    pub(super) const fn watchdog_timeout(&self) -> Option<Duration> {
        None
    }

    #[expect(clippy::unused_self, reason = "other systems use their fields")]
    pub(super) fn notify(&self, notification: Notification<'_>) {
        let Some(host) = HOST.get() else { return };
        match notification {
            Notification::Ready(_) => host.enter(Phase::Running),
            Notification::Stopping => host.enter(Phase::Stopping),
            // There is no state for a reload, and no line of text.
            Notification::Reloading | Notification::Alive | Notification::Status(_) => {}
        }
    }
}
