//! Puts a record of an inventory where it would be on a Windows machine: into hives, files and answers of Windows Management
//! Instrumentation.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use rcgen::{CertificateParams, DnType, KeyPair};
use serde::Deserialize;
use serde_json::{Value, json};

/// A row that an inventory prints, and what it is.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Record {
    pub(super) platform: String,
    pub(super) source_kind: String,
    pub(super) name: String,
    #[serde(default)]
    pub(super) vendor: String,
    #[serde(default)]
    pub(super) version: String,
    #[serde(default)]
    pub(super) id: String,
    pub(super) expect: Option<String>,
    pub(super) expect_product: Option<String>,
    #[serde(default)]
    pub(super) note: String,
}

impl Record {
    fn is_prohibited(&self) -> bool {
        self.expect.as_deref() == Some("prohibited")
    }
}

/// A row of Security Center.
pub(super) struct Registration<'r> {
    pub(super) record: &'r Record,
    /// `productState`.
    pub(super) state: u32,
    /// Its program does not exist any more.
    pub(super) is_gone: bool,
}

/// The values of one key: name, type and bytes.
type Values = Vec<(String, u32, Vec<u8>)>;

/// A machine: the keys of its hives by file, its files, and what it answers.
#[derive(Default)]
pub(super) struct Machine {
    hives: BTreeMap<&'static str, BTreeMap<Vec<String>, Values>>,
    files: BTreeMap<String, Vec<u8>>,
    folders: Vec<String>,
    add_ons: Vec<Value>,
    answers: Vec<Value>,
}

pub(super) const SOFTWARE: &str = "Windows/System32/config/SOFTWARE";
pub(super) const SYSTEM: &str = "Windows/System32/config/SYSTEM";
pub(super) const JANE: &str = "Users/jane/NTUSER.DAT";
const OLA: &str = "Users/ola/NTUSER.DAT";
/// Of which language does not matter: readers must know the file by its start alone.
const PROGRAM: &[u8] = b"MZ\x90 a program of a test";
const CLASSES: [&str; 3] = ["AntiVirusProduct", "AntiSpywareProduct", "FirewallProduct"];

impl Machine {
    /// A desktop with nothing but what every Windows has.
    pub(super) fn desktop() -> Self {
        let mut machine = Self::default();
        let version = r"Microsoft\Windows NT\CurrentVersion";
        for (name, text) in
            [("SystemRoot", r"C:\Windows"), ("CurrentBuildNumber", "22631"), ("EditionID", "Professional")]
        {
            machine.text(SOFTWARE, version, name, text);
        }
        for (number, home) in [(1001, r"C:\Users\jane"), (1002, r"C:\Users\ola")] {
            let profile = format!(r"{version}\ProfileList\S-1-5-21-1-2-3-{number}");
            machine.text(SOFTWARE, &profile, "ProfileImagePath", home);
        }
        let uninstall = r"Microsoft\Windows\CurrentVersion\Uninstall\7-Zip";
        machine.text(SOFTWARE, uninstall, "DisplayName", "7-Zip 24.09 (x64)");
        for key in ["WOW6432Node", r"Microsoft\SystemCertificates\ROOT\Certificates"] {
            machine.key(SOFTWARE, key);
        }
        machine.number(SYSTEM, "Select", "Current", 1);
        machine.text(SYSTEM, r"ControlSet001\Control\ProductOptions", "ProductType", "WinNT");
        machine.service("Schedule", "", 32, r"%SystemRoot%\system32\svchost.exe -k netsvcs");
        machine.service("disk", "", 1, r"System32\drivers\disk.sys");
        machine.service("FileInfo", "", 2, r"system32\drivers\fileinfo.sys");
        machine.text(SYSTEM, r"ControlSet001\Services\FileInfo\Instances\FileInfo", "Altitude", "40500");
        for file in ["svchost.exe", "drivers/disk.sys", "drivers/fileinfo.sys"] {
            machine.program(&format!("Windows/System32/{file}"));
        }
        for hive in [JANE, OLA] {
            machine.key(hive, "Software");
        }
        for class in CLASSES {
            machine.answers.push(json!({ "class": format!(r"root\SecurityCenter2:{class}") }));
        }
        machine.process("explorer.exe", r"C:\Windows\explorer.exe");
        machine
    }

