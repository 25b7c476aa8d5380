//! What Windows Management Instrumentation answers, or does not, and what each source makes of it.

use muster_proto::model::{Outcome, Watchlist};

use super::{Machine, rows, wmi};
use crate::sources::registry::RegistryError;
use crate::sources::registry::memory::MemoryRegistry;
use crate::sources::root::Root;
use crate::sources::windows::defender::{STATUS, defender};
use crate::sources::windows::processes::processes;
use crate::sources::windows::security_center::security_center;
use crate::sources::windows::service_status::ServiceStatus;
use crate::sources::windows::state::boot::boot_id;
use crate::sources::windows::state::of_defender;
use crate::sources::windows::state::services::watched;
use crate::sources::wmi::{Question, Wmi};
use crate::sources::{ScanContext, SourceReading};

const SETTINGS: &str = r"HKLM\SOFTWARE\Microsoft\Windows Defender";
const PRODUCT: &str = r"HKLM\SYSTEM\CurrentControlSet\Control\ProductOptions";

fn of_kind(registry: MemoryRegistry, product_type: &str) -> MemoryRegistry {
    registry.with_text(PRODUCT, "ProductType", product_type)
}

fn desktop() -> Machine {
    Machine::new().with(|registry| of_kind(registry, "WinNT"))
}

/// Security Center's answer to every class: an error, or rows of the first class.
fn security_answers(error: &str, antivirus: &[&str]) -> Wmi {
    let mut lines = Vec::new();
    for class in ["AntiVirusProduct", "AntiSpywareProduct", "FirewallProduct"] {
        let class = format!(r"root\\SecurityCenter2:{class}");
        lines.push(match error {
            "" => format!("{{\"class\":\"{class}\"}}"),
            error => format!("{{\"class\":\"{class}\",\"error\":\"{error}\"}}"),
        });
    }
    let row = |row: &&str| format!("{{\"class\":\"root\\\\SecurityCenter2:AntiVirusProduct\",\"row\":{row}}}");
    lines.extend(antivirus.iter().map(row));
    wmi(&lines.join("\n"))
}

fn defender_answer(text: &str) -> Wmi {
    wmi(&format!("{{\"class\":\"root\\\\Microsoft\\\\Windows\\\\Defender:MSFT_MpComputerStatus\"{text}}}"))
}

