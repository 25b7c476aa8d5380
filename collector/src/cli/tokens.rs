//! `muster tokens`: enrollment tokens.

use anyhow::Context as _;
use muster_proto::model::{Timestamp, TokenReport};

use super::args::{NewTokenArgs, TokensArgs, TokensVerb};
use super::client::Client;
use super::render::{Answer, Cell, Paint, Screen, Table, counted, instant, when};

const HEADER: [&str; 7] = ["id", "site", "created_at", "expires_at", "max_uses", "uses", "revoked_at"];
const CREATED_HEADER: [&str; 3] = ["token", "site", "expires_at"];

pub(super) async fn run(mut client: Client, asked: TokensArgs, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    match asked.verb {
        None | Some(TokensVerb::List) => {
            let tokens = client.token_list().await?;
            let now = screen.now();
            let answer = Answer { whole: &tokens, header: &HEADER };
            screen.show(&answer, &tokens, || tokens.iter().map(row).collect(), |paint| page(&tokens, now, paint))?;
        }
        Some(TokensVerb::Create(NewTokenArgs { site, uses, expires })) => {
            let (token, stored) = client.token_create(&site, expires, uses).await?;
            let whole = serde_json::json!({ "token": token, "stored": stored });
            let row = || vec![vec![token.clone(), stored.site.to_string(), stored.expires_at.to_rfc3339()]];
            let answer = Answer { whole: &whole, header: &CREATED_HEADER };
            let shown = screen.show(&answer, std::slice::from_ref(&whole), row, |_| format!("{token}\n"));
            // The token cannot be shown again, so the reader must know that it exists.
            shown.and_then(|()| Ok(screen.flush()?)).with_context(|| {
                format!(
                    "enrollment token {} was made but could not be printed; revoke it and make another one",
                    stored.id
                )
            })?;
        }
        Some(TokensVerb::Revoke { id }) => {
            client.token_revoke(&id).await?;
            let whole = serde_json::json!({ "revoked": id });
            let answer = Answer { whole: &whole, header: &["revoked"] };
            let row = || vec![vec![id.to_string()]];
            screen.show(&answer, std::slice::from_ref(&whole), row, |_| format!("revoked token {id}\n"))?;
        }
    }
    Ok(0)
}

fn row(token: &TokenReport) -> Vec<String> {
    vec![
        token.id.to_string(),
        token.site.to_string(),
        token.created_at.to_rfc3339(),
        token.expires_at.to_rfc3339(),
        token.max_uses.to_string(),
        token.uses.to_string(),
        instant(token.revoked_at),
    ]
}

fn page(tokens: &[TokenReport], now: Timestamp, paint: &Paint) -> String {
    let mut table = Table::new(&["id", "site", "uses", "max uses", "state"]);
    for token in tokens {
        let max_uses = if token.max_uses == 0 { "unlimited".to_owned() } else { token.max_uses.to_string() };
        let state = match token.revoked_at {
            Some(at) => format!("revoked {}", when(at, now)),
            None if token.expires_at <= now => format!("expired {}", when(token.expires_at, now)),
            None if token.max_uses != 0 && token.uses >= token.max_uses => "used up".to_owned(),
            None => format!("valid until {}", when(token.expires_at, now)),
        };
        table.row(vec![
            Cell::text(token.id.as_str()),
            Cell::text(token.site.as_str()),
            Cell::number(token.uses),
            Cell::text(max_uses),
            Cell::text(state),
        ]);
    }
    format!("{}\n{}\n", table.text(paint), counted(tokens.len(), "token"))
}

/// The enrollment tokens as a table without colours, for `muster-collector tokens`.
pub(crate) fn plain_table(tokens: &[TokenReport], now: Timestamp) -> String {
    page(tokens, now, &Paint::plain())
}
