//! Which collector to query and with which token: options, then environment (both read by clap), then a profile.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use muster_proto::model::Token;

use super::args::Connection;
use crate::tls::disk::open_to_others;

/// Directories that may hold profiles.
pub(super) struct Places {
    pub(super) home: Option<PathBuf>,
    pub(super) config_home: Option<PathBuf>,
}

/// What a client needs to connect.
pub(super) struct Target {
    pub(super) server: String,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) ca_file: PathBuf,
    pub(super) token: Token,
}

/// A setting that neither option, environment nor profile gives.
#[derive(Debug, thiserror::Error)]
#[error("no {key} is set")]
pub(super) struct Missing {
    key: String,
    flag: String,
    variable: String,
    file: PathBuf,
}

impl Missing {
    /// The ways to give it.
    pub(super) fn advice(&self) -> String {
        let Self { flag, variable, file, .. } = self;
        format!("use {flag}, {variable} or a profile in {}", file.display())
    }
}

/// A token file that other users can read.
#[derive(Debug, thiserror::Error)]
#[error("other users can read the token file {} (mode bits {bits:03o})", .path.display())]
pub(super) struct ExposedToken {
    path: PathBuf,
    bits: u32,
}

impl ExposedToken {
    /// What to do about it.
    pub(super) fn advice(&self) -> String {
        format!("run `chmod 600 {}`; if somebody may have read the token, have it replaced", self.path.display())
    }
}

#[derive(Debug, Default, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Profile {
    server: Option<String>,
    ca_file: Option<PathBuf>,
    token_file: Option<PathBuf>,
}

/// Merges flags, environment and profile, and reads the token.
pub(super) fn resolve(connection: &Connection, places: &Places) -> anyhow::Result<Target> {
    let profile = read_profile(connection.profile.as_deref(), places)?;
    let missing = |flag: &str, variable: &str, key: &str| Missing {
        key: key.to_owned(),
        flag: flag.to_owned(),
        variable: variable.to_owned(),
        file: profiles_file(places),
    };
    let server = connection.server.clone().or(profile.server);
    let server = server.with_context(|| missing("--server", "MUSTER_SERVER", "collector address"))?;
    let ca_file = connection.ca_file.clone().or(profile.ca_file);
    let ca_file = ca_file.with_context(|| missing("--ca-file", "MUSTER_CA_FILE", "CA certificate"))?;
    let token_file = connection.token_file.clone().or(profile.token_file);
    let token_file = token_file.with_context(|| missing("--token-file", "MUSTER_TOKEN_FILE", "token file"))?;
    let (host, port) = host_and_port(&server)?;
    let server = format!("https://{server_text}", server_text = authority(&host, port));
    Ok(Target { server, host, port, ca_file, token: read_token(&token_file)? })
}

fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn profiles_file(places: &Places) -> PathBuf {
    let below_home = || places.home.as_ref().map(|home| home.join(".config"));
    let directory = places.config_home.clone().or_else(below_home).unwrap_or_default();
    directory.join("muster").join("profiles.toml")
}

fn read_profile(named: Option<&str>, places: &Places) -> anyhow::Result<Profile> {
    let file = profiles_file(places);
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => return Ok(Profile::default()),
        Err(error) => return Err(error).with_context(|| format!("cannot read the profiles in {}", file.display())),
    };
    let profiles: BTreeMap<String, Profile> =
        toml::from_str(&text).with_context(|| format!("cannot read the profiles in {}", file.display()))?;
    let name = named.unwrap_or("default");
    let found = profiles.get(name).cloned();
    // A missing default profile is no error: options and environment may give everything.
    if named.is_some() && found.is_none() {
        let known: Vec<&str> = profiles.keys().map(String::as_str).collect();
        anyhow::bail!("no profile {name:?} in {}; it has: {}", file.display(), known.join(", "));
    }
    let mut profile = found.unwrap_or_default();
    for path in [&mut profile.ca_file, &mut profile.token_file].into_iter().flatten() {
        *path = beside(path, &file, places);
    }
    Ok(profile)
}

/// Resolves `~/` to the home directory, and a relative path to the directory of the profiles.
fn beside(path: &Path, file: &Path, places: &Places) -> PathBuf {
    if let (Ok(rest), Some(home)) = (path.strip_prefix("~"), &places.home) {
        return home.join(rest);
    }
    file.parent().map_or_else(|| path.to_owned(), |directory| directory.join(path))
}

