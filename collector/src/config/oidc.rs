//! `[oidc]`: the identity provider with which people log in to the web board.

use std::collections::BTreeMap;
use std::path::PathBuf;

use http::Uri;
use muster_proto::model::{Role, SiteId};
use muster_proto::settings::Layers;

use super::list::list;
use super::public_url::PublicUrl;

/// Most groups with a role or a site.
const GROUPS: usize = 1_000;
/// What stands for all sites.
const ALL_SITES: &str = "*";

/// The identity provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oidc {
    /// `oidc.issuer`: the provider's address, as its discovery document says it.
    pub issuer: String,
    /// `oidc.client_id`: how the provider calls this collector.
    pub client_id: String,
    /// `oidc.client_secret_file`: a file with the secret that the provider gave.
    pub client_secret_file: PathBuf,
    /// `oidc.groups_claim`: the claim with the groups of a person.
    pub groups_claim: String,
    /// `oidc.scopes`: what is asked for beside `openid`.
    pub scopes: Vec<String>,
    /// `oidc.roles`: the role of each group.
    pub roles: BTreeMap<String, Role>,
    /// `oidc.sites`: the site of each group; `None` is all sites. If it is empty, everybody sees all sites.
    pub sites: BTreeMap<String, Option<SiteId>>,
    /// `oidc.ca`: certificates that the provider's one must come from, in PEM. Without it, those of the system.
    pub ca: Option<PathBuf>,
    /// Where the provider leads back to: `operators.public_url`.
    pub origin: String,
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct OidcKeys {
    issuer: String,
    client_id: String,
    client_secret_file: PathBuf,
    groups_claim: String,
    #[serde(deserialize_with = "list")]
    scopes: Vec<String>,
    roles: BTreeMap<String, Role>,
    sites: BTreeMap<String, String>,
    ca: PathBuf,
}

impl Default for OidcKeys {
    fn default() -> Self {
        Self {
            issuer: String::new(),
            client_id: String::new(),
            client_secret_file: PathBuf::new(),
            groups_claim: "groups".to_owned(),
            scopes: vec!["profile".to_owned(), "email".to_owned()],
            roles: BTreeMap::new(),
            sites: BTreeMap::new(),
            ca: PathBuf::new(),
        }
    }
}

impl OidcKeys {
    /// The provider; `None` if there is none.
    pub(super) fn settle<K>(self, public_url: &PublicUrl, layers: &mut Layers<K>) -> Option<Oidc> {
        if self.issuer.is_empty() {
            if !self.client_id.is_empty() || !self.roles.is_empty() || !self.client_secret_file.as_os_str().is_empty() {
                layers.fault(
                    "oidc.issuer",
                    "is empty, but other keys of [oidc] are set; name the provider or remove them",
                );
            }
            return None;
        }
        if let Some(fault) = issuer_fault(&self.issuer) {
            layers.fault("oidc.issuer", fault);
        }
        if self.client_id.is_empty() {
            layers.fault("oidc.client_id", "is empty; write the id that the provider gave to this collector");
        }
        if self.client_secret_file.as_os_str().is_empty() {
            layers.fault("oidc.client_secret_file", "is empty; name a file with the secret that the provider gave");
        }
        if self.groups_claim.is_empty() {
            layers.fault("oidc.groups_claim", "is empty; name the claim that has the groups of a person");
        }
        if self.scopes.iter().any(|scope| scope.is_empty() || !scope.bytes().all(|byte| byte.is_ascii_graphic())) {
            layers.fault("oidc.scopes", "has an empty scope or one with spaces; write one scope per entry, for example [\"profile\", \"groups\"]");
        }
        if self.roles.is_empty() {
            layers.fault(
                "oidc.roles",
                "is empty, so nobody could log in; write for example { \"muster-ops\" = \"operator\" }",
            );
        }
        for (key, count) in [("oidc.roles", self.roles.len()), ("oidc.sites", self.sites.len())] {
            layers.limit(key, &count, (0, GROUPS), usize::to_string);
        }
        let origin = public_url.origin().unwrap_or_else(|| {
            // Another fault of the address is reported with its own key.
            if public_url.fault().is_none() {
                let reason = "is empty, but [oidc] needs it: the provider leads people back to it";
                layers.fault("operators.public_url", reason);
            }
            String::new()
        });
        Some(Oidc {
            issuer: self.issuer,
            client_id: self.client_id,
            client_secret_file: self.client_secret_file,
            groups_claim: self.groups_claim,
            scopes: self.scopes,
            roles: self.roles,
            sites: sites(self.sites, layers),
            ca: Some(self.ca).filter(|ca| !ca.as_os_str().is_empty()),
            origin,
        })
    }
}

