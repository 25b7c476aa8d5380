//! `muster-collector token`: enrollment tokens from the machine itself, also while the collector runs.

use std::io::{self, Write};

use anyhow::Context;
use muster_proto::model::{Timestamp, TokenReport};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::check::is_there;
use super::command::{Form, TokenVerb};
use super::prepare::how_to_init;
use crate::actions::{self, NewEnrollment};
use crate::config::Settings;
use crate::store;
use crate::tls::ca_pin;

pub(super) async fn run(
    settings: &Settings,
    verb: TokenVerb,
    now: Timestamp,
    out: &mut dyn Write,
) -> anyhow::Result<io::Result<()>> {
    let ca = settings.file("ca.pem");
    let made = is_there(&ca).and_then(|there| Ok(there && settings.store.file().map_or(Ok(true), is_there)?));
    anyhow::ensure!(
        made.map_err(anyhow::Error::msg)?,
        "{} has no collector yet: {}",
        settings.data_dir.display(),
        how_to_init(settings)
    );
    let store = store::connect(settings.store.url()).await?;
    let text = match verb {
        TokenVerb::Create { site, uses, expires, output } => {
            let pem = std::fs::read(&ca).with_context(|| format!("read {}", ca.display()))?;
            let der =
                CertificateDer::from_pem_slice(&pem).with_context(|| format!("{} is no certificate", ca.display()))?;
            let new = NewEnrollment { site, lifetime: expires, max_uses: uses };
            let (token, report) = actions::enrollment_token_create(store.as_ref(), ca_pin(&der)?, new, now).await?;
            match output {
                Form::Text => format!("{token}\n"),
                Form::Json => format!("{:#}\n", serde_json::json!({ "token": token.to_string(), "stored": report })),
            }
        }
        TokenVerb::List { output } => {
            let tokens = store.token_list().await?;
            match output {
                Form::Text => tokens.iter().map(|token| line(token, now)).collect(),
                Form::Json => format!("{:#}\n", serde_json::to_value(&tokens)?),
            }
        }
        TokenVerb::Revoke { id } => {
            anyhow::ensure!(store.token_revoke(&id, now).await?, "there is no enrollment token \"{id}\"");
            format!("the token {id} is withdrawn\n")
        }
    };
    store.close().await?;
    Ok(out.write_all(text.as_bytes()))
}

fn line(token: &TokenReport, now: Timestamp) -> String {
    let of = if token.max_uses == 0 { "any number".to_owned() } else { token.max_uses.to_string() };
    let state = match token.revoked_at {
        Some(at) => format!("withdrawn {at}"),
        None if token.expires_at <= now => format!("expired {}", token.expires_at),
        None if token.max_uses != 0 && token.uses >= token.max_uses => "used up".to_owned(),
        None => format!("good until {}", token.expires_at),
    };
    format!("{}  site {}, used {} of {of}, {state}\n", token.id, token.site, token.uses)
}
