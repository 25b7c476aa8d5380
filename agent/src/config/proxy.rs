//! Through which proxy the collector is reached, if through one: `proxy.*` of the settings, or what `HTTPS_PROXY`,
//! `ALL_PROXY` and `NO_PROXY` of the environment say, or on Windows what `netsh winhttp` or a policy has set for the machine.
//! Credentials stand in a file, or in the environment's address, and are never shown.

mod machine;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

/// A proxy that speaks HTTP CONNECT, and for whom it is not asked.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Whether TLS is spoken with the proxy itself.
    pub secure: bool,
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Name and password, when the environment's address has them.
    pub credentials: Option<String>,
    /// A file with `name:password`.
    pub credentials_file: Option<PathBuf>,
    /// The CA of a proxy with TLS; else the system's.
    pub ca_file: Option<PathBuf>,
    /// Where the address was found.
    pub origin: &'static str,
    direct: Vec<String>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({} by {})", self.shown(), self.origin)
    }
}

/// What the settings say.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ProxyKeys {
    pub(super) url: Option<String>,
    no_proxy: Option<String>,
    credentials_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
}

impl Proxy {
    /// Host and port, for people.
    #[must_use]
    pub fn shown(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Whether this host is reached through the proxy.
    #[must_use]
    pub fn is_for(&self, host: &str, port: u16) -> bool {
        !self.direct.iter().any(|entry| is_named(entry, host, port))
    }
}

impl ProxyKeys {
    /// The keys that name files, with their values.
    pub(super) fn files(&self) -> [(&'static str, Option<&std::path::Path>); 2] {
        [("proxy.credentials_file", self.credentials_file.as_deref()), ("proxy.ca_file", self.ca_file.as_deref())]
    }
}

/// Where the proxy of the machine is found.
pub(super) const OF_MACHINE: &str = "netsh winhttp show proxy";

/// The proxy in force; the settings go before the environment, that before the machine, and `none` in the settings means none.
///
/// # Errors
/// The variable whose address cannot be used, and what is expected.
pub(super) fn settle(
    layer: ProxyKeys,
    environment: &BTreeMap<String, String>,
    machine: impl FnOnce() -> Option<(String, String)>,
) -> Result<Option<Proxy>, (&'static str, String)> {
    let variable = |names: [&'static str; 2]| {
        names
            .into_iter()
            .find_map(|name| Some((name, environment.get(name).filter(|value| !value.is_empty())?.clone())))
    };
    let of_machine = || {
        let (proxies, bypass) = machine()?;
        machine::of_winhttp(&proxies, &bypass)
    };
    let variables = || variable(["HTTPS_PROXY", "https_proxy"]).or_else(|| variable(["ALL_PROXY", "all_proxy"]));
    let (origin, url, bypass) = match layer.url {
        Some(url) if url == "none" => return Ok(None),
        Some(url) => ("proxy.url", url, Vec::new()),
        None => match variables() {
            Some((name, url)) => (name, url, Vec::new()),
            None => match of_machine() {
                Some((url, bypass)) => (OF_MACHINE, url, bypass),
                None => return Ok(None),
            },
        },
    };
    let mut proxy = parse(&url).map_err(|expected| (origin, expected))?;
    let direct = layer.no_proxy.or_else(|| Some(variable(["NO_PROXY", "no_proxy"])?.1)).unwrap_or_default();
    proxy.direct = direct.split([',', ' ']).filter(|entry| !entry.is_empty()).map(str::to_lowercase).collect();
    proxy.direct.extend(bypass);
    proxy.origin = origin;
    proxy.credentials_file = layer.credentials_file;
    proxy.ca_file = layer.ca_file;
    Ok(Some(proxy))
}

/// Whether a text of the settings is an address of a proxy; it may not hold a password.
///
/// # Errors
/// What is expected.
pub(super) fn check(url: &str) -> Result<(), String> {
    if url == "none" {
        return Ok(());
    }
    if parse(url)?.credentials.is_some() {
        return Err("an address without name and password: they belong into proxy.credentials_file".to_owned());
    }
    Ok(())
}

fn parse(url: &str) -> Result<Proxy, String> {
    const FORM: &str = "an address such as http://proxy.example.org:3128 or https://…, or \"none\"";
    let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let uri: http::Uri = url.parse().map_err(|_| FORM.to_owned())?;
    let secure = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        _ => return Err(FORM.to_owned()),
    };
    let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| FORM.to_owned())?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let path = uri.path_and_query().map_or("", |path| path.as_str());
    if !matches!(path, "" | "/") {
        return Err(FORM.to_owned());
    }
    // A password may contain `@`, so the last one separates it from the host.
    let credentials = uri.authority().and_then(|authority| authority.as_str().rsplit_once('@'));
    let credentials = credentials.map(|(given, _)| unescaped(given)).transpose()?;
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let (credentials_file, ca_file, direct) = (None, None, Vec::new());
    Ok(Proxy { secure, host, port, credentials, credentials_file, ca_file, origin: "", direct })
}

