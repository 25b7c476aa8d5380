//! The address under which people reach the operators' port.

use http::Uri;

/// `operators.public_url`: `https://HOST` or `https://HOST:PORT`, without a path. Empty if it is not set.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct PublicUrl(String);

impl PublicUrl {
    /// The address as browsers write the origin of its pages: in lower case, without the port 443 and without a slash at its end.
    /// `None` if it is not set or not valid.
    #[must_use]
    pub fn origin(&self) -> Option<String> {
        if self.0.is_empty() { None } else { origin(&self.0).ok() }
    }

    /// What is wrong with the address.
    pub(super) fn fault(&self) -> Option<&'static str> {
        if self.0.is_empty() { None } else { origin(&self.0).err() }
    }
}

fn origin(text: &str) -> Result<String, &'static str> {
    let uri: Uri = text.parse().map_err(|_| "is not a URL; write https://HOST or https://HOST:PORT")?;
    if uri.scheme_str() != Some("https") {
        return Err("does not begin with https://; the operators' port speaks TLS only");
    }
    let authority = uri.authority().ok_or("has no host; write https://HOST or https://HOST:PORT")?;
    if authority.as_str().contains('@') {
        return Err("has a user name; write only https://HOST or https://HOST:PORT");
    }
    // The parser takes a fragment away.
    if !["", "/"].contains(&uri.path()) || uri.query().is_some() || text.contains(['?', '#']) {
        return Err(
            "has more than a host and a port; the web board is at the root, so write only https://HOST or https://HOST:PORT",
        );
    }
    let host = authority.host();
    // The parser takes a port that is no number away.
    let rest = authority.as_str().strip_prefix(host).unwrap_or_default();
    let port = rest.strip_prefix(':').map(|port| port.parse::<u16>().unwrap_or(0));
    if host.is_empty() || port == Some(0) {
        return Err("has no host or no valid port; write https://HOST or https://HOST:PORT");
    }
    let port = port.filter(|port| *port != 443).map_or_else(String::new, |port| format!(":{port}"));
    Ok(format!("https://{}{port}", host.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_an_origin_as_browsers_write_it() {
        for (text, expected) in [
            ("https://muster.example.com", "https://muster.example.com"),
            ("https://Muster.Example.com/", "https://muster.example.com"),
            ("https://muster.example.com:443", "https://muster.example.com"),
            ("https://10.0.0.7:7444/", "https://10.0.0.7:7444"),
            ("https://[2001:db8::1]:7444", "https://[2001:db8::1]:7444"),
        ] {
            let url = PublicUrl(text.to_owned());
            assert_eq!((url.origin().as_deref(), url.fault()), (Some(expected), None), "{text}");
        }
        assert_eq!((PublicUrl::default().origin(), PublicUrl::default().fault()), (None, None));
    }

    #[test]
    fn what_is_no_origin_is_a_fault_that_says_what_to_write() {
        for text in [
            "muster.example.com",
            "http://muster.example.com",
            "https://",
            "https://muster.example.com/board",
            "https://muster.example.com?x=1",
            "https://muster.example.com/#x",
            "https://ada@muster.example.com",
            "https://muster.example.com:0",
            "https://muster.example.com:x",
            "https://muster example",
            "//muster.example.com",
        ] {
            let url = PublicUrl(text.to_owned());
            let fault = url.fault().unwrap_or_else(|| panic!("{text}: {:?}", url.origin()));
            assert!(fault.contains("https://"), "{text}: {fault}");
            assert_eq!(url.origin(), None, "{text}");
        }
    }
}
