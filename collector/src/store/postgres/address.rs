//! Where the database is:
//! `postgres://user@host1,host2:5433/muster?sslmode=verify-full&sslrootcert=/etc/muster/db-ca.pem`.
//!
//! The driver reads most of it; the parameters for TLS and the password file are read here. Secrets stay out of the
//! settings: `passfile` names a file that only its owner may read. It has the password as its only line, or lines in
//! the format of libpq's `.pgpass`. Messages name the place without user and password.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

use crate::store::StoreError;

/// How long each host may take to answer, unless the address sets `connect_timeout`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection is closed if sent data is not acknowledged for this long.
const USER_TIMEOUT: Duration = Duration::from_secs(15);

/// How the connection is protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Protection {
    /// No TLS.
    None,
    /// TLS without any check of the server: protects against listening, not against impostors.
    Unverified,
    /// TLS; the server's certificate must be signed by one in this file. Its name is not checked.
    Signed(PathBuf),
    /// TLS; the server's certificate must be signed by one in this file, and be for the host's name.
    Verified(PathBuf),
}

/// The files of the collector's client certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClientFiles {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

/// See the head of the file.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) config: Config,
    pub(super) protection: Protection,
    pub(super) client: Option<ClientFiles>,
    /// Hosts and database, for messages.
    pub(super) place: String,
}

impl Address {
    pub(super) fn read(url: &str) -> Result<Self, StoreError> {
        let (bare, ours) = apart(url);
        let mut config: Config = bare.parse().map_err(|error: tokio_postgres::Error| StoreError::Open {
            // The URL is not repeated: it may contain a password.
            place: "postgres://…".to_owned(),
            reason: muster_proto::error_chain(&error),
        })?;
        let place = place(&config);
        let failed = |reason: String| StoreError::Open { place: place.clone(), reason };
        if config.get_hosts().is_empty() {
            return Err(failed("the address has no host".to_owned()));
        }
        if config.get_dbname().is_none() {
            config.dbname("muster");
        }
        if let Some(file) = &ours.passfile {
            let password = password(Path::new(file), &config).map_err(&failed)?;
            config.password(password);
        }
        let protection = protect(&mut config, &ours).map_err(&failed)?;
        let client = client(&ours, &protection).map_err(&failed)?;
        config.application_name("muster-collector");
        // Of several hosts, skip those that are standbys.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        config.tcp_user_timeout(USER_TIMEOUT).keepalives_idle(Duration::from_secs(30));
        Ok(Self { config, protection, client, place })
    }
}

/// The parameters that are read here and not by the driver.
#[derive(Debug, Default)]
struct Ours {
    sslmode: Option<String>,
    sslrootcert: Option<String>,
    sslcert: Option<String>,
    sslkey: Option<String>,
    passfile: Option<String>,
}

/// The address without these parameters, and the parameters.
fn apart(url: &str) -> (String, Ours) {
    let mut ours = Ours::default();
    let Some((base, query)) = url.split_once('?') else { return (url.to_owned(), ours) };
    let mut rest = Vec::new();
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = Some(decoded(value));
        match name {
            "sslmode" => ours.sslmode = value,
            "sslrootcert" => ours.sslrootcert = value,
            "sslcert" => ours.sslcert = value,
            "sslkey" => ours.sslkey = value,
            "passfile" => ours.passfile = value,
            _ => rest.push(pair),
        }
    }
    (if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) }, ours)
}

