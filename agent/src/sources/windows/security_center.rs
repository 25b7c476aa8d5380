//! `security-center`: the products that registered themselves as antivirus or firewall. Windows Server has no Security Center.
//!
//! The registrations are in Windows Management Instrumentation. The registry has a copy, which shows what was registered when
//! the machine last ran, and is never complete. It is read where nobody can be asked.
//!
//! A registration is a claim of the product: any administrator can write one, and it can outlive its product. The number of
//! its state is kept as it is; the collector has the table of its meanings.

use muster_proto::model::{Kind, Observation, Outcome, ReportedState, SourceName};

use super::host::{ProductType, product_type};
use super::machine;
use super::reader::{Found, Reader};
use crate::sources::parse::windows::image_path::{file_name, of_program};
use crate::sources::parse::windows::wmi::{Answer, Row, WmiError};
use crate::sources::wmi::{Question, Wmi};
use crate::sources::{ScanContext, Source, SourceReading};

const PROVIDERS: &str = r"HKLM\SOFTWARE\Microsoft\Security Center\Provider";
/// Not `timestamp`: it is the time of the last change of the state, and differs on every machine.
const PROPERTIES: &[&str] =
    &["displayName", "instanceGuid", "pathToSignedProductExe", "pathToSignedReportingExe", "productState"];

const fn class(class: &'static str) -> Question {
    Question { class, properties: PROPERTIES }
}

/// Each class with the part of the registry that has its copy, and its category.
const CLASSES: &[(Question, &str, &str)] = &[
    (class(r"root\SecurityCenter2:AntiVirusProduct"), "Av", "antivirus"),
    (class(r"root\SecurityCenter2:AntiSpywareProduct"), "As", "antispyware"),
    (class(r"root\SecurityCenter2:FirewallProduct"), "Fw", "firewall"),
];

/// The attribute with the state of a registration whose program is gone.
const PRODUCT_STATE: &str = "product_state";

pub(super) struct SecurityCenter;

impl Source for SecurityCenter {
    fn name(&self) -> SourceName {
        SourceName::SecurityCenter
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        machine::read(context, |reader| security_center(reader, &context.wmi))
    }
}

pub(super) fn security_center(mut reader: Reader<'_>, wmi: &Wmi) -> SourceReading {
    let answers: Vec<Option<Answer>> = CLASSES.iter().map(|(question, ..)| wmi.ask(question)).collect();
    let is_server = matches!(product_type(&mut reader), Some(ProductType::Server | ProductType::DomainController));
    // On a server a namespace that exists is read all the same.
    let is_missing = |answer: &Option<Answer>| matches!(answer, None | Some(Answer::Error(WmiError::Absent)));
    if is_server && answers.iter().all(is_missing) {
        return SourceReading::not_applicable("Windows Server has no Security Center");
    }
    if answers.iter().all(Option::is_none) { copied(reader) } else { answered(reader, answers) }
}

/// The rows of the classes.
fn answered(mut reader: Reader<'_>, answers: Vec<Option<Answer>>) -> SourceReading {
    let mut faults = Vec::new();
    for ((question, _, category), answer) in CLASSES.iter().zip(answers) {
        let class = question.class;
        match answer {
            Some(Answer::Rows(rows)) => {
                reader.builder.places_found += 1;
                for row in rows {
                    let row = registered(&mut reader, &row, category);
                    reader.add(class, row);
                }
            }
            Some(Answer::Error(error)) => {
                faults.push((error.outcome(), format!("cannot ask {class}: {error}")));
            }
            // The classes are asked together, so one that is missing was not recorded.
            None => faults.push((Outcome::Failed, format!("{class} was not asked"))),
        }
    }
    let Some((first, _)) = faults.first() else { return reader.finish("") };
    // What was found is kept, but the advice is that for a question that hangs.
    let is_hung = faults.iter().any(|(outcome, _)| *outcome == Outcome::TimedOut);
    let outcome = if is_hung { Outcome::TimedOut } else { *first };
    let reading = reader.finish("");
    let reasons = faults.into_iter().map(|(_, reason)| reason);
    let own = Some(reading.reason).filter(|_| reading.outcome == Outcome::Partial);
    let kept = SourceReading::partial(reading.observations, reasons.chain(own).collect::<Vec<_>>().join("; "));
    if is_hung || kept.observations.is_empty() {
        return SourceReading { outcome, ..kept };
    }
    kept
}

fn registered(reader: &mut Reader<'_>, row: &Row, category: &str) -> Observation {
    let state = row.number("productState").map(|state| state.to_string()).unwrap_or_default();
    let (product, reporting) = (row.text("pathToSignedProductExe"), row.text("pathToSignedReportingExe"));
    let program = if reporting.trim().is_empty() { product } else { reporting };
    let texts = [row.text("displayName"), row.text("instanceGuid"), program];
    let mut observation = observation(reader, texts, state, category);
    if is_link(product) {
        // Defender opens as an app, and updates move the program that reports for it.
        if let Some(state) = observation.attributes.remove(PRODUCT_STATE) {
            observation.state = state;
        }
    }
    observation
}

/// Whether the text is the address of an app, such as `windowsdefender://`, and names no program.
fn is_link(program: &str) -> bool {
    program.contains("://")
}

fn observation(reader: &mut Reader<'_>, texts: [&str; 3], state: String, category: &str) -> Observation {
    let [name, id, program] = texts.map(str::trim);
    // Several products of one vendor share an id, so a row without a name has that of its program.
    let names = [name, file_name(program.trim_matches('"')), id];
    let name = names.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
    let mut observation = Observation::new(Kind::Wsc, name);
    id.clone_into(&mut observation.id);
    observation.attributes.insert("category".to_owned(), category.to_owned());
    observation.state = state;
    if program.is_empty() || is_link(program) {
        return observation;
    }
    let found = reader.find(&of_program(program, &reader.folders));
    found.path().clone_into(&mut observation.path);
    if matches!(found, Found::Missing(_)) {
        // Security Center keeps rows of products that are gone.
        let state = std::mem::take(&mut observation.state);
        observation.attributes.insert(PRODUCT_STATE.to_owned(), state);
        observation.set_state(ReportedState::Orphaned);
    }
    observation
}

/// The copy in the registry.
fn copied(mut reader: Reader<'_>) -> SourceReading {
    for (_, part, category) in CLASSES {
        let key = format!("{PROVIDERS}\\{part}");
        for id in reader.keys(&key).unwrap_or_default() {
            let Some(values) = reader.values(&format!("{key}\\{id}")) else { continue };
            let text = |name: &str| values.text(name).unwrap_or_default();
            let (name, program) = (text("DISPLAYNAME"), text("REPORTINGEXE"));
            let program = if program.is_empty() { text("PRODUCTEXE") } else { program };
            let state = values.number("STATE").map(|state| state.to_string()).unwrap_or_default();
            // `@file,-number` refers to a text in that file.
            let name = if name.starts_with('@') { String::new() } else { name };
            let row = observation(&mut reader, [&name, &id, &program], state, category);
            reader.add(&key, row);
        }
    }
    reader
        .builder
        .problem("only a running Windows knows what Security Center says; the registry has at most an old copy");
    reader.finish("")
}
