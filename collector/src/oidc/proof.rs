//! What binds a login to a browser: `state`, `nonce` and the verifier of PKCE, all made from the secret that the browser keeps in a
//! cookie. So neither the address nor the store has anything with which another browser could finish the login.

use data_encoding::BASE64URL_NOPAD;
use muster_proto::model::Token;

/// Where the provider leads back to, below the public address.
pub const CALLBACK: &str = "/login/provider/callback";

/// The `state` of a login: its id, and what only the browser with the secret can have sent.
#[must_use]
pub fn state_of(login: &Token) -> String {
    format!("{}.{}", login.id, derived("muster 2026-12 oidc state", login))
}

pub(super) fn nonce(login: &Token) -> String {
    derived("muster 2026-12 oidc nonce", login)
}

/// 43 characters, as RFC 7636 demands at least.
pub(super) fn verifier(login: &Token) -> String {
    derived("muster 2026-12 oidc pkce verifier", login)
}

fn derived(purpose: &str, login: &Token) -> String {
    BASE64URL_NOPAD.encode(&blake3::derive_key(purpose, login.to_string().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_login_and_each_purpose_has_its_own_secret() {
        let login = |letter: &str| format!("abc.{}", letter.repeat(52)).parse::<Token>().expect("a token");
        let (one, other) = (login("a"), login("q"));
        let all = [state_of(&one), nonce(&one), verifier(&one), state_of(&other), nonce(&other), verifier(&other)];
        for (at, text) in all.iter().enumerate() {
            assert!(!text.contains(&"a".repeat(20)) && !all[..at].contains(text), "{text}");
        }
        assert_eq!(verifier(&one).len(), 43);
        assert!(state_of(&one).starts_with("abc."));
    }
}