/// `%40` is `@`.
fn unescaped(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        match (first, code) {
            (b'%', Some(code)) => {
                bytes.push(code);
                rest = &after[2..];
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).map_err(|_| "name and password in UTF-8".to_owned())
}

/// Whether an entry of `NO_PROXY` names this host: `*`, a name and all below it, an address, a range of addresses; any of
/// them with a port. WinHTTP also has `*` anywhere, and `<local>` for names without a dot.
fn is_named(entry: &str, host: &str, port: u16) -> bool {
    let host = host.to_lowercase();
    let (entry, of_port) = match entry.rsplit_once(':') {
        // An IPv6 address without brackets has colons but no port.
        Some((name, digits)) if !name.contains(':') || name.ends_with(']') => (name, digits.parse::<u16>().ok()),
        _ => (entry, None),
    };
    if of_port.is_some_and(|wanted| wanted != port) {
        return false;
    }
    let entry = entry.trim_start_matches('[').trim_end_matches(']');
    if entry == "*" || entry == host {
        return true;
    }
    if entry == "<local>" {
        return !host.contains(['.', ':']);
    }
    // `*.name` also means the name itself, below.
    if entry.trim_start_matches('*').contains('*') {
        return machine::matches(entry, &host);
    }
    if let Ok(address) = host.parse::<IpAddr>() {
        return entry.split_once('/').is_some_and(|(network, bits)| is_within(address, network, bits).unwrap_or(false));
    }
    let name = entry.trim_start_matches('*').trim_start_matches('.');
    !name.is_empty() && (host == name || host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.')))
}

fn is_within(address: IpAddr, network: &str, bits: &str) -> Option<bool> {
    let bits: u32 = bits.parse().ok()?;
    let (one, other, width) = match (address, network.parse().ok()?) {
        (IpAddr::V4(one), IpAddr::V4(other)) => (u128::from(one.to_bits()), u128::from(other.to_bits()), 32_u32),
        (IpAddr::V6(one), IpAddr::V6(other)) => (one.to_bits(), other.to_bits(), 128),
        _ => return Some(false),
    };
    let rest = width.checked_sub(bits)?;
    // A prefix of 0 bits shifts by the whole width, which `checked_shr` refuses; every address is within it.
    Some(one.checked_shr(rest).unwrap_or(0) == other.checked_shr(rest).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(url: Option<&str>, variables: &[(&str, &str)]) -> Result<Option<Proxy>, (&'static str, String)> {
        let layer = ProxyKeys { url: url.map(str::to_owned), ..ProxyKeys::default() };
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        settle(layer, &variables, || None)
    }

    #[test]
    fn the_settings_go_before_the_environment_and_none_is_none() {
        let environment = [("HTTPS_PROXY", "http://env:1"), ("ALL_PROXY", "http://all:2")];
        let of = |url, variables: &[(&str, &str)]| settled(url, variables).expect("usable").map(|proxy| proxy.shown());
        assert_eq!(of(Some("http://set:3"), &environment).as_deref(), Some("set:3"));
        assert_eq!(of(None, &environment).as_deref(), Some("env:1"));
        assert_eq!(of(None, &environment[1..]).as_deref(), Some("all:2"));
        assert_eq!(of(None, &[("https_proxy", "plain.example")]).as_deref(), Some("plain.example:80"));
        assert_eq!(of(Some("none"), &environment), None);
        assert_eq!(of(None, &[("HTTPS_PROXY", "")]), None);
    }

    #[test]
    fn a_password_is_read_from_the_environment_never_shown_and_not_taken_in_a_setting() {
        let proxy = settled(None, &[("HTTPS_PROXY", "https://jane:p%40ss@[::1]:8443")]).expect("usable").expect("one");
        assert_eq!((proxy.secure, proxy.shown().as_str()), (true, "::1:8443"));
        assert_eq!(proxy.credentials.as_deref(), Some("jane:p@ss"));
        assert!(!format!("{proxy:?}").contains("jane"), "{proxy:?}");
        assert!(check("http://jane:secret@proxy:1").expect_err("refused").contains("credentials_file"));
        for bad in ["socks5://proxy:1", "http://", "http://proxy/path", "http://a b"] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert_eq!(settled(None, &[("ALL_PROXY", "socks5://p:1")]).expect_err("refused").0, "ALL_PROXY");
    }

    #[test]
    fn the_proxy_of_the_machine_comes_last_with_its_exceptions() {
        let of = |url: Option<&str>, variables: &[(&str, &str)]| {
            let layer = ProxyKeys { url: url.map(str::to_owned), ..ProxyKeys::default() };
            let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            settle(layer, &variables, || Some(("http=a:80;https=m.example:8080".to_owned(), "<local>;10.*".to_owned())))
        };
        let proxy = of(None, &[("NO_PROXY", "direct.example")]).expect("usable").expect("one");
        assert_eq!((proxy.shown().as_str(), proxy.origin), ("m.example:8080", OF_MACHINE));
        for (host, through) in [
            ("muster.example", true),
            ("muster", false),
            ("10.1.2.3", false),
            ("11.1.2.3", true),
            ("direct.example", false),
            ("::1", true),
        ] {
            assert_eq!(proxy.is_for(host, 7443), through, "{host}");
        }
        let shown = |url, variables: &[(&str, &str)]| of(url, variables).expect("usable").map(|proxy| proxy.shown());
        assert_eq!(shown(None, &[("HTTPS_PROXY", "env:1")]).as_deref(), Some("env:1"));
        assert_eq!(shown(Some("http://set:3"), &[]).as_deref(), Some("set:3"));
        assert_eq!(shown(Some("none"), &[]), None);
        let broken = settle(ProxyKeys::default(), &BTreeMap::new(), || Some(("a b/c".to_owned(), String::new())));
        assert_eq!(broken.map(|proxy| proxy.map(|proxy| proxy.shown())), Ok(Some("a:80".to_owned())));
        let broken = settle(ProxyKeys::default(), &BTreeMap::new(), || Some(("socks5://a".to_owned(), String::new())));
        assert_eq!(broken.expect_err("refused").0, OF_MACHINE);
    }

    #[test]
    fn no_proxy_names_hosts_domains_addresses_and_ranges() {
        for (entry, host, direct) in [
            ("*", "muster.example.org", true),
            ("example.org", "muster.example.org", true),
            (".example.org", "muster.example.org", true),
            ("*.example.org", "muster.example.org", true),
            ("MUSTER.example.org", "muster.example.org", true),
            ("muster.example.org:7443", "muster.example.org", true),
            ("muster.example.org:1", "muster.example.org", false),
            ("ample.org", "muster.example.org", false),
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.1.2.3", false),
            ("10.1.2.3", "10.1.2.3", true),
            ("0.0.0.0/0", "11.1.2.3", true),
            ("10.0.0.0/99", "10.1.2.3", false),
            ("fd00::/8", "fd12::1", true),
            ("::1", "::1", true),
        ] {
            let proxy = settled(None, &[("HTTPS_PROXY", "p:1"), ("NO_PROXY", &format!("other, {entry}"))]);
            assert_eq!(proxy.expect("usable").expect("one").is_for(host, 7443), !direct, "{entry} for {host}");
        }
    }
}