fn host_and_port(server: &str) -> anyhow::Result<(String, u16)> {
    let form = || format!("the server address {server:?} is not valid: expected https://HOST:PORT");
    let rest = match server.split_once("://") {
        Some(("https", rest)) => rest,
        Some((scheme, _)) => {
            anyhow::bail!("the server address {server:?} is not valid: the scheme {scheme} is not supported; use https")
        }
        None => server,
    };
    let uri: http::Uri = format!("https://{}", rest.trim_end_matches('/')).parse().with_context(form)?;
    let host = uri.host().filter(|host| !host.is_empty()).with_context(form)?;
    anyhow::ensure!(uri.path() == "/" && uri.query().is_none(), "{}", form());
    // An IPv6 address has brackets in a URL, but not in a socket address or a certificate.
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Ok((host, uri.port_u16().with_context(|| format!("{}; the port is missing", form()))?))
}

fn read_token(file: &Path) -> anyhow::Result<Token> {
    let bits = open_to_others(file).with_context(|| format!("cannot use the token file {}", file.display()))?;
    anyhow::ensure!(bits == 0, ExposedToken { path: file.to_owned(), bits });
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot use the token file {}", file.display()))?;
    text.parse().with_context(|| format!("cannot use the token file {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> (tempfile::TempDir, Places) {
        let home = tempfile::tempdir().expect("a directory");
        let places = Places { home: Some(home.path().to_owned()), config_home: None };
        (home, places)
    }

    fn token() -> String {
        format!("admin.{}", "a".repeat(52))
    }

    fn write_token(path: &Path, mode: u32) {
        crate::tls::disk::write_atomically(path, format!("{}\n", token()).as_bytes(), mode).expect("written");
    }

    #[test]
    fn a_profile_fills_what_options_leave_open() {
        let (home, places) = places();
        let directory = home.path().join(".config/muster");
        std::fs::create_dir_all(&directory).expect("made");
        let text =
            "[default]\nserver = 'https://a:1'\nca_file = 'ca.pem'\ntoken_file = '~/t'\n[other]\nserver = 'b:2'\n";
        std::fs::write(directory.join("profiles.toml"), text).expect("written");
        write_token(&home.path().join("t"), 0o600);
        let target = resolve(&Connection::default(), &places).expect("resolved");
        assert_eq!((target.host.as_str(), target.port), ("a", 1));
        assert_eq!(target.ca_file, directory.join("ca.pem"));
        assert_eq!(target.token.to_string(), token());
        let named = Connection {
            profile: Some("other".to_owned()),
            ca_file: Some("c".into()),
            token_file: Some(home.path().join("t")),
            server: None,
        };
        assert_eq!(resolve(&named, &places).expect("resolved").server, "https://b:2");
        let wrong = Connection { profile: Some("third".to_owned()), ..Connection::default() };
        let refused = resolve(&wrong, &places).err().expect("refused").to_string();
        assert!(refused.contains("no profile \"third\"") && refused.contains("default, other"), "{refused}");
    }

    #[test]
    fn a_missing_setting_is_named_with_all_ways_to_give_it() {
        let (_home, places) = places();
        let refused = resolve(&Connection::default(), &places).err().expect("refused");
        let advice = refused.downcast_ref::<Missing>().expect("a missing setting").advice();
        for part in ["--server", "MUSTER_SERVER", "profiles.toml"] {
            assert!(advice.contains(part), "{advice}");
        }
    }

    #[test]
    fn a_token_that_others_may_read_is_refused() {
        let (home, _) = places();
        let file = home.path().join("t");
        write_token(&file, 0o640);
        let refused = read_token(&file).expect_err("exposed");
        assert!(refused.to_string().contains("640") || refused.to_string().contains("040"), "{refused}");
        assert!(refused.downcast_ref::<ExposedToken>().is_some_and(|exposed| exposed.advice().contains("chmod 600")));
        write_token(&file, 0o600);
        assert!(read_token(&file).is_ok());
    }

    #[test]
    fn a_server_is_a_host_and_a_port_over_https() {
        assert_eq!(host_and_port("https://h.example:7444/").expect("good"), ("h.example".to_owned(), 7444));
        assert_eq!(host_and_port("[::1]:7444").expect("good"), ("::1".to_owned(), 7444));
        for wrong in ["http://h:1", "h", "https://h", "https://h:x", "https://h:1/path", "", "https://:1"] {
            assert!(host_and_port(wrong).is_err(), "{wrong}");
        }
    }
}
