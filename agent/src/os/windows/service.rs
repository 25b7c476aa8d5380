//! The service manager of Windows: the service `MusterAgent`, and its source in the Event Log. The settings themselves are in
//! `service_settings`.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use windows_registry::{Key, LOCAL_MACHINE};
use windows_service::Error;
use windows_service::service::{
    Service, ServiceAccess, ServiceAction, ServiceActionType, ServiceErrorControl, ServiceExitCode,
    ServiceFailureActions, ServiceFailureResetPeriod, ServiceInfo, ServiceSidType, ServiceStartType, ServiceState,
    ServiceStatus as State, ServiceType,
};
use windows_service::service_manager::{ServiceManager, ServiceManagerAccess};
use windows_sys::Win32::System::Services::{
    ChangeServiceConfig2W, SERVICE_CONFIG_REQUIRED_PRIVILEGES_INFO, SERVICE_REQUIRED_PRIVILEGES_INFOW,
};

use super::windows_settings::{self as settings, ARGUMENT};
use super::{Manager, ServiceError, ServiceStatus};
use crate::os::access;
use crate::os::supervisor::{controls, system_error};
use crate::os::system_log;

/// The name of the service, of its registry key, and of its source in the Event Log.
pub(in crate::os) const NAME: &str = "MusterAgent";
/// The name that Windows shows.
const DISPLAY_NAME: &str = "Muster Agent";
const DESCRIPTION: &str = "Reports the security software of this machine to a Muster collector.";

pub(super) const MANAGER: Manager = Manager {
    install,
    uninstall,
    start,
    stop,
    status,
    where_the_log_is: Some("read the Event Log: `Get-WinEvent -ProviderName MusterAgent -MaxEvents 5`"),
};

/// Errors of Windows: the service manager does not know a setting; the service runs already, does not exist, does not run, was never
/// started.
const INVALID_LEVEL: i32 = 124;
const ALREADY_RUNNING: i32 = 1056;
const DOES_NOT_EXIST: i32 = 1060;
const NOT_ACTIVE: i32 = 1062;
const NEVER_STARTED: u32 = 1077;

const SERVICE_KEY: &str = r"SYSTEM\CurrentControlSet\Services\MusterAgent";
/// Where Windows lists the installed packages.
const PACKAGES: &str = r"SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall";

/// How long the service may take to start or to stop, and how often to see.
const PATIENCE: Duration = Duration::from_secs(60);
const SEE: Duration = Duration::from_millis(100);

fn install(program: &Path, root: Option<&Path>, start: bool) -> Result<Vec<String>, ServiceError> {
    running_system(root)?;
    // The service may do everything, and so may who can change what it runs or where it reports to.
    access::check_program(program)?;
    access::check_settings(&crate::os::default_config_file())?;
    let mut done = Vec::new();
    let manager = manager(ServiceManagerAccess::CONNECT | ServiceManagerAccess::CREATE_SERVICE)?;
    let service = match open(&manager, ServiceAccess::ALL_ACCESS) {
        Err(ServiceError::NotInstalled(_)) => {
            let created = manager.create_service(&description_of(program), ServiceAccess::ALL_ACCESS);
            done.push(format!("created the service {NAME}"));
            created.map_err(failed(format!("create the service {NAME}")))?
        }
        Err(error) => return Err(error),
        Ok(service) => {
            set_up_again(&service, program)?;
            done.push(format!("set up the service {NAME} again"));
            service
        }
    };
    configure(&service, &mut done)?;
    let source = system_log::register().map_err(|source| ServiceError::Manager {
        operation: format!("register the source {NAME} of the Event Log"),
        source,
    })?;
    done.push(source);
    if start {
        done.push(start_service(&service)?);
    }
    Ok(done)
}

fn uninstall(root: Option<&Path>) -> Result<Vec<String>, ServiceError> {
    running_system(root)?;
    if let Some(package) = package() {
        return Err(ServiceError::Packaged(package));
    }
    let mut done = Vec::new();
    let manager = manager(ServiceManagerAccess::CONNECT)?;
    match open(&manager, ServiceAccess::STOP | ServiceAccess::QUERY_STATUS | ServiceAccess::DELETE) {
        Err(ServiceError::NotInstalled(_)) => {}
        Err(error) => return Err(error),
        Ok(service) => {
            done.push(stop_service(&service)?);
            service.delete().map_err(failed(format!("delete the service {NAME}")))?;
            done.push(format!("deleted the service {NAME}"));
        }
    }
    let removed = system_log::unregister().map_err(|source| ServiceError::Manager {
        operation: format!("remove the source {NAME} of the Event Log"),
        source,
    })?;
    done.extend(removed);
    let kept = (crate::os::default_config_file(), crate::os::default_state_dir());
    done.push(format!("kept {} (settings) and {} (identity)", kept.0.display(), kept.1.display()));
    Ok(done)
}

fn start() -> Result<Vec<String>, ServiceError> {
    let service = open(&manager(ServiceManagerAccess::CONNECT)?, ServiceAccess::START | ServiceAccess::QUERY_STATUS)?;
    start_service(&service).map(|line| vec![line])
}

