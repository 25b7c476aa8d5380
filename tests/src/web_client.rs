//! A browser without a window: asks the pages of a collector over TLS and HTTP/1.1, and keeps the cookie.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use muster_strict_html::Element;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::door;

/// Somebody who looks at the pages of a collector.
pub struct WebClient {
    address: String,
    config: Arc<ClientConfig>,
    cookie: String,
}

/// What the collector answered.
#[derive(Debug)]
pub struct WebAnswer {
    /// The status.
    pub status: u16,
    /// The lines of the head.
    pub head: String,
    /// The body.
    pub text: String,
}

impl WebAnswer {
    /// The value of a header; empty if there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let values = self.head.lines().filter_map(|line| line.split_once(": "));
        values
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .next()
            .unwrap_or_default()
    }

    /// The page, read strictly.
    ///
    /// # Errors
    /// It is not valid.
    pub fn page(&self) -> Result<Element> {
        anyhow::ensure!(self.status == 200, "status {}: {}", self.status, self.text);
        let page = muster_strict_html::read(&self.text).map_err(anyhow::Error::msg)?;
        let faults = page.faults();
        anyhow::ensure!(faults.is_empty(), "{}", faults.join("\n"));
        Ok(page)
    }
}

impl WebClient {
    /// A client of the operators' port at this address.
    ///
    /// # Errors
    /// The file has no certificate.
    pub fn new(address: &str, ca: &Path) -> Result<Self> {
        let mut config = door::client_config(ca, None)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { address: address.to_owned(), config: Arc::new(config), cookie: String::new() })
    }

    /// The same browser, but one that names no version of HTTP in its handshake.
    #[must_use]
    pub fn without_versions(&self) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols = Vec::new();
        Self { address: self.address.clone(), config: Arc::new(config), cookie: self.cookie.clone() }
    }

    /// Logs in with the token of an account.
    ///
    /// # Errors
    /// The collector refused.
    pub fn login(&mut self, token: &str) -> Result<()> {
        let answer = self.post("/login", &format!("token={}", token.trim()))?;
        anyhow::ensure!(answer.status == 303, "status {}: {}", answer.status, answer.text);
        answer.header("set-cookie").split(';').next().unwrap_or_default().clone_into(&mut self.cookie);
        Ok(())
    }

    /// Logs in with the name and the password of an account. The answer says whether it did.
    ///
    /// # Errors
    /// There was no answer.
    pub fn login_with_password(&mut self, name: &str, password: &str) -> Result<WebAnswer> {
        let form = format!("name={name}&password={}&next=/about", password.replace(' ', "+"));
        let answer = self.post("/login/password", &form)?;
        if answer.status == 303 {
            answer.header("set-cookie").split(';').next().unwrap_or_default().clone_into(&mut self.cookie);
        }
        Ok(answer)
    }

    /// Asks for a page.
    ///
    /// # Errors
    /// There was no answer.
    pub fn get(&self, path: &str) -> Result<WebAnswer> {
        self.send(&self.head("GET", path), "")
    }

    /// Sends a form as a page of the board does.
    ///
    /// # Errors
    /// There was no answer.
    pub fn post(&self, path: &str, form: &str) -> Result<WebAnswer> {
        let kind = "content-type: application/x-www-form-urlencoded\r\nsec-fetch-site: same-origin";
        let head = format!("{}{kind}\r\ncontent-length: {}\r\n", self.head("POST", path), form.len());
        self.send(&head, form)
    }

    fn head(&self, method: &str, path: &str) -> String {
        let cookie = if self.cookie.is_empty() { String::new() } else { format!("cookie: {}\r\n", self.cookie) };
        format!("{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n{cookie}", self.address)
    }

    /// Sends the lines of a head, each with its end, and a body.
    ///
    /// # Errors
    /// There was no answer.
    pub fn send(&self, head: &str, body: &str) -> Result<WebAnswer> {
        let name = ServerName::try_from("localhost").context("a name")?;
        let connection = ClientConnection::new(Arc::clone(&self.config), name)?;
        let tcp = TcpStream::connect(&self.address).context("connect to the operators' port")?;
        tcp.set_read_timeout(Some(crate::lab::PATIENCE))?;
        let mut stream = StreamOwned::new(connection, tcp);
        // Who refuses a request closes the connection before it has arrived, so only the answer counts.
        let sent = write!(stream, "{head}\r\n{body}").and_then(|()| stream.flush());
        let mut bytes = Vec::new();
        let read = read_answer(&mut stream, &mut bytes);
        if bytes.is_empty() {
            sent.context("send a request")?;
            read.context("read an answer")?;
        }
        let end =
            bytes.windows(4).position(|four| four == b"\r\n\r\n").context("an answer without an end of its head")?;
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let rest = bytes.get(end + 4..).unwrap_or_default();
        let status = head.split(' ').nth(1).context("an answer without a status")?.parse()?;
        let mut answer = WebAnswer { status, head, text: String::new() };
        let body = if answer.header("transfer-encoding") == "chunked" { unchunked(rest)? } else { rest.to_vec() };
        answer.text = String::from_utf8(body).context("a body that is no text")?;
        Ok(answer)
    }
}

/// Reads until the peer closes. `StreamOwned` would first send what it could not send, and fail with that.
fn read_answer(stream: &mut StreamOwned<ClientConnection, TcpStream>, bytes: &mut Vec<u8>) -> std::io::Result<()> {
    loop {
        let arrived = stream.conn.read_tls(&mut stream.sock)?;
        stream.conn.process_new_packets().map_err(std::io::Error::other)?;
        match stream.conn.reader().read_to_end(bytes) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            ended => return ended.map(drop),
        }
        if arrived == 0 {
            return Ok(());
        }
    }
}

/// The bytes of a chunked body (RFC 9112, section 7.1). One that breaks off is an error.
fn unchunked(mut rest: &[u8]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n").context("the body breaks off")?;
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end])?, 16).context("the size of a chunk")?;
        if size == 0 {
            return Ok(body);
        }
        body.extend(rest.get(end + 2..end + 2 + size).context("the body breaks off")?);
        rest = rest.get(end + 4 + size..).context("the body breaks off")?;
    }
}
