//! The cookie of sessions.

use http::HeaderMap;
use http::header::COOKIE;
use muster_proto::model::{CaPin, Token};

/// The cookie of sessions. Its prefix makes browsers refuse it without TLS, for another path, and from another host (RFC 6265bis).
/// Browsers send cookies to all ports of a host, so the name has the beginning of the CA's pin: collectors on one host do not
/// take each other's sessions away.
#[derive(Debug, Clone)]
pub(super) struct SessionCookie {
    name: String,
}

impl SessionCookie {
    pub(super) fn of(pin: &CaPin) -> Self {
        let pin = pin.to_string();
        Self { name: format!("__Host-muster-{}", pin.get(..8).unwrap_or(&pin)) }
    }

    /// The cookie of a login with the identity provider, which the browser keeps until it comes back.
    pub(super) fn of_login(pin: &CaPin) -> Self {
        let Self { name } = Self::of(pin);
        Self { name: name.replace("-muster-", "-muster-login-") }
    }

    /// The token of the session in the cookies.
    pub(super) fn token_of(&self, headers: &HeaderMap) -> Option<Token> {
        let pairs = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
        let pairs = pairs.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.filter(|(name, _)| *name == self.name).find_map(|(_, value)| value.parse().ok())
    }

    /// The header that sets the cookie of a new session.
    pub(super) fn set(&self, token: &Token, seconds: u64) -> String {
        format!("{}={token}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={seconds}", self.name)
    }

    /// The header that ends the cookie.
    pub(super) fn gone(&self) -> String {
        format!("{}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_read_from_the_cookie_of_this_collector_and_from_nothing_else() {
        let token = format!("abc.{}", "a".repeat(52));
        let cookie = SessionCookie::of(&CaPin::from_bytes([1; 32]));
        let other = SessionCookie::of(&CaPin::from_bytes([2; 32]));
        let read = |cookies: &[&str]| {
            let mut headers = HeaderMap::new();
            for cookie in cookies {
                headers.append(COOKIE, cookie.parse().expect("a header"));
            }
            cookie.token_of(&headers).map(|token| token.to_string())
        };
        let name = &cookie.name;
        let named = format!("{name}={token}");
        assert!(name.starts_with("__Host-muster-") && *name != other.name, "{name}");
        let login = SessionCookie::of_login(&CaPin::from_bytes([1; 32]));
        assert!(login.name.starts_with("__Host-muster-login-") && login.name != *name, "{}", login.name);
        assert_eq!(read(&[&format!("{}={token}", login.name)]), None, "that of a login");
        assert_eq!(read(&[&named]), Some(token.clone()));
        assert_eq!(read(&[&format!("a=b; {named}; c=d")]), Some(token.clone()));
        assert_eq!(read(&["a=b", &named]), Some(token.clone()), "HTTP/2 may split cookies");
        assert_eq!(read(&[&format!("__Host-muster={token}"), &format!("{name}=x"), name, ""]), None);
        assert_eq!(read(&[&format!("{}={token}", other.name)]), None, "that of another collector on this host");
    }
}