/// A query value with its percent escapes decoded. Anything that is not an escape stays as it is.
fn decoded(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escape = (*first == b'%').then(|| after.get(..2)).flatten();
        let byte = escape.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn protect(config: &mut Config, ours: &Ours) -> Result<Protection, String> {
    let mode = ours.sslmode.as_deref().unwrap_or(if ours.sslrootcert.is_some() { "verify-full" } else { "prefer" });
    let (driver, protection) = match (mode, &ours.sslrootcert) {
        ("disable", _) => (SslMode::Disable, Protection::None),
        ("prefer", None) => (SslMode::Prefer, Protection::Unverified),
        ("require", None) => (SslMode::Require, Protection::Unverified),
        // If a certificate is named, it must be checked, although the mode alone does not demand it.
        ("prefer" | "require" | "verify-full", Some(file)) => (SslMode::Require, Protection::Verified(file.into())),
        ("verify-ca", Some(file)) => (SslMode::Require, Protection::Signed(file.into())),
        ("verify-ca" | "verify-full", None) => return Err(format!("sslmode={mode} needs sslrootcert=FILE")),
        (other, _) => {
            return Err(format!("sslmode={other:?} is not one of disable, prefer, require, verify-ca, verify-full"));
        }
    };
    config.ssl_mode(driver);
    Ok(protection)
}

/// The collector's client certificate. It is shown only to a server that was verified.
fn client(ours: &Ours, protection: &Protection) -> Result<Option<ClientFiles>, String> {
    let (certificate, key) = match (&ours.sslcert, &ours.sslkey) {
        (None, None) => return Ok(None),
        (Some(certificate), Some(key)) => (PathBuf::from(certificate), PathBuf::from(key)),
        _ => return Err("sslcert=FILE and sslkey=FILE must be set together".to_owned()),
    };
    if matches!(protection, Protection::None | Protection::Unverified) {
        return Err("sslcert needs sslrootcert=FILE and sslmode=verify-full or verify-ca".to_owned());
    }
    owner_only("key", &key)?;
    Ok(Some(ClientFiles { certificate, key }))
}

/// Checks that only its owner may read a file with a secret.
fn owner_only(what: &str, file: &Path) -> Result<(), String> {
    let name = file.display();
    let mode = std::fs::metadata(file).map_err(|error| format!("read the {what} file {name}: {error}"))?;
    if mode.permissions().mode() & 0o077 != 0 {
        return Err(format!("the {what} file {name} can be read by other users: run chmod 600 on it"));
    }
    Ok(())
}

/// The password in the file: its only line, or the first line of a `.pgpass` that matches.
fn password(file: &Path, config: &Config) -> Result<String, String> {
    let name = file.display();
    let failed = |error: std::io::Error| format!("read the password file {name}: {error}");
    owner_only("password", file)?;
    let text = std::fs::read_to_string(file).map_err(failed)?;
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let fits = |line: &&str| -> Option<String> {
        let fields = fields(line);
        let [host, port, database, user, password] = <[String; 5]>::try_from(fields).ok()?;
        let is = |pattern: &str, value: Option<&str>| pattern == "*" || Some(pattern) == value;
        // One password is for all hosts of the address, so it is enough if one of them matches.
        let hosts = config.get_hosts().iter().map(host_name).any(|name| is(&host, Some(&name)));
        let ports = config.get_ports();
        let port = ports.is_empty() && is(&port, Some("5432")) || ports.iter().any(|n| is(&port, Some(&n.to_string())));
        (hosts && port && is(&database, config.get_dbname()) && is(&user, config.get_user())).then_some(password)
    };
    match lines.as_slice() {
        [] => Err(format!("the password file {name} is empty")),
        // Five fields make a line of `.pgpass`; anything else is the password itself.
        [only] if fields(only).len() != 5 => Ok((*only).to_owned()),
        lines => lines.iter().find_map(fits).ok_or_else(|| format!("no line of the password file {name} matches")),
    }
}

/// The fields of a line of `.pgpass`: separated by colons; a backslash escapes a colon or a backslash.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ':' => fields.push(String::new()),
            _ => {
                let meant = if letter == '\\' { letters.next().unwrap_or(letter) } else { letter };
                if let Some(last) = fields.last_mut() {
                    last.push(meant);
                }
            }
        }
    }
    fields
}

fn host_name(host: &Host) -> String {
    match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(path) => path.display().to_string(),
    }
}

