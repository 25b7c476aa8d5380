//! `host`: edition, version and kind of Windows, and the processor. The names that Windows stores are not used: they are wrong.

use muster_proto::model::{Kind, Observation, SourceName};

use super::machine;
use super::reader::Reader;
use crate::sources::parse::windows::release::release;
use crate::sources::record::Part;
use crate::sources::{ScanContext, Source, SourceReading};

const VERSION: &str = r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion";
const PRODUCT: &str = r"HKLM\SYSTEM\CurrentControlSet\Control\ProductOptions";
const NAME: &str = r"HKLM\SYSTEM\CurrentControlSet\Control\ComputerName\ComputerName";
const ENVIRONMENT: &str = r"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Environment";

pub(super) struct Host;

impl Source for Host {
    fn name(&self) -> SourceName {
        SourceName::Host
    }

    fn read(&self, context: &ScanContext) -> SourceReading {
        machine::read(context, host)
    }
}

/// What Windows is installed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Edition {
    /// `Windows 11 Professional 23H2`.
    name: String,
    /// `10.0.22631.4317`.
    version: String,
    edition: String,
    release: String,
    product_type: Option<ProductType>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProductType {
    Workstation,
    Server,
    DomainController,
}

pub(super) fn host(mut reader: Reader<'_>) -> SourceReading {
    let edition = edition(&mut reader);
    let mut os = Observation::new(Kind::Os, "windows");
    os.version.clone_from(&edition.version);
    let product_type = edition.product_type.map(|kind| match kind {
        ProductType::Workstation => "workstation",
        ProductType::Server => "server",
        ProductType::DomainController => "domain-controller",
    });
    for (name, value) in [
        ("pretty_name", edition.name.as_str()),
        ("edition", &edition.edition),
        ("release", &edition.release),
        ("product_type", product_type.unwrap_or_default()),
    ] {
        if !value.is_empty() {
            os.attributes.insert(name.to_owned(), value.to_owned());
        }
    }
    if edition.version.is_empty() {
        reader.builder.problem(format!("{VERSION} does not say which Windows this is"));
    } else {
        reader.add(VERSION, os);
    }
    let architecture = architecture(&mut reader);
    if !architecture.is_empty() {
        reader.add(ENVIRONMENT, Observation::new(Kind::Machine, architecture));
    }
    reader.finish("")
}

/// Which Windows is installed.
fn edition(reader: &mut Reader<'_>) -> Edition {
    let values = reader.values(VERSION).unwrap_or_default();
    let product_type = product_type(reader);
    let build = values.number("CurrentBuildNumber").or_else(|| values.number("CurrentBuild"));
    let Some(build) = build.and_then(|build| u32::try_from(build).ok()) else {
        return Edition { product_type, ..Edition::default() };
    };
    let major = match (values.number("CurrentMajorVersionNumber"), values.number("CurrentMinorVersionNumber")) {
        (Some(major), Some(minor)) => format!("{major}.{minor}"),
        _ => values.text("CurrentVersion").unwrap_or_else(|| "10.0".to_owned()),
    };
    let revision = values.number("UBR").map(|revision| format!(".{revision}")).unwrap_or_default();
    let edition = values.text("EditionID").unwrap_or_default();
    let is_server = match product_type {
        Some(ProductType::Server | ProductType::DomainController) => true,
        Some(ProductType::Workstation) => false,
        None => edition.starts_with("Server"),
    };
    let known = release(build, is_server);
    let words = [known.map_or("Windows", |it| it.name), &edition, known.map_or("", |it| it.version)];
    let name = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    let release = known.map(|it| it.version.to_owned()).unwrap_or_default();
    Edition { name, version: format!("{major}.{build}{revision}"), edition, release, product_type }
}

/// Whether this is a server, which has no Security Center; `None` if unknown.
pub(super) fn product_type(reader: &mut Reader<'_>) -> Option<ProductType> {
    match reader.text(PRODUCT, "ProductType")?.to_ascii_lowercase().as_str() {
        "winnt" => Some(ProductType::Workstation),
        "servernt" => Some(ProductType::Server),
        "lanmannt" => Some(ProductType::DomainController),
        _ => None,
    }
}

fn architecture(reader: &mut Reader<'_>) -> &'static str {
    match reader.text(ENVIRONMENT, "PROCESSOR_ARCHITECTURE").unwrap_or_default().to_ascii_uppercase().as_str() {
        "AMD64" => "x86_64",
        "ARM64" => "aarch64",
        "X86" => "i686",
        "ARM" => "armv7l",
        _ => "",
    }
}

/// The facts that Windows states about itself. What it does not state stays as it is.
pub(super) const FACTS: Part = Part {
    what: "what Windows says about itself",
    read: |context| {
        let Ok(registry) = &context.registry else { return Box::new(|_| {}) };
        let mut reader = Reader::new(registry.as_ref(), &context.root);
        let edition = edition(&mut reader);
        let hostname = reader.text(NAME, "ComputerName").unwrap_or_default();
        let architecture = architecture(&mut reader).to_owned();
        Box::new(move |record| {
            let facts = &mut record.facts;
            let stated = [
                (&mut facts.hostname, hostname),
                (&mut facts.os_name, edition.name),
                (&mut facts.kernel, edition.version),
                (&mut facts.architecture, architecture),
            ];
            stated.into_iter().filter(|(_, text)| !text.is_empty()).for_each(|(field, text)| *field = text);
        })
    },
    unread: |_| {},
};
