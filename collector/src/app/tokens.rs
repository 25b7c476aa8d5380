//! `muster-collector tokens`: enrollment tokens, managed on the collector's machine. Works while the collector runs.

use std::io::Write;

use anyhow::Context;
use muster_proto::model::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::accounts;
use super::command::{Format, TokensArgs, TokensVerb};
use super::system_user;
use crate::actions::{self, NewEnrollment};
use crate::cli::{NewTokenArgs, token_table};
use crate::config::Settings;
use crate::tls::ca_pin;

pub(super) async fn run(
    settings: &Settings,
    asked: TokensArgs,
    now: Timestamp,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let ca = settings.file("ca.pem");
    let store = accounts::open(settings, now).await?;
    let caller = system_user::caller();
    let text = match (asked.verb, asked.output) {
        (Some(TokensVerb::Create(NewTokenArgs { site, uses, expires })), output) => {
            let pem = std::fs::read(&ca).with_context(|| format!("cannot read {}", ca.display()))?;
            let der = CertificateDer::from_pem_slice(&pem)
                .with_context(|| format!("cannot read {} as a certificate", ca.display()))?;
            let new = NewEnrollment { site, lifetime: expires, max_uses: uses };
            let (token, report) =
                actions::enrollment_token_create(store.as_ref(), &caller, ca_pin(&der)?, new, now).await?;
            match output {
                Format::Table => format!("{token}\n"),
                Format::Json => format!("{:#}\n", serde_json::json!({ "token": token.to_string(), "stored": report })),
            }
        }
        (Some(TokensVerb::Revoke { id }), output) => {
            let revoked = actions::enrollment_token_revoke(store.as_ref(), &caller, id.clone(), now).await?;
            anyhow::ensure!(revoked, "no enrollment token \"{id}\"");
            match output {
                Format::Table => format!("revoked token {id}\n"),
                Format::Json => format!("{:#}\n", serde_json::json!({ "revoked": id })),
            }
        }
        (None | Some(TokensVerb::List), Format::Table) => {
            token_table(&actions::enrollment_token_list(store.as_ref(), &caller).await?, now)
        }
        (None | Some(TokensVerb::List), Format::Json) => {
            format!("{:#}\n", serde_json::to_value(actions::enrollment_token_list(store.as_ref(), &caller).await?)?)
        }
    };
    store.close().await?;
    Ok(out.write_all(text.as_bytes())?)
}