    /// Adds a record at its place; `number` spreads the records over views and users.
    pub(super) fn add(&mut self, record: &Record, number: usize) -> Result<()> {
        let Record { name, id, .. } = record;
        match record.source_kind.as_str() {
            "uninstall_key" | "uninstall" => self.uninstall(record, number),
            "service" => {
                let folder = if record.is_prohibited() { "Program Files (x86)/Kaspersky Lab" } else { "Program Files" };
                let program = format!("{folder}/{number}/service.exe");
                self.program(&program);
                let program = format!(r"C:\{}", program.replace('/', r"\"));
                let key = if id.is_empty() { name } else { id };
                self.service(key, name, 16, &program);
            }
            "driver" => {
                let key = name.strip_suffix(".sys").unwrap_or(name);
                self.program(&format!("Windows/System32/drivers/{key}.sys"));
                self.service(key, "", 1, &format!(r"\SystemRoot\System32\drivers\{key}.sys"));
            }
            "path" | "file_path" => {
                let path = if id.is_empty() { name } else { id };
                // Harmless records have names of other things, too, which no volume has.
                let is_planted = self.path(path);
                ensure!(is_planted || !record.is_prohibited(), "{path} is not on the volume of Windows");
            }
            "registry" => self.registry(record)?,
            "process" | "process_path" => {
                let own = format!(r"C:\Program Files (x86)\Kaspersky Lab\{number}\{name}");
                let path = if record.is_prohibited() && !id.contains('\\') { own.as_str() } else { id };
                self.process(name, path);
            }
            "wsc" => self.answers.push(json!({ "class": format!(r"root\SecurityCenter2:{}", CLASSES[0]), "row": {
                "displayName": name, "instanceGuid": id, "productState": 266_240,
            } })),
            "browser_extension" => self.extension(record),
            "cert" => self.certificate(record)?,
            other => bail!("no place for records of the kind {other}"),
        }
        Ok(())
    }

    /// Adds a row of Security Center with its program.
    pub(super) fn register(&mut self, registration: &Registration<'_>) {
        let Registration { record, state, is_gone } = registration;
        let folder = if record.is_prohibited() { "Program Files (x86)/Kaspersky Lab" } else { "Program Files/Vendor" };
        let program = format!("{folder}/wsc/reporting.exe");
        if !is_gone {
            self.program(&program);
        }
        self.answers.push(json!({ "class": format!(r"root\SecurityCenter2:{}", CLASSES[0]), "row": {
            "displayName": record.name, "instanceGuid": record.id, "productState": state,
            "pathToSignedReportingExe": format!(r"C:\{}", program.replace('/', r"\")),
        } }));
    }

    /// Adds Microsoft Defender in a running mode, with every switch on.
    pub(super) fn defender(&mut self, mode: &str) {
        let settings = r"Microsoft\Windows Defender";
        self.text(SOFTWARE, settings, "InstallLocation", r"C:\Program Files\Windows Defender");
        self.program("Program Files/Windows Defender/MsMpEng.exe");
        self.service("WinDefend", "", 16, r#""C:\Program Files\Windows Defender\MsMpEng.exe""#);
        self.answers.push(json!({ "class": r"root\Microsoft\Windows\Defender:MSFT_MpComputerStatus", "row": {
            "AMRunningMode": mode, "AMServiceEnabled": true, "AntivirusEnabled": true, "RealTimeProtectionEnabled": true,
        } }));
    }

    /// Makes the machine a server.
    pub(super) fn serve(&mut self) {
        self.text(SYSTEM, r"ControlSet001\Control\ProductOptions", "ProductType", "ServerNT");
    }

    /// Replaces the answer of every class of a namespace by an error.
    pub(super) fn refuse(&mut self, classes: &[&str], error: &str) {
        for class in classes {
            self.answers.retain(|answer| answer["class"] != *class);
            self.answers.push(json!({ "class": class, "error": error }));
        }
    }

    fn uninstall(&mut self, record: &Record, number: usize) {
        let (hive, top) = match number % 4 {
            0 => (SOFTWARE, "Microsoft"),
            1 => (SOFTWARE, r"WOW6432Node\Microsoft"),
            2 => (JANE, r"Software\Microsoft"),
            _ => (OLA, r"Software\WOW6432Node\Microsoft"),
        };
        let id = if record.id.is_empty() { &record.name } else { &record.id };
        // Rows of several languages can have one product code, so each has a view of its own in the machine with all records.
        let key = format!(r"{top}\Windows\CurrentVersion\Uninstall\{}", id.replace('\\', " "));
        for (name, text) in
            [("DisplayName", &record.name), ("Publisher", &record.vendor), ("DisplayVersion", &record.version)]
        {
            if !text.is_empty() {
                self.text(hive, &key, name, text);
            }
        }
    }

    /// Makes the file or folder of a path; `false` if it is not on the volume of Windows.
    fn path(&mut self, path: &str) -> bool {
        let Some(below) = path.strip_prefix(r"C:\") else { return false };
        // NTFS has one folder where Linux has two that differ in case.
        let below = below.replace('\\', "/").replace("Windows/system32/DRIVERS", "Windows/System32/drivers");
        let name = below.rsplit('/').next().unwrap_or(&below);
        if [".exe", ".dll", ".sys", ".com"].iter().any(|ending| name.ends_with(ending)) {
            self.program(&below);
        } else if name.contains('.') {
            self.files.insert(below, b"text".to_vec());
        } else {
            self.folders.push(below);
        }
        true
    }

    fn registry(&mut self, record: &Record) -> Result<()> {
        let (key, value) = record.name.split_once(" : ").map_or((record.name.as_str(), None), |(k, v)| (k, Some(v)));
        let (top, below) = key.split_once('\\').context("a key without a hive")?;
        let (hive, below) = match (top, below.split_once('\\').context("a hive alone")?) {
            ("HKLM", ("SOFTWARE", below)) => (SOFTWARE, below.to_owned()),
            ("HKLM", ("SYSTEM", below)) => (SYSTEM, below.replacen("CurrentControlSet", "ControlSet001", 1)),
            ("HKCU", _) => (JANE, below.to_owned()),
            _ => bail!("no hive for {key}"),
        };
        self.key(hive, &below);
        // A key without anything in it is what an uninstaller leaves.
        self.text(hive, &below, value.unwrap_or("Planted"), "yes");
        for (name, text) in [("Publisher", &record.vendor), ("DisplayVersion", &record.version)] {
            if !text.is_empty() {
                self.text(hive, &below, name, text);
            }
        }
        Ok(())
    }

    fn extension(&mut self, record: &Record) {
        let Record { name, id, version, .. } = record;
        if id.ends_with(".host") {
            self.key(SOFTWARE, &format!(r"Google\Chrome\NativeMessagingHosts\{id}"));
        } else if id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_lowercase()) {
            let version = if version.is_empty() { "1.0" } else { version };
            let folder = format!("Users/ola/AppData/Local/Google/Chrome/User Data/Default/Extensions/{id}/{version}_0");
            let manifest = json!({ "name": name, "version": version, "author": record.vendor });
            self.files.insert(format!("{folder}/manifest.json"), manifest.to_string().into_bytes());
        } else {
            self.add_ons.push(json!({
                "id": id, "version": version, "type": "extension", "location": "app-profile", "active": true,
                "defaultLocale": { "name": name, "creator": record.vendor },
            }));
        }
    }

    fn certificate(&mut self, record: &Record) -> Result<()> {
        let part = |name: &str| record.name.split(", ").find_map(|part| part.strip_prefix(name));
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, part("CN=").unwrap_or(&record.name));
        params.distinguished_name.push(DnType::OrganizationName, part("O=").unwrap_or(&record.vendor));
        let certificate = params.self_signed(&KeyPair::generate()?)?;
        let length = u32::try_from(certificate.der().len())?;
        let blob = [&32_u32.to_le_bytes()[..], &1_u32.to_le_bytes(), &length.to_le_bytes(), certificate.der()].concat();
        let key = format!(r"Microsoft\SystemCertificates\ROOT\Certificates\{:016X}", record.name.len());
        self.value(SOFTWARE, &key, "Blob", 3, blob);
        Ok(())
    }

    fn process(&mut self, name: &str, path: &str) {
        let class = r"root\cimv2:Win32_Process";
        self.answers.push(json!({ "class": class, "row": { "Name": name, "ExecutablePath": path } }));
    }

    pub(super) fn service(&mut self, key: &str, display: &str, kind: u32, image: &str) {
        let key = format!(r"ControlSet001\Services\{key}");
        self.number(SYSTEM, &key, "Type", kind);
        self.text(SYSTEM, &key, "ImagePath", image);
        if !display.is_empty() {
            self.text(SYSTEM, &key, "DisplayName", display);
        }
    }

    pub(super) fn program(&mut self, path: &str) {
        self.file(path, PROGRAM);
    }

    pub(super) fn file(&mut self, path: &str, bytes: &[u8]) {
        self.files.insert(path.to_owned(), bytes.to_vec());
    }

    pub(super) fn key(&mut self, hive: &'static str, key: &str) -> &mut Values {
        let path = key.split('\\').map(str::to_owned).collect();
        self.hives.entry(hive).or_default().entry(path).or_default()
    }

    pub(super) fn value(&mut self, hive: &'static str, key: &str, name: &str, kind: u32, data: Vec<u8>) {
        let values = self.key(hive, key);
        values.retain(|(known, ..)| known != name);
        values.push((name.to_owned(), kind, data));
    }

    pub(super) fn text(&mut self, hive: &'static str, key: &str, name: &str, text: &str) {
        let data = text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
        self.value(hive, key, name, 1, data);
    }

    pub(super) fn number(&mut self, hive: &'static str, key: &str, name: &str, number: u32) {
        self.value(hive, key, name, 4, number.to_le_bytes().to_vec());
    }

    /// Writes the files, and adds what the script needs to write the hives.
    pub(super) fn write(&self, root: &Path, script: &mut Vec<Value>) -> Result<()> {
        for folder in &self.folders {
            std::fs::create_dir_all(root.join(folder))?;
        }
        let profile = "Users/jane/AppData/Roaming/Mozilla/Firefox/Profiles/a.default/extensions.json";
        let add_ons = json!({ "addons": self.add_ons }).to_string().into_bytes();
        let answers: Vec<String> = self.answers.iter().map(Value::to_string).collect();
        let more = [(profile.to_owned(), add_ons), ("wmi.jsonl".to_owned(), answers.join("\n").into_bytes())];
        for (path, bytes) in self.files.iter().chain(more.iter().map(|(path, bytes)| (path, bytes))) {
            let file = root.join(path);
            std::fs::create_dir_all(file.parent().context("no folder")?)?;
            std::fs::write(file, bytes)?;
        }
        for (hive, keys) in &self.hives {
            let hex = |data: &[u8]| data_encoding::HEXLOWER.encode(data);
            let key = |(path, values): (&Vec<String>, &Values)| {
                let values: Vec<Value> =
                    values.iter().map(|(name, kind, data)| json!([name, kind, hex(data)])).collect();
                json!({ "path": path, "values": values })
            };
            script.push(json!({ "file": root.join(hive), "keys": keys.iter().map(key).collect::<Vec<_>>() }));
        }
        Ok(())
    }
}
