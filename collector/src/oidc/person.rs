//! The person of an ID token that is believed, and how a token is checked.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use muster_proto::model::{AccountName, Timestamp};
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreErrorResponseType, CoreGenderClaim, CoreJsonWebKey,
    CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreRevocableToken, CoreRevocationErrorResponse,
    CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AdditionalClaims, EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet, IdTokenClaims,
    IdTokenFields, IdTokenVerifier, StandardErrorResponse, StandardTokenResponse, SubjectIdentifier, UserInfoClaims,
};
use serde_json::Value;

use super::fault::{LyingToken, ProviderFault};
use crate::config::Oidc;

/// The longest subject (OpenID Connect Core, section 2).
const SUBJECT: usize = 255;
/// Letters of an account's name. A number may follow.
const NAME: usize = 48;

/// All claims that the standard does not name; the groups are among them.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(super) struct OtherClaims(BTreeMap<String, Value>);

impl AdditionalClaims for OtherClaims {}

pub(super) type Tokens = StandardTokenResponse<
    IdTokenFields<
        OtherClaims,
        EmptyExtraTokenFields,
        CoreGenderClaim,
        CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm,
    >,
    CoreTokenType,
>;

pub(super) type Client = openidconnect::Client<
    OtherClaims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// A person, as the provider says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// What the provider calls the person for ever.
    pub subject: String,
    /// A name for the account: the user name, or what comes before the `@` of the address, in the letters of account names.
    pub name: AccountName,
    /// The groups; `None` if the provider says nothing about them.
    pub groups: Option<Vec<String>>,
    /// When the person last showed the provider who they are, if it says so.
    pub proved_at: Option<Timestamp>,
}

impl Person {
    pub(super) fn of(
        claims: &IdTokenClaims<OtherClaims, CoreGenderClaim>,
        settings: &Oidc,
        now: Timestamp,
    ) -> Result<Self, ProviderFault> {
        let subject = claims.subject().as_str();
        if subject.is_empty() || subject.len() > SUBJECT || subject.chars().any(char::is_control) {
            return Err(ProviderFault::Lie(LyingToken::Subject));
        }
        let user = claims.preferred_username().map(|name| name.as_str());
        let name = user.or_else(|| claims.email().map(|address| address.as_str())).unwrap_or(subject);
        // The future proves nothing.
        let proved_at = claims.auth_time().map(|time| Timestamp::from_millis(time.timestamp_millis()).min(now));
        Ok(Self {
            subject: subject.to_owned(),
            name: account_name(name)?,
            groups: groups(claims.additional_claims(), &settings.groups_claim),
            proved_at,
        })
    }

    pub(super) fn subject_id(&self) -> SubjectIdentifier {
        SubjectIdentifier::new(self.subject.clone())
    }

    /// Adds what only the page for user information says.
    pub(super) fn complete(&mut self, more: &UserInfoClaims<OtherClaims, CoreGenderClaim>, claim: &str) {
        self.groups = groups(more.additional_claims(), claim);
        let user = more.standard_claims().preferred_username().map(|name| name.as_str());
        let better = user.or_else(|| more.standard_claims().email().map(|address| address.as_str()));
        if let Some(name) = better.and_then(|name| account_name(name).ok()) {
            self.name = name;
        }
    }
}

/// The groups in a claim: a list of texts, or one text.
fn groups(claims: &OtherClaims, claim: &str) -> Option<Vec<String>> {
    match claims.0.get(claim)? {
        Value::Array(groups) => Some(groups.iter().filter_map(|group| group.as_str().map(str::to_owned)).collect()),
        Value::String(group) => Some(vec![group.clone()]),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

fn account_name(text: &str) -> Result<AccountName, ProviderFault> {
    let user = text.split('@').next().unwrap_or_default().to_lowercase();
    let mut name = String::new();
    for letter in user.chars() {
        if letter.is_ascii_lowercase() || letter.is_ascii_digit() || "._".contains(letter) {
            name.push(letter);
        } else if !name.ends_with('-') {
            name.push('-');
        }
    }
    name.truncate(NAME);
    let name = name.trim_matches('-');
    let name = if name.is_empty() { "person" } else { name };
    AccountName::new(name).map_err(|_| ProviderFault::Lie(LyingToken::Subject))
}

/// Checks tokens at an instant. Only signatures of the provider's own keys count: neither none, nor one with the secret that the
/// collector shares.
pub(super) fn verifier(client: &Client, now: Timestamp) -> IdTokenVerifier<'_, CoreJsonWebKey> {
    use CoreJwsSigningAlgorithm as Algorithm;
    let millis = u64::try_from(now.millis()).unwrap_or_default();
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
    client
        .id_token_verifier()
        .set_allowed_algs([
            Algorithm::RsaSsaPkcs1V15Sha256,
            Algorithm::RsaSsaPkcs1V15Sha384,
            Algorithm::RsaSsaPkcs1V15Sha512,
            Algorithm::RsaSsaPssSha256,
            Algorithm::RsaSsaPssSha384,
            Algorithm::RsaSsaPssSha512,
            Algorithm::EcdsaP256Sha256,
            Algorithm::EcdsaP384Sha384,
            Algorithm::EdDsa,
        ])
        .set_time_fn(move || now.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_the_letters_of_account_names() {
        for (said, name) in [
            ("ada", "ada"),
            ("Ada.Lovelace@example.com", "ada.lovelace"),
            ("CORP\\bob", "corp-bob"),
            ("Zoë Ångström", "zo-ngstr-m"),
            ("<script>", "script"),
            ("", "person"),
            ("@example.com", "person"),
        ] {
            assert_eq!(account_name(said).expect("a name").as_str(), name, "{said}");
        }
        assert_eq!(account_name(&"x".repeat(500)).expect("a name").as_str().len(), NAME);
    }

    #[test]
    fn groups_are_a_list_or_one_text() {
        let read = |json: &str| groups(&serde_json::from_str(json).expect("claims"), "groups");
        assert_eq!(read(r#"{"groups":["a","b",7]}"#), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(read(r#"{"groups":"a"}"#), Some(vec!["a".to_owned()]));
        assert_eq!(read(r#"{"groups":[]}"#), Some(Vec::new()));
        assert_eq!((read(r#"{"groups":7}"#), read(r#"{"roles":["a"]}"#)), (None, None));
    }
}
