//! Logging in with an identity provider (OpenID Connect 1.0, authorization code with PKCE): asks it who a person is, and believes
//! only what it has signed for this collector and this login.
//!
//! ```text
//!  begin ─► the browser goes to the provider ─► callback: code ─► exchange ─► ID token: checked ─► (userinfo) ─► Person ─► Grant
//! ```
//!
//! It opens no session and knows no account; `actions` and `api` do that. It keeps no token of the provider.

mod fault;
mod groups;
mod http;
mod metadata;
mod person;
mod proof;
mod setup_fault;

use std::sync::Arc;
use std::time::Duration;

use muster_proto::model::{Timestamp, Token};
use openidconnect::core::{CoreAuthPrompt, CoreAuthenticationFlow};
use openidconnect::{
    AuthType, AuthorizationCode, ClientId, ClientSecret, CsrfToken, LogoutRequest, Nonce, OAuth2TokenResponse as _,
    PkceCodeChallenge, PkceCodeVerifier, PostLogoutRedirectUrl, RedirectUrl, Scope, TokenResponse as _,
};
use tokio::sync::Mutex;

pub use fault::ProviderFault;
pub use groups::{Grant, NoGrant};
pub use person::Person;
pub use proof::{CALLBACK, state_of};
pub use setup_fault::{SecretFault, SetupFault};

use crate::clock::Clock;
use crate::config::Oidc;
use fault::LyingToken;
use http::HttpClient;
use metadata::{Cached, Metadata};
use person::{Client, Tokens};
use setup_fault::SECRET;

/// How far the clocks of collector and provider may be apart.
const CLOCKS_APART: Duration = Duration::from_secs(60);

/// The identity provider.
pub struct Provider {
    settings: Oidc,
    redirect: RedirectUrl,
    after_logout: PostLogoutRedirectUrl,
    http: HttpClient,
    cache: Mutex<Cached>,
    clock: Clock,
}

impl Provider {
    /// The provider of these settings. It is not asked yet.
    ///
    /// # Errors
    /// A file of the settings cannot be used.
    pub async fn new(settings: Oidc, clock: Clock) -> Result<Self, SetupFault> {
        secret(&settings).await.map_err(SetupFault::Secret)?;
        let http = HttpClient::new(settings.ca.as_deref()).await?;
        let address = |path: &str| format!("{}{path}", settings.origin);
        let redirect = RedirectUrl::new(address(CALLBACK)).map_err(|_| SetupFault::Origin)?;
        let after_logout = PostLogoutRedirectUrl::new(address("/login")).map_err(|_| SetupFault::Origin)?;
        Ok(Self { settings, redirect, after_logout, http, cache: Mutex::default(), clock })
    }

