//! Asks the running system's Windows Management Instrumentation. The thread of each question enters COM for itself and leaves it
//! again, so that nothing stays in memory between scans.

use serde_json::Value;
use windows_sys::Win32::System::Com::{
    COINIT_MULTITHREADED, CoInitializeEx, CoInitializeSecurity, CoUninitialize, EOAC_NONE, RPC_C_AUTHN_LEVEL_DEFAULT,
    RPC_C_IMP_LEVEL_IMPERSONATE,
};
use wmi::{Variant, WMIConnection, WMIError};

use crate::sources::parse::windows::wmi::{Answer, ROWS, Row, WmiError};
use crate::sources::wmi::{Instrumentation, Question};

/// Windows Management Instrumentation of the running system.
#[derive(Debug)]
pub(in crate::sources) struct LiveWmi;

impl Instrumentation for LiveWmi {
    fn ask(&self, question: &Question) -> Answer {
        match rows(question) {
            // What a recording may not hold is no answer.
            Ok(rows) if rows.len() > ROWS => {
                Answer::Error(WmiError::Failed(format!("{} has more than {ROWS} rows", question.class)))
            }
            Ok(rows) => Answer::Rows(rows),
            Err(error) => Answer::Error(of_wmi(&error)),
        }
    }
}

fn of_wmi(error: &WMIError) -> WmiError {
    if let WMIError::HResultError { hres } = error {
        WmiError::of_code(hres.cast_unsigned())
    } else {
        WmiError::Failed(error.to_string())
    }
}

/// COM on this thread, until this is dropped.
struct Com;

impl Com {
    #[expect(unsafe_code, reason = "the standard library does not know COM")]
    fn enter() -> Result<Self, WMIError> {
        // SAFETY: the reserved pointer is null, and `Drop` leaves COM once on the same thread, since `Com` does not leave this
        // function's caller. <https://learn.microsoft.com/windows/win32/api/combaseapi/nf-combaseapi-coinitializeex>
        let entered = unsafe { CoInitializeEx(std::ptr::null(), COINIT_MULTITHREADED.cast_unsigned()) };
        if entered < 0 {
            return Err(WMIError::HResultError { hres: entered });
        }
        // Providers act as the agent, which the default of COM does not allow. If the process has set its security before,
        // this fails and what was set stays.
        // SAFETY: every pointer is null and the number of services is -1, with which COM chooses both.
        // <https://learn.microsoft.com/windows/win32/api/combaseapi/nf-combaseapi-coinitializesecurity>
        unsafe {
            CoInitializeSecurity(
                std::ptr::null_mut(),
                -1,
                std::ptr::null(),
                std::ptr::null(),
                RPC_C_AUTHN_LEVEL_DEFAULT,
                RPC_C_IMP_LEVEL_IMPERSONATE,
                std::ptr::null(),
                EOAC_NONE.cast_unsigned(),
                std::ptr::null(),
            )
        };
        Ok(Self)
    }
}

impl Drop for Com {
    #[expect(unsafe_code, reason = "the standard library does not know COM")]
    fn drop(&mut self) {
        // SAFETY: this thread has entered COM once for each `Com`, and every object of it was dropped before.
        // <https://learn.microsoft.com/windows/win32/api/combaseapi/nf-combaseapi-couninitialize>
        unsafe { CoUninitialize() };
    }
}

fn rows(question: &Question) -> Result<Vec<Row>, WMIError> {
    let com = Com::enter()?;
    let (namespace, class) = question.place();
    let rows = rows_of(question.properties, &WMIConnection::with_namespace_path(namespace)?, class);
    drop(com);
    rows
}

fn rows_of(properties: &[&str], connection: &WMIConnection, class: &str) -> Result<Vec<Row>, WMIError> {
    let mut rows = Vec::new();
    // A query that names a property which this version of the class does not have fails as a whole.
    for object in connection.exec_query(format!("SELECT * FROM {class}"))? {
        let object = object?;
        let mut row = Row::default();
        for name in properties {
            if let Some(value) = object.get_property(name).ok().and_then(value) {
                row.set(name, value);
            }
        }
        rows.push(row);
        if rows.len() > ROWS {
            break;
        }
    }
    Ok(rows)
}

/// A text, a number or a flag.
fn value(variant: Variant) -> Option<Value> {
    match variant {
        Variant::String(text) => Some(text.into()),
        Variant::Bool(flag) => Some(flag.into()),
        Variant::I1(number) => Some(number.into()),
        Variant::I2(number) => Some(number.into()),
        Variant::I4(number) => Some(number.into()),
        Variant::I8(number) => Some(number.into()),
        Variant::UI1(number) => Some(number.into()),
        Variant::UI2(number) => Some(number.into()),
        Variant::UI4(number) => Some(number.into()),
        Variant::UI8(number) => Some(number.into()),
        Variant::R4(_)
        | Variant::R8(_)
        | Variant::Empty
        | Variant::Null
        | Variant::Array(_)
        | Variant::Unknown(_)
        | Variant::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(question: &Question) -> Answer {
        let asked = *question;
        // COM is entered on a thread that nothing else uses.
        std::thread::spawn(move || LiveWmi.ask(&asked)).join().expect("an answer")
    }

    #[test]
    fn the_system_answers_with_texts_and_numbers() {
        let system = Question {
            class: r"root\cimv2:Win32_OperatingSystem",
            properties: &["Caption", "ProductType", "OSLanguage", "MusterNone"],
        };
        let Answer::Rows(rows) = ask(&system) else { panic!("no rows") };
        assert_eq!(rows.len(), 1);
        assert!(rows[0].text("caption").contains("Windows"), "{:?}", rows[0]);
        assert!(rows[0].number("ProductType").is_some_and(|kind| (1..=3).contains(&kind)), "{:?}", rows[0]);
        assert_eq!(rows[0].number("MusterNone"), None);
    }

    #[test]
    fn a_namespace_and_a_class_that_do_not_exist_are_absent() {
        let namespace = Question { class: r"root\MusterNone:AntiVirusProduct", properties: &["displayName"] };
        assert_eq!(ask(&namespace), Answer::Error(WmiError::Absent));
        let class = Question { class: r"root\cimv2:MusterNone", properties: &["displayName"] };
        // Windows says that the class is unknown; Wine 8 has no rows of it.
        let answer = ask(&class);
        assert!(matches!(answer, Answer::Error(WmiError::Absent)) || answer == Answer::Rows(Vec::new()), "{answer:?}");
        // Wine 8 does not have it, which is what a client without Security Center answers.
        let security = Question { class: r"root\SecurityCenter2:AntiVirusProduct", properties: &["displayName"] };
        assert!(matches!(ask(&security), Answer::Error(WmiError::Absent) | Answer::Rows(_)));
    }
}
