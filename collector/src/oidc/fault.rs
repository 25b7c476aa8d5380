//! Why a provider's word is not taken. No text has a token, a code or a secret; what the provider says is cut.

use openidconnect::core::CoreErrorResponseType;
use openidconnect::{
    ClaimsVerificationError, DiscoveryError, RequestTokenError, SignatureVerificationError, StandardErrorResponse,
    UserInfoError,
};

use super::http::HttpFault;

/// Letters of a provider's own words.
const WORDS: usize = 120;

/// Why a login with the provider failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderFault {
    /// It cannot be reached.
    #[error("the identity provider cannot be reached: {0}")]
    Down(String),
    /// It answers with an error.
    #[error("the identity provider answers with an error: {0}")]
    Refused(String),
    /// Its answer cannot be read.
    #[error("the identity provider's answer cannot be used: {0}")]
    Malformed(String),
    /// Its description is that of another issuer.
    #[error("the identity provider's description names another issuer: {0}")]
    OtherIssuer(String),
    /// The ID token is not to be believed.
    #[error("the identity provider's token is not accepted: {0}")]
    Lie(LyingToken),
    /// The collector's own secret cannot be used.
    #[error("{0}")]
    Secret(String),
}

/// What is wrong with an ID token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LyingToken {
    /// There is none.
    #[error("there is no ID token in the answer")]
    Missing,
    /// It is of another issuer.
    #[error("it was issued by another issuer")]
    Issuer,
    /// It is for another client.
    #[error("it is for another client")]
    Audience,
    /// It belongs to another login.
    #[error("it belongs to another login (nonce)")]
    Nonce,
    /// It has expired.
    #[error("it has expired")]
    Expired,
    /// It has no signature.
    #[error("it is not signed (alg: none)")]
    Unsigned,
    /// It is signed in a way that is not accepted.
    #[error("it is signed with an algorithm that is not accepted")]
    Algorithm,
    /// It is signed with a key that the provider does not publish.
    #[error("it is signed with a key that the provider does not publish")]
    UnknownKey,
    /// The signature is wrong.
    #[error("its signature is wrong")]
    Signature,
    /// The subject is missing or not valid.
    #[error("its subject is not valid")]
    Subject,
    /// The person has shown who they are too long ago.
    #[error("the person has not logged in again (auth_time)")]
    Old,
    /// It does not say when the person has shown who they are.
    #[error("it does not say when the person logged in (auth_time)")]
    NoTime,
    /// Something else.
    #[error("a claim in it is not valid")]
    Other,
}

impl LyingToken {
    pub(super) fn of(wrong: &ClaimsVerificationError) -> Self {
        use SignatureVerificationError as Signature;
        match wrong {
            ClaimsVerificationError::Expired(_) => Self::Expired,
            ClaimsVerificationError::InvalidAudience(_) => Self::Audience,
            ClaimsVerificationError::InvalidIssuer(_) => Self::Issuer,
            ClaimsVerificationError::InvalidNonce(_) => Self::Nonce,
            ClaimsVerificationError::InvalidSubject(_) => Self::Subject,
            ClaimsVerificationError::SignatureVerification(Signature::NoSignature) => Self::Unsigned,
            ClaimsVerificationError::SignatureVerification(Signature::DisallowedAlg(name))
                if name.contains("`none`") =>
            {
                Self::Unsigned
            }
            ClaimsVerificationError::SignatureVerification(
                Signature::DisallowedAlg(_) | Signature::UnsupportedAlg(_) | Signature::InvalidKey(_),
            ) => Self::Algorithm,
            ClaimsVerificationError::SignatureVerification(Signature::NoMatchingKey | Signature::AmbiguousKeyId(_)) => {
                Self::UnknownKey
            }
            ClaimsVerificationError::SignatureVerification(_) => Self::Signature,
            ClaimsVerificationError::InvalidAuthContext(_)
            | ClaimsVerificationError::InvalidAuthTime(_)
            | ClaimsVerificationError::Other(_)
            | ClaimsVerificationError::Unsupported(_)
            | _ => Self::Other,
        }
    }
}

impl ProviderFault {
    pub(super) fn of_http(failed: &HttpFault) -> Self {
        match failed {
            HttpFault::NoAnswer(why) => Self::Down(why.clone()),
            HttpFault::TooLong | HttpFault::Request => Self::Malformed(failed.to_string()),
        }
    }

    pub(super) fn of_discovery(failed: DiscoveryError<HttpFault>) -> Self {
        match failed {
            DiscoveryError::Request(failed) => Self::of_http(&failed),
            DiscoveryError::Validation(said) if said.contains("issuer") => Self::OtherIssuer(words(&said)),
            DiscoveryError::Response(status, ..) if status.is_server_error() => Self::Down(format!("status {status}")),
            DiscoveryError::Response(status, ..) => {
                Self::Malformed(format!("status {status} for its description or its keys"))
            }
            DiscoveryError::Parse(_) => Self::Malformed("its description or its keys cannot be read".to_owned()),
            DiscoveryError::Validation(_) | DiscoveryError::UrlParse(_) | DiscoveryError::Other(_) | _ => {
                Self::Malformed("its description or its keys are not valid".to_owned())
            }
        }
    }

    pub(super) fn of_exchange(
        failed: RequestTokenError<HttpFault, StandardErrorResponse<CoreErrorResponseType>>,
    ) -> Self {
        match failed {
            RequestTokenError::Request(failed) => Self::of_http(&failed),
            RequestTokenError::ServerResponse(said) => Self::Refused(words(said.error().as_ref())),
            RequestTokenError::Parse(..) => Self::Malformed("its tokens cannot be read".to_owned()),
            RequestTokenError::Other(_) => Self::Malformed("its answer to the code is empty".to_owned()),
        }
    }

    pub(super) fn of_userinfo(failed: UserInfoError<HttpFault>) -> Self {
        match failed {
            UserInfoError::Request(failed) => Self::of_http(&failed),
            UserInfoError::ClaimsVerification(_) => Self::Lie(LyingToken::Subject),
            UserInfoError::Response(status, ..) => Self::Malformed(format!("status {status} for the person's groups")),
            UserInfoError::Parse(_) | UserInfoError::Other(_) | _ => {
                Self::Malformed("what it says about the person cannot be read".to_owned())
            }
        }
    }
}

/// What a provider says, short and in one line.
fn words(said: &str) -> String {
    said.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(WORDS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lie_has_its_own_words() {
        use LyingToken as Lie;
        let all = [
            Lie::Missing,
            Lie::Issuer,
            Lie::Audience,
            Lie::Nonce,
            Lie::Expired,
            Lie::Unsigned,
            Lie::Algorithm,
            Lie::UnknownKey,
            Lie::Signature,
            Lie::Subject,
            Lie::Old,
            Lie::NoTime,
            Lie::Other,
        ];
        let texts: std::collections::BTreeSet<String> = all.iter().map(Lie::to_string).collect();
        assert_eq!(texts.len(), all.len());
    }

    #[test]
    fn a_provider_cannot_fill_the_log() {
        assert_eq!(words(&"x\n".repeat(1_000)).len(), WORDS);
        assert!(!words("a\r\nb").contains(['\r', '\n']));
    }
}
