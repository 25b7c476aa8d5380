//! What the provider says about itself and its keys: asked for, kept for an hour, and asked for again for a key that is unknown.

use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_proto::model::Timestamp;
use openidconnect::core::{CoreClientAuthMethod, CoreJsonWebKeySet};
use openidconnect::{IssuerUrl, ProviderMetadataWithLogout};

use super::fault::ProviderFault;
use super::http::HttpClient;

/// The provider's description of itself, with its keys.
pub(super) type Metadata = ProviderMetadataWithLogout;

/// How long a description and its keys are used.
const KEPT: Duration = Duration::from_secs(3600);
/// Keys are asked for again at most once in this time, whatever tokens say.
const KEYS_AGAIN: Duration = Duration::from_secs(60);
/// After a failure the provider is left alone for a moment: those who wait get the same answer.
const FAILED: Duration = Duration::from_secs(1);

/// What is kept of the provider.
#[derive(Default)]
pub(super) struct Cached {
    known: Option<(Arc<Metadata>, Timestamp)>,
    keys_at: Option<Timestamp>,
    failed: Option<(ProviderFault, Timestamp)>,
}

impl Cached {
    /// The description, from the provider if the kept one is too old.
    pub(super) async fn metadata(
        &mut self,
        issuer: &str,
        http: &HttpClient,
        now: Timestamp,
    ) -> Result<Arc<Metadata>, ProviderFault> {
        if let Some((known, at)) = &self.known
            && is_young(*at, now, KEPT)
        {
            return Ok(Arc::clone(known));
        }
        if let Some((failed, at)) = &self.failed
            && is_young(*at, now, FAILED)
        {
            return Err(failed.clone());
        }
        let begun = Instant::now();
        let asked = match IssuerUrl::new(issuer.to_owned()) {
            Ok(issuer) => Metadata::discover_async(issuer, http).await.map_err(ProviderFault::of_discovery),
            Err(_) => Err(ProviderFault::Malformed("oidc.issuer is not a URL".to_owned())),
        };
        match asked {
            Ok(found) => {
                let found = Arc::new(found);
                self.known = Some((Arc::clone(&found), now));
                self.keys_at = Some(now);
                self.failed = None;
                Ok(found)
            }
            Err(failed) => {
                // Those who have waited meanwhile are not to try it one after the other.
                self.failed = Some((failed.clone(), now.plus(begun.elapsed())));
                Err(failed)
            }
        }
    }

    /// The description with newer keys; `None` if they were asked for a moment ago.
    pub(super) async fn newer_keys(
        &mut self,
        http: &HttpClient,
        now: Timestamp,
    ) -> Result<Option<Arc<Metadata>>, ProviderFault> {
        let Some((known, at)) = self.known.clone() else { return Ok(None) };
        if self.keys_at.is_some_and(|keys| is_young(keys, now, KEYS_AGAIN)) {
            return Ok(None);
        }
        // Also if the answer is useless.
        self.keys_at = Some(now);
        let keys = CoreJsonWebKeySet::fetch_async(known.jwks_uri(), http).await.map_err(ProviderFault::of_discovery)?;
        let newer = Arc::new(Metadata::clone(&known).set_jwks(keys));
        self.known = Some((Arc::clone(&newer), at));
        Ok(Some(newer))
    }
}

/// A clock that was set back makes everything old.
fn is_young(at: Timestamp, now: Timestamp, span: Duration) -> bool {
    at <= now && now.since(at) < span
}

/// Whether the provider takes the client's secret in the body of a request only.
pub(super) fn wants_secret_in_body(metadata: &Metadata) -> bool {
    let has = |methods: &Vec<CoreClientAuthMethod>, method| methods.contains(&method);
    metadata.token_endpoint_auth_methods_supported().is_some_and(|methods| {
        !has(methods, CoreClientAuthMethod::ClientSecretBasic) && has(methods, CoreClientAuthMethod::ClientSecretPost)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_gets_old_also_if_the_clock_is_set_back() {
        let at = Timestamp::from_millis(1_767_000_000_000);
        assert!(is_young(at, at, KEPT) && is_young(at, at.plus(Duration::from_secs(3599)), KEPT));
        assert!(!is_young(at, at.plus(KEPT), KEPT) && !is_young(at, at.minus(FAILED), KEPT));
    }
}