fn stop() -> Result<Vec<String>, ServiceError> {
    let service = open(&manager(ServiceManagerAccess::CONNECT)?, ServiceAccess::STOP | ServiceAccess::QUERY_STATUS)?;
    stop_service(&service).map(|line| vec![line])
}

fn status(root: Option<&Path>) -> Result<ServiceStatus, ServiceError> {
    running_system(root)?;
    let mut status = ServiceStatus {
        packaged: package().is_some(),
        unit: None,
        enabled: String::new(),
        active: String::new(),
        status_text: String::new(),
    };
    let access = ServiceAccess::QUERY_STATUS | ServiceAccess::QUERY_CONFIG;
    let service = match open(&manager(ServiceManagerAccess::CONNECT)?, access) {
        Err(ServiceError::NotInstalled(_)) => return Ok(status),
        opened => opened?,
    };
    let config = service.query_config().map_err(failed(format!("read the settings of {NAME}")))?;
    let state = state_of(&service)?;
    let is_delayed =
        LOCAL_MACHINE.open(SERVICE_KEY).and_then(|key| key.get_u32("DelayedAutostart")).is_ok_and(|on| on != 0);
    settings::start_word(config.start_type.to_raw(), is_delayed).clone_into(&mut status.enabled);
    settings::state_word(state.current_state as u32).clone_into(&mut status.active);
    status.unit = Some(PathBuf::from(format!(r"HKLM\{SERVICE_KEY}")));
    status.status_text = match state.process_id.filter(|process| *process != 0) {
        Some(process) => format!("process {process}"),
        None => ending(&state),
    };
    Ok(status)
}

fn running_system(root: Option<&Path>) -> Result<(), ServiceError> {
    root.map_or(Ok(()), |root| Err(ServiceError::NoImage(root.to_owned())))
}

fn description_of(program: &Path) -> ServiceInfo {
    ServiceInfo {
        name: NAME.into(),
        display_name: DISPLAY_NAME.into(),
        service_type: ServiceType::OWN_PROCESS,
        start_type: ServiceStartType::AutoStart,
        error_control: ServiceErrorControl::Normal,
        executable_path: program.to_owned(),
        launch_arguments: vec![OsString::from(ARGUMENT)],
        dependencies: Vec::new(),
        // LocalSystem. An existing service keeps its account.
        account_name: None,
        account_password: None,
    }
}

/// An administrator may run this again, and a package runs it after its own steps. Another program is not replaced.
fn set_up_again(service: &Service, program: &Path) -> Result<(), ServiceError> {
    let config = service.query_config().map_err(failed(format!("read the settings of {NAME}")))?;
    let installed = config.executable_path.display().to_string();
    if !settings::is_same_program(settings::program_of(&installed), &program.display().to_string()) {
        return Err(ServiceError::OtherProgram { installed });
    }
    service.change_config(&description_of(program)).map_err(failed(format!("change the service {NAME}")))
}

/// Sets what the creation of a service cannot. A setting that this service manager does not know is left out, and said so.
fn configure(service: &Service, done: &mut Vec<String>) -> Result<(), ServiceError> {
    let restart = |delay: &Duration| ServiceAction { action_type: ServiceActionType::Restart, delay: *delay };
    let recovery = ServiceFailureActions {
        reset_period: ServiceFailureResetPeriod::After(settings::FAILURES_FORGOTTEN),
        reboot_msg: None,
        command: None,
        actions: Some(settings::RESTART_DELAYS.iter().map(restart).collect()),
    };
    let minutes: Vec<String> =
        settings::RESTART_DELAYS.iter().map(|delay| (delay.as_secs() / 60).to_string()).collect();
    let steps: [(String, windows_service::Result<()>); 7] = [
        ("the description".to_owned(), service.set_description(DESCRIPTION)),
        ("the delayed start".to_owned(), service.set_delayed_auto_start(true)),
        (format!("restarts after {} minutes", minutes.join(", ")), service.update_failure_actions(recovery)),
        ("a restart after an error, too".to_owned(), service.set_failure_actions_on_non_crash_failures(true)),
        (
            "a security identifier of its own".to_owned(),
            service.set_config_service_sid_info(ServiceSidType::Unrestricted),
        ),
        (format!("the least rights ({})", settings::PRIVILEGES.join(", ")), require_privileges(service)),
        ("the time for a shutdown".to_owned(), service.set_preshutdown_timeout(controls::STOP)),
    ];
    for (what, result) in steps {
        match result {
            Ok(()) => done.push(format!("set {what}")),
            Err(Error::Winapi(error)) if error.raw_os_error() == Some(INVALID_LEVEL) => {
                done.push(format!("left out {what}: this service manager does not know it"));
            }
            Err(error) => return Err(failed(format!("set {what}"))(error)),
        }
    }
    Ok(())
}

