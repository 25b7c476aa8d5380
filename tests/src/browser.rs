//! A real browser: Chromium without a window, driven by its `chromedriver` (W3C WebDriver).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::eventually;
use crate::process::Process;

/// If it is set, a machine without the programs fails the tests with a browser.
const NEEDED: &str = "MUSTER_TEST_CHROMIUM";
const PATIENCE: Duration = Duration::from_secs(60);
/// The key of an element in answers (W3C WebDriver, section 12).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with one window. Dropping it ends both programs.
#[derive(Debug)]
pub struct Browser {
    _driver: Process,
    port: u16,
    session: String,
}

impl Browser {
    /// Whether this machine has the programs.
    ///
    /// # Errors
    /// It lacks them, and `MUSTER_TEST_CHROMIUM` says that they are needed.
    pub fn is_installed() -> Result<bool> {
        let has = |program: &&str| {
            Command::new(program).arg("--version").output().is_ok_and(|answer| answer.status.success())
        };
        let found = ["chromium", "chromedriver"].iter().all(has);
        let is_needed = std::env::var_os(NEEDED).is_some();
        ensure!(found || !is_needed, "chromium or chromedriver is missing: install them (deploy/ci/test does)");
        Ok(found)
    }

    /// Starts one with its files in this folder. It accepts the certificate of any CA.
    ///
    /// # Errors
    /// It did not start.
    pub fn start(folder: &Path) -> Result<Self> {
        let mut command = Command::new("chromedriver");
        // A zone other than UTC, so that local times differ from it.
        command.arg("--port=0").env("TZ", "Europe/Berlin").env("TMPDIR", folder).env("HOME", folder);
        let driver = Process::start(command, &folder.join("chromedriver.log"))?;
        let port = eventually("chromedriver listens", PATIENCE, || {
            // It first repeats the port that it was asked for, which is 0.
            let output = driver.output();
            let rest = output.split("successfully on port ").nth(1);
            Ok(rest.and_then(|rest| rest.split(['.', '\n']).next()?.trim().parse().ok()))
        })?;
        // Tests may run as root and in a container, where Chromium's own sandbox cannot start.
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--force-color-profile=srgb",
            "--hide-scrollbars",
            "--lang=en",
        ];
        let data = format!("--user-data-dir={}", folder.join("chromium").display());
        let arguments: Vec<&str> = arguments.into_iter().chain([data.as_str()]).collect();
        let mut browser = Self { _driver: driver, port, session: String::new() };
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "acceptInsecureCerts": true,
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        }}});
        let answer = browser.ask("POST", "/session", &wanted)?;
        answer["sessionId"].as_str().context("no session")?.clone_into(&mut browser.session);
        Ok(browser)
    }

    /// Opens an address and waits until it is there.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(&self, url: &str) -> Result<()> {
        self.command("/url", &json!({ "url": url })).map(drop)
    }

    /// The address of the page.
    ///
    /// # Errors
    /// The browser does not answer.
    pub fn url(&self) -> Result<String> {
        Ok(self.run("return location.href")?.as_str().unwrap_or_default().to_owned())
    }

    /// Runs a script on the page; its arguments are empty.
    ///
    /// # Errors
    /// It failed.
    pub fn run(&self, script: &str) -> Result<Value> {
        self.command("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Types a text into the element that a selector finds.
    ///
    /// # Errors
    /// There is no such element.
    pub fn type_into(&self, selector: &str, text: &str) -> Result<()> {
        let element = self.element(selector)?;
        self.command(&format!("/element/{element}/value"), &json!({ "text": text })).map(drop)
    }

    /// Clicks at the element that a selector finds.
    ///
    /// # Errors
    /// There is no such element, or something else covers it.
    pub fn click(&self, selector: &str) -> Result<()> {
        let element = self.element(selector)?;
        self.command(&format!("/element/{element}/click"), &json!({})).map(drop)
    }

    fn element(&self, selector: &str) -> Result<String> {
        let found = self.command("/element", &json!({ "using": "css selector", "value": selector }));
        let found = found.with_context(|| selector.to_owned())?;
        Ok(found[ELEMENT].as_str().with_context(|| selector.to_owned())?.to_owned())
    }

    /// Shows the page as a viewer with this width, a dark or light theme, or on paper.
    ///
    /// # Errors
    /// The browser does not answer.
    pub fn emulate(&self, width: u32, is_dark: bool, is_paper: bool) -> Result<()> {
        let metrics = json!({ "width": width, "height": 1_000, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics)?;
        let theme = if is_dark { "dark" } else { "light" };
        let media = json!({
            "media": if is_paper { "print" } else { "" },
            "features": [{ "name": "prefers-color-scheme", "value": theme }],
        });
        self.devtools("Emulation.setEmulatedMedia", &media).map(drop)
    }

    /// Switches scripts of pages on or off.
    ///
    /// # Errors
    /// The browser does not answer.
    pub fn scripts(&self, are_on: bool) -> Result<()> {
        self.devtools("Emulation.setScriptExecutionDisabled", &json!({ "value": !are_on })).map(drop)
    }

    fn devtools(&self, command: &str, parameters: &Value) -> Result<Value> {
        self.command("/goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    /// Writes a picture of the whole page to a file.
    ///
    /// # Errors
    /// The browser does not answer, or the file cannot be written.
    pub fn picture(&self, file: &Path) -> Result<()> {
        let size = self.devtools("Page.getLayoutMetrics", &json!({}))?["cssContentSize"].clone();
        let clip = json!({ "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1 });
        let asked = json!({ "captureBeyondViewport": true, "clip": clip });
        let whole = self.devtools("Page.captureScreenshot", &asked)?;
        let bytes = whole["data"].as_str().context("no picture")?;
        std::fs::write(file, data_encoding::BASE64.decode(bytes.as_bytes())?)?;
        Ok(())
    }

    /// What the console said since it was asked last: errors of scripts, refused contents, failed requests.
    ///
    /// # Errors
    /// The browser does not answer.
    pub fn console(&self) -> Result<Vec<String>> {
        let entries = self.command("/se/log", &json!({ "type": "browser" }))?;
        let entries = entries.as_array().cloned().unwrap_or_default();
        // Below a warning are hints to developers, for instance about password managers.
        let entries = entries.iter().filter(|entry| ["WARNING", "SEVERE"].iter().any(|level| entry["level"] == *level));
        Ok(entries.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect())
    }

    fn command(&self, path: &str, body: &Value) -> Result<Value> {
        self.ask("POST", &format!("/session/{}{path}", self.session), body)
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).context("connect to chromedriver")?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let body = body.to_string();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}",
            body.len()
        );
        write!(stream, "{head}\r\n\r\n{body}")?;
        let mut answer = Vec::new();
        // chromedriver may keep the connection open, so the length says where the answer ends.
        let mut part = [0; 65_536];
        loop {
            if let Some(whole) = body_of(&answer) {
                let value: Value = serde_json::from_slice(whole)?;
                let value = value["value"].clone();
                ensure!(value["error"].is_null(), "{method} {path}: {}", value["message"]);
                return Ok(value);
            }
            let read = stream.read(&mut part).context("read the answer of chromedriver")?;
            ensure!(read > 0, "chromedriver broke off");
            answer.extend(part.get(..read).unwrap_or_default());
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends the browser; the driver ends when its process is dropped.
        let _ = self.ask("DELETE", &format!("/session/{}", self.session), &json!({}));
    }
}

/// The body of an answer, if it is there completely.
fn body_of(answer: &[u8]) -> Option<&[u8]> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?.to_ascii_lowercase();
    let length: usize = head.lines().find_map(|line| line.strip_prefix("content-length:"))?.trim().parse().ok()?;
    answer.get(end + 4..end + 4 + length)
}
