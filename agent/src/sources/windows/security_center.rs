//! `security-center`: the products that registered themselves as antivirus or firewall. Windows Server has no Security Center.
//!
//! The registrations are in Windows Management Instrumentation. The registry has a copy, which shows what was registered when
//! the machine last ran, and is never complete.

use muster_proto::model::{Kind, Observation, Outcome, ReportedState, SourceName};

use super::host::{ProductType, product_type};
use super::machine;
use super::reader::{Found, Reader};
use crate::sources::parse::windows::image_path::of_program;
use crate::sources::parse::windows::wmi::{Answer, Answers, Row};
use crate::sources::{ScanContext, Source, SourceReading};

const PROVIDERS: &str = r"HKLM\SOFTWARE\Microsoft\Security Center\Provider";
/// Each class with the part of the registry that has its copy, and its category.
const CLASSES: &[(&str, &str, &str)] = &[
    (r"root\SecurityCenter2:AntiVirusProduct", "Av", "antivirus"),
    (r"root\SecurityCenter2:AntiSpywareProduct", "As", "antispyware"),
    (r"root\SecurityCenter2:FirewallProduct", "Fw", "firewall"),
];

pub(super) struct SecurityCenter;

impl Source for SecurityCenter {
    fn name(&self) -> SourceName {
        SourceName::SecurityCenter
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        machine::read(context, |reader| security_center(reader, context.wmi.as_deref()))
    }
}

pub(super) fn security_center(mut reader: Reader<'_>, wmi: Option<&Answers>) -> SourceReading {
    let is_asked = wmi.is_some_and(|answers| CLASSES.iter().any(|(class, ..)| answers.of(class).is_some()));
    match product_type(&mut reader) {
        Some(ProductType::Server | ProductType::DomainController) if !is_asked => {
            return SourceReading::not_applicable("Windows Server has no Security Center");
        }
        _ => {}
    }
    match wmi.filter(|_| is_asked) {
        Some(answers) => answered(reader, answers),
        None => copied(reader),
    }
}

/// The rows of the classes.
fn answered(mut reader: Reader<'_>, answers: &Answers) -> SourceReading {
    let mut worst = None;
    for (class, _, category) in CLASSES {
        match answers.of(class) {
            Some(Answer::Rows(rows)) => {
                reader.builder.places_found += 1;
                for row in rows {
                    let row = registered(&mut reader, row, category);
                    reader.add(class, row);
                }
            }
            Some(Answer::Error(error)) => {
                let outcome = outcome_of(error);
                worst.get_or_insert((outcome, format!("cannot ask {class}: {error}")));
            }
            // The classes are asked together, so one that is missing was not recorded.
            None => drop(worst.get_or_insert((Outcome::Failed, format!("{class} was not asked")))),
        }
    }
    let Some((outcome, reason)) = worst else { return reader.finish("") };
    let reading = reader.finish("");
    if reading.observations.is_empty() {
        return SourceReading { outcome, ..SourceReading::failed(reason) };
    }
    SourceReading::partial(reading.observations, reason)
}

/// The outcome of a question without an answer.
pub(super) fn outcome_of(error: &str) -> Outcome {
    match error {
        "denied" => Outcome::Denied,
        "timed-out" => Outcome::TimedOut,
        _ => Outcome::Failed,
    }
}

fn registered(reader: &mut Reader<'_>, row: &Row, category: &str) -> Observation {
    let state = row.number("productState").map(|state| state.to_string()).unwrap_or_default();
    let texts = [row.text("displayName"), row.text("instanceGuid"), row.text("pathToSignedReportingExe")];
    observation(reader, texts, state, category)
}

fn observation(reader: &mut Reader<'_>, texts: [&str; 3], state: String, category: &str) -> Observation {
    let [name, id, program] = texts;
    let mut observation = Observation::new(Kind::Wsc, if name.is_empty() { id } else { name });
    id.clone_into(&mut observation.id);
    observation.attributes.insert("category".to_owned(), category.to_owned());
    observation.state = state;
    // Defender has `windowsdefender://` in place of a program.
    if program.is_empty() || program.contains("://") {
        return observation;
    }
    let found = reader.find(&of_program(program, &reader.windows));
    found.path().clone_into(&mut observation.path);
    if matches!(found, Found::Missing(_)) {
        // Security Center keeps rows of products that are gone.
        let state = std::mem::take(&mut observation.state);
        observation.attributes.insert("product_state".to_owned(), state);
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
    reader.builder.problem("Security Center can be asked on the running system only; the registry has an old copy");
    reader.finish("")
}