fn issuer_fault(text: &str) -> Option<&'static str> {
    match text.parse::<Uri>() {
        Ok(uri) if uri.scheme_str() != Some("https") || uri.authority().is_none() => {
            Some("does not begin with https:// and a host; write for example https://id.example.com/realms/staff")
        }
        Ok(_) if text.contains(['?', '#', '@']) => {
            Some("has more than a host and a path; write the issuer as the provider's discovery document has it")
        }
        Ok(_) => None,
        Err(_) => Some("is not a URL; write the issuer as the provider's discovery document has it"),
    }
}

fn sites<K>(written: BTreeMap<String, String>, layers: &mut Layers<K>) -> BTreeMap<String, Option<SiteId>> {
    let mut sites = BTreeMap::new();
    for (group, site) in written {
        if site == ALL_SITES {
            sites.insert(group, None);
            continue;
        }
        match SiteId::new(site) {
            Ok(site) => drop(sites.insert(group, Some(site))),
            Err(wrong) => layers.fault("oidc.sites", format!("group {group:?}: {wrong}; \"{ALL_SITES}\" is all sites")),
        }
    }
    sites
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Flags, Settings};

    fn load(text: &str) -> Result<Settings, String> {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("collector.toml");
        std::fs::write(&file, text).expect("written");
        let flags = Flags { config: Some(file), ..Flags::default() };
        Settings::load(&flags, Vec::new()).map_err(|faults| faults.to_string())
    }

    const PUBLIC: &str = "[operators]\npublic_url = 'https://muster.example.com'\n";

    #[test]
    fn a_provider_has_groups_with_roles_and_sites() {
        let text = format!(
            "{PUBLIC}[oidc]\nissuer = 'https://id.example.com/realms/x'\nclient_id = 'muster'\nclient_secret_file = '/s'\n\
             roles = {{ \"Muster.Ops\" = 'operator', 'CORP\\\\view all' = 'viewer' }}\nsites = {{ hq = 'hq', everywhere = '*' }}\n"
        );
        let oidc =
            load(&text.replace("'CORP\\\\view all'", "\"CORP\\\\view all\"")).expect("valid").oidc.expect("a provider");
        let role = |group: &str| oidc.roles.get(group).copied();
        assert_eq!((role("Muster.Ops"), role("CORP\\view all")), (Some(Role::Operator), Some(Role::Viewer)));
        assert_eq!(oidc.sites.get("everywhere"), Some(&None));
        assert_eq!(oidc.sites.get("hq"), Some(&Some(SiteId::new("hq").expect("a site"))));
        assert_eq!((oidc.groups_claim.as_str(), oidc.origin.as_str()), ("groups", "https://muster.example.com"));
        assert_eq!(load("").expect("valid").oidc, None);
    }

    #[test]
    fn every_wrong_setting_is_told_with_its_key() {
        let faults =
            load("[oidc]\nissuer = 'http://id.example.com'\nsites = { hq = 'Not A Site' }\n").expect_err("faulty");
        for part in [
            "oidc.issuer: does not begin with https://",
            "oidc.client_id: is empty",
            "oidc.client_secret_file: is empty",
            "oidc.roles: is empty, so nobody could log in",
            "oidc.sites: group \"hq\": \"Not A Site\" is not a valid site",
            "operators.public_url: is empty, but [oidc] needs it",
        ] {
            assert!(faults.contains(part), "{part}\n{faults}");
        }
        let faults = load("[oidc]\nclient_id = 'muster'\n").expect_err("faulty");
        assert!(faults.contains("oidc.issuer: is empty, but other keys"), "{faults}");
        let faults = load("[oidc]\nroles = { ops = 'king' }\n").expect_err("faulty");
        assert!(faults.contains("oidc.roles: unknown Role \"king\""), "{faults}");
        let faults = load("[oidc]\nissuer = 'https://id.example.com?x=1'\n").expect_err("faulty");
        assert!(faults.contains("oidc.issuer: has more than a host and a path"), "{faults}");
    }
}