fn place(config: &Config) -> String {
    let mut place = "postgres://".to_owned();
    let ports = config.get_ports();
    for (n, host) in config.get_hosts().iter().enumerate() {
        let port = ports.get(n).or_else(|| ports.first()).filter(|port| **port != 5432);
        place.push_str(if n == 0 { "" } else { "," });
        place.push_str(&host_name(host));
        if let Some(port) = port {
            let _ = write!(place, ":{port}");
        }
    }
    let _ = write!(place, "/{}", config.get_dbname().unwrap_or("muster"));
    place
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::OpenOptionsExt as _;

    use super::*;

    fn read(url: &str) -> Address {
        Address::read(url).unwrap_or_else(|error| panic!("{error}"))
    }

    fn refusal(url: &str) -> String {
        Address::read(url).err().expect("refused").to_string()
    }

    #[test]
    fn a_place_names_hosts_and_database_and_never_user_or_password() {
        let address = read("postgres://muster:s3cret@db1,db2:5433/fleet?connect_timeout=3");
        assert_eq!(address.place, "postgres://db1,db2:5433/fleet");
        assert_eq!(address.config.get_hosts().len(), 2);
        assert_eq!(address.config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
        assert_eq!(address.config.get_connect_timeout(), Some(&Duration::from_secs(3)));
        assert_eq!(read("postgresql://db/").place, "postgres://db/muster");
        for broken in ["postgres://muster:s3cret@db/fleet?nonsense=1", "postgres://muster:s3cret@db:port/fleet"] {
            assert!(!refusal(broken).contains("s3cret"), "{}", refusal(broken));
        }
    }

    #[test]
    fn protection_is_as_strong_as_was_asked_for() {
        assert_eq!(read("postgres://db/m").protection, Protection::Unverified);
        assert_eq!(read("postgres://db/m?sslmode=disable").protection, Protection::None);
        let strict = read("postgres://db/m?sslmode=verify-full&sslrootcert=%2Fetc%2Fca.pem");
        assert_eq!(strict.protection, Protection::Verified("/etc/ca.pem".into()));
        assert_eq!(strict.config.get_ssl_mode(), SslMode::Require);
        let named = read("postgres://db/m?sslmode=prefer&sslrootcert=ca.pem");
        assert_eq!(named.config.get_ssl_mode(), SslMode::Require, "a named certificate counts");
        assert!(refusal("postgres://db/m?sslmode=verify-full").contains("needs sslrootcert"));
        let signed = read("postgres://db/m?sslmode=verify-ca&sslrootcert=ca.pem");
        assert_eq!(signed.protection, Protection::Signed("ca.pem".into()));
        assert!(refusal("postgres://db/m?sslmode=verify-ca").contains("needs sslrootcert"));
        for alone in ["sslrootcert=ca.pem&sslcert=a.pem", "sslrootcert=ca.pem&sslkey=a.key"] {
            assert!(refusal(&format!("postgres://db/m?{alone}")).contains("must be set together"));
        }
        let unproven = refusal("postgres://db/m?sslmode=require&sslcert=a.pem&sslkey=a.key");
        assert!(unproven.contains("sslcert needs sslrootcert"), "{unproven}");
        assert!(refusal("postgres://db/m?sslmode=maybe").contains("not one of disable, prefer"));
    }

    #[test]
    fn the_password_is_read_from_a_file_of_its_owner() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("secret");
        let write = |text: &str, mode: u32| {
            let _ = std::fs::remove_file(&file);
            let mut options = std::fs::File::options();
            let opened = options.write(true).create_new(true).mode(mode).open(&file).expect("opens");
            std::io::Write::write_all(&mut { opened }, text.as_bytes()).expect("writes");
        };
        let url = format!("postgres://muster@db:5433/fleet?passfile={}", file.display());
        write("open sesame\n", 0o600);
        assert_eq!(read(&url).config.get_password(), Some(b"open sesame".as_slice()));
        write("# who\nother:*:*:*:no\n*:5433:fleet:muster:co\\:lon\n", 0o600);
        assert_eq!(read(&url).config.get_password(), Some(b"co:lon".as_slice()));
        write("other:*:*:*:hidden\n*:1:*:*:hidden\n", 0o600);
        let error = refusal(&url);
        assert!(error.contains("no line") && !error.contains("hidden"), "{error}");
        write("open sesame\n", 0o644);
        assert!(refusal(&url).contains("chmod 600"), "{}", refusal(&url));
    }
}