#[expect(unsafe_code, reason = "the library does not know the rights that a service requires")]
fn require_privileges(service: &Service) -> windows_service::Result<()> {
    let mut names = settings::multi_string(settings::PRIVILEGES);
    let info = SERVICE_REQUIRED_PRIVILEGES_INFOW { pmszRequiredPrivileges: names.as_mut_ptr() };
    // SAFETY: the handle is open; the level names the structure that is passed; its list of strings ends with an empty one; both
    // outlive the call. <https://learn.microsoft.com/windows/win32/api/winsvc/nf-winsvc-changeserviceconfig2w>
    let changed = unsafe {
        ChangeServiceConfig2W(service.raw_handle(), SERVICE_CONFIG_REQUIRED_PRIVILEGES_INFO, (&raw const info).cast())
    };
    if changed == 0 { Err(Error::Winapi(io::Error::last_os_error())) } else { Ok(()) }
}

fn start_service(service: &Service) -> Result<String, ServiceError> {
    match service.start::<&OsStr>(&[]) {
        Ok(()) => {}
        Err(Error::Winapi(error)) if error.raw_os_error() == Some(ALREADY_RUNNING) => {
            if state_of(service)?.current_state != ServiceState::StopPending {
                return Ok(format!("{NAME} is running already"));
            }
            // It counts as running until it has stopped.
            wait_while(service, "stop", |state| state == ServiceState::StopPending)?;
            service.start::<&OsStr>(&[]).map_err(failed(format!("start the service {NAME}")))?;
        }
        Err(error) => return Err(failed(format!("start the service {NAME}"))(error)),
    }
    let state = wait_while(service, "start", |state| state == ServiceState::StartPending)?;
    if state.current_state == ServiceState::Stopped {
        return Err(ServiceError::State(format!("{NAME} has stopped at once ({})", ending(&state))));
    }
    Ok(format!("started {NAME}"))
}

fn stop_service(service: &Service) -> Result<String, ServiceError> {
    match service.stop() {
        Ok(_) => {}
        Err(Error::Winapi(error)) if error.raw_os_error() == Some(NOT_ACTIVE) => {
            return Ok(format!("{NAME} was not running"));
        }
        // It may be stopping already, and then accepts no second control.
        Err(error) => {
            let state = state_of(service)?.current_state;
            if !matches!(state, ServiceState::StopPending | ServiceState::Stopped) {
                return Err(failed(format!("stop the service {NAME}"))(error));
            }
        }
    }
    wait_while(service, "stop", |state| state != ServiceState::Stopped)?;
    Ok(format!("stopped {NAME}"))
}

fn wait_while(service: &Service, what: &str, is_pending: impl Fn(ServiceState) -> bool) -> Result<State, ServiceError> {
    let begun = Instant::now();
    loop {
        let state = state_of(service)?;
        if !is_pending(state.current_state) {
            return Ok(state);
        }
        if begun.elapsed() > PATIENCE {
            return Err(ServiceError::State(format!("{NAME} does not {what} within {} s", PATIENCE.as_secs())));
        }
        std::thread::sleep(SEE);
    }
}

fn state_of(service: &Service) -> Result<State, ServiceError> {
    service.query_status().map_err(failed(format!("query the state of {NAME}")))
}

fn ending(state: &State) -> String {
    match state.exit_code {
        ServiceExitCode::Win32(NEVER_STARTED) => "not started since the start of the machine".to_owned(),
        ServiceExitCode::Win32(0) => "ended without an error".to_owned(),
        ServiceExitCode::Win32(code) => format!("ended with error {code} of Windows"),
        ServiceExitCode::ServiceSpecific(code) => format!("ended with error {code} of its own"),
    }
}

fn manager(access: ServiceManagerAccess) -> Result<ServiceManager, ServiceError> {
    ServiceManager::local_computer(None::<&OsStr>, access).map_err(failed("open the service manager".to_owned()))
}

fn open(manager: &ServiceManager, access: ServiceAccess) -> Result<Service, ServiceError> {
    manager.open_service(NAME, access).map_err(|error| {
        let source = system_error(error);
        match source.raw_os_error() {
            Some(DOES_NOT_EXIST) => ServiceError::NotInstalled(NAME),
            Some(_) | None => ServiceError::Manager { operation: format!("open the service {NAME}"), source },
        }
    })
}

fn failed(operation: String) -> impl FnOnce(Error) -> ServiceError {
    move |error| ServiceError::Manager { operation, source: system_error(error) }
}

/// The entry of the package that installed the service, if one did.
fn package() -> Option<PathBuf> {
    let packages = LOCAL_MACHINE.open(PACKAGES).ok()?;
    let is_ours = |key: &Key| {
        key.get_string("DisplayName").is_ok_and(|name| name == DISPLAY_NAME)
            && key.get_u32("WindowsInstaller").is_ok_and(|by_installer| by_installer != 0)
    };
    let name = packages.keys().ok()?.find(|name| packages.open(name).is_ok_and(|key| is_ours(&key)))?;
    Some(PathBuf::from(format!(r"HKLM\{PACKAGES}\{name}")))
}