    /// The issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.settings.issuer
    }

    /// Asks the provider to describe itself, unless it has done so lately.
    ///
    /// # Errors
    /// It does not answer, or its description cannot be used.
    pub async fn must_answer(&self) -> Result<(), ProviderFault> {
        self.metadata().await.map(drop)
    }

    /// Where the browser goes to log in. `login` is what the browser keeps about this login; with `again` the provider must ask for
    /// the password or what it uses instead, even if it knows the person already.
    ///
    /// # Errors
    /// The provider cannot be asked, or describes itself wrongly.
    pub async fn login_address(&self, login: &Token, again: bool) -> Result<String, ProviderFault> {
        let metadata = self.metadata().await?;
        let client = self.client(&metadata, None);
        let (state, nonce) = (state_of(login), proof::nonce(login));
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&PkceCodeVerifier::new(proof::verifier(login)));
        let flow = CoreAuthenticationFlow::AuthorizationCode;
        let mut request = client
            .authorize_url(flow, move || CsrfToken::new(state), move || Nonce::new(nonce))
            .set_pkce_challenge(challenge)
            .add_scopes(self.settings.scopes.iter().cloned().map(Scope::new));
        if again {
            request = request.add_prompt(CoreAuthPrompt::Login).set_max_age(Duration::ZERO);
        }
        let (address, ..) = request.url();
        if address.scheme() != "https" {
            return Err(ProviderFault::Malformed("its address for logging in is not https".to_owned()));
        }
        Ok(address.into())
    }

    /// Who has come back with this code. `since` is when a login that proves the person again was begun.
    ///
    /// # Errors
    /// The provider cannot be asked, refuses the code, or says something that is not to be believed.
    pub async fn person(&self, login: &Token, code: &str, since: Option<Timestamp>) -> Result<Person, ProviderFault> {
        let metadata = self.metadata().await?;
        let secret = secret(&self.settings).await.map_err(|failed| ProviderFault::Secret(failed.to_string()))?;
        let client = self.client(&metadata, Some(secret));
        let tokens = client
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .map_err(|_| ProviderFault::Malformed("its description names no address for tokens".to_owned()))?
            .set_pkce_verifier(PkceCodeVerifier::new(proof::verifier(login)))
            .request_async(&self.http)
            .await
            .map_err(ProviderFault::of_exchange)?;
        let mut person = match self.checked(&client, &tokens, login, since) {
            // A provider changes its keys at any time.
            Err(ProviderFault::Lie(LyingToken::UnknownKey)) => {
                let Some(newer) = self.newer_keys().await? else {
                    return Err(ProviderFault::Lie(LyingToken::UnknownKey));
                };
                self.checked(&self.client(&newer, None), &tokens, login, since)?
            }
            checked => checked?,
        };
        if person.groups.is_none()
            && let Some(request) = client.user_info(tokens.access_token().clone(), Some(person.subject_id())).ok()
        {
            let more = request.request_async(&self.http).await.map_err(ProviderFault::of_userinfo)?;
            person.complete(&more, &self.settings.groups_claim);
        }
        Ok(person)
    }

    /// What the person may do here.
    ///
    /// # Errors
    /// The person is in no group that is let in.
    pub fn grant(&self, person: &Person) -> Result<Grant, NoGrant> {
        groups::grant(person.groups.as_deref(), &self.settings.roles, &self.settings.sites)
    }

    /// Where a browser goes to log out at the provider; `None` if it has no such page or cannot be asked.
    pub async fn logout_address(&self) -> Option<String> {
        let metadata = self.metadata().await.ok()?;
        let page = metadata.additional_metadata().end_session_endpoint.clone()?;
        let request = LogoutRequest::from(page)
            .set_client_id(ClientId::new(self.settings.client_id.clone()))
            .set_post_logout_redirect_uri(self.after_logout.clone());
        let address = request.http_get_url();
        (address.scheme() == "https").then(|| address.into())
    }

    fn checked(
        &self,
        client: &Client,
        tokens: &Tokens,
        login: &Token,
        since: Option<Timestamp>,
    ) -> Result<Person, ProviderFault> {
        let token = tokens.id_token().ok_or(ProviderFault::Lie(LyingToken::Missing))?;
        let now = (self.clock)();
        let verifier = person::verifier(client, now.minus(CLOCKS_APART));
        let nonce = Nonce::new(proof::nonce(login));
        let claims = token.claims(&verifier, &nonce).map_err(|wrong| ProviderFault::Lie(LyingToken::of(&wrong)))?;
        let person = Person::of(claims, &self.settings, now)?;
        match (since, person.proved_at) {
            (None, _) => Ok(person),
            (Some(since), Some(proved)) if proved.plus(CLOCKS_APART) >= since => Ok(person),
            (Some(_), Some(_)) => Err(ProviderFault::Lie(LyingToken::Old)),
            (Some(_), None) => Err(ProviderFault::Lie(LyingToken::NoTime)),
        }
    }

    fn client(&self, metadata: &Metadata, secret: Option<String>) -> Client {
        let id = ClientId::new(self.settings.client_id.clone());
        let client = Client::from_provider_metadata(metadata.clone(), id, secret.map(ClientSecret::new))
            .set_redirect_uri(self.redirect.clone());
        let in_body = metadata::wants_secret_in_body(metadata);
        client.set_auth_type(if in_body { AuthType::RequestBody } else { AuthType::BasicAuth })
    }

    async fn metadata(&self) -> Result<Arc<Metadata>, ProviderFault> {
        self.cache.lock().await.metadata(&self.settings.issuer, &self.http, (self.clock)()).await
    }

    async fn newer_keys(&self) -> Result<Option<Arc<Metadata>>, ProviderFault> {
        self.cache.lock().await.newer_keys(&self.http, (self.clock)()).await
    }
}

/// The secret of the client, without white space around it. It is read whenever it is needed, so that it can be changed.
async fn secret(settings: &Oidc) -> Result<String, SecretFault> {
    use tokio::io::AsyncReadExt as _;
    let path = || settings.client_secret_file.display().to_string();
    let read = async {
        let mut text = String::new();
        tokio::fs::File::open(&settings.client_secret_file).await?.take(SECRET + 1).read_to_string(&mut text).await?;
        std::io::Result::Ok(text)
    };
    let text = read.await.map_err(|source| SecretFault::Read { path: path(), source })?;
    let secret = text.trim();
    if secret.is_empty() || text.len() as u64 > SECRET {
        return Err(SecretFault::Form { path: path() });
    }
    Ok(secret.to_owned())
}