#[test]
fn a_security_center_that_is_missing_is_a_fault_on_a_client_only() {
    for (kind, expected) in
        [("WinNT", Outcome::Failed), ("ServerNT", Outcome::NotApplicable), ("LanmanNT", Outcome::NotApplicable)]
    {
        let machine = Machine::new().with(|registry| of_kind(registry, kind));
        let reading = machine.read(|reader| security_center(reader, &security_answers("absent", &[])));
        assert_eq!(reading.outcome, expected, "{kind}: {}", reading.reason);
        assert!(!reading.reason.is_empty(), "{kind}");
    }
    let unknown = Machine::new().read(|reader| security_center(reader, &security_answers("absent", &[])));
    assert_eq!(unknown.outcome, Outcome::Failed, "nobody knows that it is a server");
    let rows = security_answers("", &[r#"{"displayName":"Norton 360","productState":397312}"#]);
    let server = Machine::new().with(|registry| of_kind(registry, "ServerNT"));
    assert_eq!(server.read(|reader| security_center(reader, &rows)).outcome, Outcome::Found, "it has one all the same");
}

#[test]
fn a_security_center_that_refuses_or_hangs_keeps_its_outcome_on_every_machine() {
    for kind in ["WinNT", "ServerNT"] {
        for (error, expected) in
            [("denied", Outcome::Denied), ("timed-out", Outcome::TimedOut), ("error 7", Outcome::Failed)]
        {
            let machine = Machine::new().with(|registry| of_kind(registry, kind));
            let reading = machine.read(|reader| security_center(reader, &security_answers(error, &[])));
            assert_eq!(reading.outcome, expected, "{kind} {error}: {}", reading.reason);
            assert!(reading.reason.starts_with(r"cannot ask root\SecurityCenter2:"), "{}", reading.reason);
        }
    }
}

#[test]
fn rows_that_came_before_a_question_that_hangs_are_kept() {
    let lines = "{\"class\":\"root\\\\SecurityCenter2:AntiVirusProduct\",\"row\":{\"displayName\":\"Kaspersky\",\"productState\":266240}}\n\
                 {\"class\":\"root\\\\SecurityCenter2:AntiSpywareProduct\"}\n\
                 {\"class\":\"root\\\\SecurityCenter2:FirewallProduct\",\"error\":\"timed-out\"}";
    let reading = desktop().read(|reader| security_center(reader, &wmi(lines)));
    assert_eq!((reading.outcome, reading.observations.len()), (Outcome::TimedOut, 1));
    let reading = desktop().read(|reader| security_center(reader, &wmi(&lines.replace("timed-out", "denied"))));
    assert_eq!((reading.outcome, reading.observations.len()), (Outcome::Partial, 1));
}

/// Every value that public tools and inventories report.
#[test]
fn the_number_of_the_state_is_kept_as_it_is() {
    for state in [
        262_144_u32,
        262_160,
        266_240,
        266_256,
        270_336,
        327_696,
        331_776,
        335_872,
        344_064,
        393_216,
        397_312,
        393_472,
        393_488,
        397_568,
        397_584,
        401_664,
        462_848,
        274_432,
        0,
        1,
        u32::MAX,
    ] {
        let row = format!(r#"{{"displayName":"X","productState":{state}}}"#);
        let reading = desktop().read(|reader| security_center(reader, &security_answers("", &[&row])));
        assert_eq!(reading.observations[0].state, state.to_string());
    }
}

#[test]
fn products_of_one_id_are_told_apart_by_name_and_program() {
    let id = "{86367591-4BE4-AE08-2FD9-7FCB8259CD98}";
    let row = |name: &str, program: &str| {
        format!(
            r#"{{"displayName":"{name}","instanceGuid":"{id}","pathToSignedReportingExe":"{program}","productState":266240}}"#
        )
    };
    let named = [
        row("Kaspersky Internet Security", r"C:\\K\\avp.exe"),
        row("Kaspersky Endpoint Security для Windows", r"%ProgramFiles%\\K\\avp.exe"),
        row("", r#"\"C:\\K\\wmiav.exe\""#),
    ];
    let named: Vec<&str> = named.iter().map(String::as_str).collect();
    let machine = desktop().file("K/avp.exe", "MZ").file("K/wmiav.exe", "MZ").file("Program Files/K/avp.exe", "MZ");
    let reading = machine.read(|reader| security_center(reader, &security_answers("", &named)));
    let expected = [
        format!(
            r"Kaspersky Endpoint Security для Windows id={id} path=C:\Program Files\K\avp.exe state=266240 category=antivirus"
        ),
        format!(r"Kaspersky Internet Security id={id} path=C:\K\avp.exe state=266240 category=antivirus"),
        format!(r"wmiav.exe id={id} path=C:\K\wmiav.exe state=266240 category=antivirus"),
    ];
    assert_eq!((rows(&reading), reading.outcome), (expected.to_vec(), Outcome::Found));
}

#[test]
fn a_registration_whose_program_is_gone_is_orphaned() {
    let gone = r#"{"displayName":"Surfshark","productState":266240,"pathToSignedReportingExe":"C:\\gone\\x.exe"}"#;
    let product = r#"{"displayName":"Other","productState":266240,"pathToSignedProductExe":"%ProgramFiles%\\o.exe"}"#;
    let reading = desktop().read(|reader| security_center(reader, &security_answers("", &[gone, product])));
    let expected = [
        r"Other path=C:\Program Files\o.exe state=orphaned category=antivirus product_state=266240",
        r"Surfshark path=C:\gone\x.exe state=orphaned category=antivirus product_state=266240",
    ];
    assert_eq!((rows(&reading), reading.outcome), (expected.map(str::to_owned).to_vec(), Outcome::Found));
}

#[test]
fn defender_is_not_gone_when_an_update_has_moved_its_program() {
    let row = r#"{"displayName":"Windows Defender","productState":397568,"pathToSignedProductExe":"windowsdefender://",
        "pathToSignedReportingExe":"%ProgramFiles%\\Windows Defender\\MsMpeng.exe"}"#;
    let row = row.replace('\n', "");
    let reading = desktop().read(|reader| security_center(reader, &security_answers("", &[&row])));
    let expected =
        r"Windows Defender path=C:\Program Files\Windows Defender\MsMpeng.exe state=397568 category=antivirus";
    assert_eq!(rows(&reading), [expected]);
}

fn installed() -> Machine {
    Machine::new().with(|registry| {
        registry
            .with_text(SETTINGS, "InstallLocation", r"C:\ProgramData\Microsoft\Windows Defender\Platform\4.18")
            .with_number(&format!("{SETTINGS}\\Real-Time Protection"), "DisableRealtimeMonitoring", 1)
    })
}

#[test]
fn the_settings_of_defender_are_read_whether_or_not_it_answers() {
    let row = |mode: &str| format!(r#","row":{{"AMRunningMode":"{mode}","AMServiceEnabled":true}}"#);
    let cases = [
        (row("Normal"), "Normal", Outcome::Found),
        (row("Passive Mode"), "Passive Mode", Outcome::Found),
        (row("SxS Passive Mode"), "SxS Passive Mode", Outcome::Found),
        (row("EDR Block Mode"), "EDR Block Mode", Outcome::Found),
        (row("Not running"), "Not running", Outcome::Found),
        (row(""), "", Outcome::Found),
        (r#","error":"timed-out""#.to_owned(), "", Outcome::TimedOut),
        (r#","error":"denied""#.to_owned(), "", Outcome::Partial),
        (r#","error":"error 7""#.to_owned(), "", Outcome::Partial),
        (String::new(), "", Outcome::Partial),
    ];
    for (text, state, outcome) in cases {
        let reading = installed().read(|reader| defender(reader, &defender_answer(&text)));
        assert_eq!(reading.outcome, outcome, "{text}: {}", reading.reason);
        let row = &reading.observations[0];
        assert_eq!((row.state.as_str(), reading.observations.len()), (state, 1), "{text}");
        assert_eq!(row.attributes.get("realtime_disabled").map(String::as_str), Some("yes"), "{text}");
    }
}

#[test]
fn a_server_without_the_feature_of_defender_has_none() {
    let absent = defender_answer(r#","error":"absent""#);
    let removed = |machine: Machine| machine.read(|reader| defender(reader, &absent)).outcome;
    assert_eq!(removed(installed()), Outcome::NotApplicable);
    assert_eq!(removed(Machine::new()), Outcome::NotApplicable);
    let service = r"HKLM\SYSTEM\CurrentControlSet\Services\WinDefend";
    let with_service = installed().with(|registry| registry.with_number(service, "Type", 16));
    assert_eq!(removed(with_service), Outcome::Partial, "the service is there, and so is Defender");
    let denied = installed().with(|registry| registry.with_error(service, RegistryError::Denied));
    assert_eq!(removed(denied), Outcome::Partial, "nobody knows whether the service is there");
}

#[test]
fn an_answer_of_defender_needs_no_settings_and_no_answer_invents_nothing() {
    let answer = defender_answer(r#","row":{"AMRunningMode":"Normal"}"#);
    let answered = Machine::new().read(|reader| defender(reader, &answer));
    assert_eq!((answered.outcome, answered.observations.len()), (Outcome::Found, 1));
    let hung = defender_answer(r#","error":"timed-out""#);
    let hung = Machine::new().read(|reader| defender(reader, &hung));
    assert_eq!((hung.outcome, hung.observations.len()), (Outcome::TimedOut, 0));
}

const PROCESSES: Question = Question { class: r"root\cimv2:Win32_Process", properties: &[] };

fn listed(text: &str) -> SourceReading {
    let answer = wmi(text).ask(&PROCESSES);
    Machine::new().read(|reader| processes(reader, answer, &["avpui".to_owned(), "MsMpEng.exe".to_owned()]))
}

#[test]
fn processes_are_those_that_the_watchlist_names() {
    let reading = listed(
        r#"{"class":"root\\cimv2:Win32_Process","row":{"Name":"AVPUI.exe","ExecutablePath":"C:\\K\\avpui.exe","CommandLine":"secret"}}
{"class":"root\\cimv2:Win32_Process","row":{"Name":"notepad.exe"}}"#,
    );
    assert_eq!((rows(&reading), reading.outcome), (vec!["AVPUI.exe path=C:\\K\\avpui.exe".to_owned()], Outcome::Found));
    assert_eq!(listed("{\"class\":\"root\\\\cimv2:Win32_Process\",\"row\":{\"Name\":\"x\"}}").outcome, Outcome::Empty);
    assert_eq!(listed("{\"class\":\"root\\\\cimv2:Win32_Process\"}").outcome, Outcome::Failed);
    assert_eq!(listed("").outcome, Outcome::NotApplicable);
    for (error, outcome) in [("timed-out", Outcome::TimedOut), ("denied", Outcome::Denied), ("x", Outcome::Failed)] {
        let text = format!("{{\"class\":\"root\\\\cimv2:Win32_Process\",\"error\":\"{error}\"}}");
        assert_eq!(listed(&text).outcome, outcome, "{error}");
    }
}

#[test]
fn a_process_without_a_path_makes_the_list_partial() {
    let reading = listed(r#"{"class":"root\\cimv2:Win32_Process","row":{"Name":"msmpeng.EXE"}}"#);
    assert_eq!((rows(&reading), reading.outcome), (vec!["msmpeng.EXE".to_owned()], Outcome::Partial));
    assert_eq!(reading.reason, "the path of the program msmpeng.EXE is unknown");
}

/// A scan of a machine with this answer of Defender.
fn context(answer: &Wmi) -> ScanContext {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = Root::below(folder.path()).expect("a root");
    ScanContext { wmi: answer.clone(), ..ScanContext::new(root, Watchlist::default()) }
}

#[test]
fn what_defender_says_of_its_protection_and_signatures_is_in_the_state() {
    let row = |mode: &str| {
        defender_answer(&format!(
            r#","row":{{"AMRunningMode":"{mode}","AMServiceEnabled":true,"AntivirusEnabled":true,"RealTimeProtectionEnabled":true,
               "AntivirusSignatureVersion":"1.421.1.0","AntivirusSignatureLastUpdated":"20261122083900.000000+000"}}"#
        ).replace('\n', ""))
    };
    for (mode, on) in [("Normal", true), ("Passive Mode", false), ("EDR Block Mode", false)] {
        let (evidence, signatures) = of_defender(&context(&row(mode)));
        assert_eq!(evidence.map(|it| (it.place, it.on)), Some((STATUS.class.to_owned(), on)), "{mode}");
        let signatures = signatures.expect("signatures");
        assert_eq!((signatures.version.as_str(), signatures.released.is_some()), ("1.421.1.0", true));
    }
    for answer in [Wmi::default(), defender_answer(r#","error":"timed-out""#), defender_answer("")] {
        assert_eq!(of_defender(&context(&answer)), (None, None));
    }
}

#[test]
fn watched_services_and_drivers_are_those_of_the_service_manager() {
    let status = |name: &str, is_running, is_driver| ServiceStatus { name: name.to_owned(), is_running, is_driver };
    let all = [
        status("AVP21.3", true, false),
        status("KLIF", true, true),
        status("klhk", false, true),
        status("WinDefend", false, false),
        status("Schedule", true, false),
        status("klif.sys", true, false),
    ];
    let patterns = ["avp*", "klif.sys", "klhk.sys", "windefend"].map(str::to_owned);
    let (units, outcome) = watched(&patterns, &all);
    let shown: Vec<(&str, bool)> = units.iter().map(|unit| (unit.name.as_str(), unit.active)).collect();
    let expected = [("AVP21.3", true), ("KLIF", true), ("WinDefend", false), ("klhk", false), ("klif.sys", true)];
    assert_eq!((shown.as_slice(), outcome), (&expected[..], Outcome::Found));
    assert_eq!(watched(&["none".to_owned()], &all), (Vec::new(), Outcome::Empty));
    for none in [Vec::new(), vec![status("klif", true, true)], vec![status("AVP", false, false)]] {
        assert_eq!(watched(&patterns, &none), (Vec::new(), Outcome::Failed), "no service runs");
    }
}

#[test]
fn a_start_is_named_by_its_count_and_otherwise_by_its_time() {
    let key = r"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Memory Management\PrefetchParameters";
    let id = |machine: &Machine| machine.state(|reader| boot_id(reader, || Some(7)));
    assert_eq!(id(&Machine::new().with(|registry| registry.with_number(key, "BootId", 1234))), "boot-1234");
    assert_eq!(id(&Machine::new()), "started-7");
    assert_eq!(id(&Machine::new().with(|registry| registry.with_number(key, "BootId", 0))), "started-7");
    let denied = Machine::new().with(|registry| registry.with_error(key, RegistryError::Denied));
    assert_eq!(id(&denied), "", "another form would look like a start");
    assert_eq!(Machine::new().state(|reader| boot_id(reader, || None)), "");
}
