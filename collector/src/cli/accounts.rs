//! `muster accounts`: who may use the collector, with which role, at which sites.

use anyhow::Context as _;
use muster_proto::model::{AccountReport, SiteId, Timestamp};

use super::args::accounts::{AccountsArgs, AccountsVerb, PasswordArgs};
use super::client::Client;
use super::password::read_password;
use super::render::{Answer, Cell, Paint, Screen, Table, counted, fields, instant, when};

const HEADER: [&str; 8] = ["id", "name", "role", "holder", "sites", "created_at", "expires_at", "revoked_at"];
const CREATED_HEADER: [&str; 5] = ["token", "name", "role", "sites", "expires_at"];

pub(super) async fn run(mut client: Client, asked: AccountsArgs, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let now = screen.now();
    match asked.verb {
        None | Some(AccountsVerb::List) => {
            let accounts = client.account_list().await?;
            let answer = Answer { whole: &accounts, header: &HEADER };
            let rows = || accounts.iter().map(|account| row(account, now)).collect();
            screen.show(&answer, &accounts, rows, |paint| list_page(&accounts, now, paint))?;
        }
        Some(AccountsVerb::Show { account }) => {
            let account = match account {
                Some(account) => client.account_get(&account).await?,
                None => client.caller().await?,
            };
            show(&account, screen, |paint| account_page(&account, now, paint))?;
        }
        Some(AccountsVerb::Create(new)) => {
            let (token, stored) = client.account_create(&new).await?;
            created(&token, &stored, screen)?;
        }
        Some(AccountsVerb::Rotate(asked)) => {
            let (token, stored) = client.account_rotate(&asked).await?;
            created(&token, &stored, screen)?;
        }
        Some(AccountsVerb::Revoke { account }) => {
            let stored = client.account_revoke(&account).await?;
            show(&stored, screen, |_| format!("revoked account {} and its tokens\n", stored.name))?;
        }
        Some(AccountsVerb::Password(PasswordArgs { account, stdin, remove })) => {
            let password = match remove {
                true => None,
                false => Some(read_password(account.as_deref().unwrap_or("your account"), stdin)?),
            };
            let stored = client.password_set(account, password).await?;
            show(&stored, screen, |_| password_line(&stored, remove))?;
        }
    }
    Ok(0)
}

/// The line that says what was done with a password.
pub(crate) fn password_line(stored: &AccountReport, is_removed: bool) -> String {
    let done = if is_removed { "removed" } else { "set" };
    format!("{done} the password of account {}; its sessions have ended\n", stored.name)
}

fn show(account: &AccountReport, screen: &mut Screen<'_>, page: impl FnOnce(&Paint) -> String) -> anyhow::Result<()> {
    let now = screen.now();
    let answer = Answer { whole: account, header: &HEADER };
    screen.show(&answer, std::slice::from_ref(account), || vec![row(account, now)], page)?;
    Ok(())
}

fn created(token: &str, stored: &AccountReport, screen: &mut Screen<'_>) -> anyhow::Result<()> {
    let whole = serde_json::json!({ "token": token, "stored": stored });
    let answer = Answer { whole: &whole, header: &CREATED_HEADER };
    let expires_at = stored.tokens.first().and_then(|token| token.expires_at);
    let row = || {
        let sites = site_list(&stored.sites);
        vec![vec![token.to_owned(), stored.name.to_string(), stored.role.to_string(), sites, instant(expires_at)]]
    };
    let shown = screen.show(&answer, std::slice::from_ref(&whole), row, |_| format!("{token}\n"));
    // The token cannot be shown again, so the reader must know that it exists.
    let flushed = shown.and_then(|()| Ok(screen.flush()?));
    flushed.with_context(|| {
        format!("the token of account {name} was made but could not be printed; make another one with `muster accounts rotate {name}`", name = stored.name)
    })
}

fn row(account: &AccountReport, now: Timestamp) -> Vec<String> {
    vec![
        account.id.to_string(),
        account.name.to_string(),
        account.role.to_string(),
        account.holder.to_string(),
        site_list(&account.sites),
        account.created_at.to_rfc3339(),
        instant(last_end(account, now).flatten()),
        instant(account.revoked_at),
    ]
}

/// When the last valid token expires: `None` if no token is valid, `Some(None)` if one never expires.
fn last_end(account: &AccountReport, now: Timestamp) -> Option<Option<Timestamp>> {
    let valid = || account.tokens.iter().filter(|token| token.is_valid(now));
    if valid().any(|token| token.expires_at.is_none()) {
        return Some(None);
    }
    valid().map(|token| token.expires_at).max()
}

fn state(account: &AccountReport, now: Timestamp) -> String {
    match (account.revoked_at, last_end(account, now)) {
        (Some(at), _) => format!("revoked {}", when(at, now)),
        (None, None) => "no valid token".to_owned(),
        (None, Some(None)) => "valid".to_owned(),
        (None, Some(Some(end))) => format!("valid until {}", when(end, now)),
    }
}

fn list_page(accounts: &[AccountReport], now: Timestamp, paint: &Paint) -> String {
    let mut table = Table::new(&["name", "role", "for", "sites", "state", "id"]);
    for account in accounts {
        table.row(vec![
            Cell::text(account.name.as_str()),
            Cell::text(account.role.name()),
            Cell::text(account.holder.name()),
            Cell::text(site_words(&account.sites)),
            Cell::text(state(account, now)),
            Cell::text(account.id.as_str()),
        ]);
    }
    format!("{}\n{}\n", table.text(paint), counted(accounts.len(), "account"))
}

fn account_page(account: &AccountReport, now: Timestamp, paint: &Paint) -> String {
    let head = fields(&[
        ("name", account.name.as_str()),
        ("id", account.id.as_str()),
        ("role", account.role.name()),
        ("for", account.holder.name()),
        ("sites", &site_words(&account.sites)),
        ("created", &when(account.created_at, now)),
        ("state", &state(account, now)),
        ("password", &account.password_set_at.map_or_else(|| "none".to_owned(), |at| format!("set {}", when(at, now)))),
    ]);
    let mut table = Table::new(&["token", "created", "state"]);
    for token in &account.tokens {
        let state = match (token.revoked_at, token.expires_at) {
            (Some(at), _) => format!("revoked {}", when(at, now)),
            (None, None) => "valid".to_owned(),
            (None, Some(end)) if end <= now => format!("expired {}", when(end, now)),
            (None, Some(end)) => format!("valid until {}", when(end, now)),
        };
        table.row(vec![Cell::text(token.id.as_str()), Cell::text(when(token.created_at, now)), Cell::text(state)]);
    }
    format!("{head}\n{}", table.text(paint))
}

/// The accounts as a table without colours, for `muster-collector accounts`.
pub(crate) fn plain_table(accounts: &[AccountReport], now: Timestamp) -> String {
    list_page(accounts, now, &Paint::plain())
}

/// One account without colours, for `muster-collector accounts show`.
pub(crate) fn plain_page(account: &AccountReport, now: Timestamp) -> String {
    account_page(account, now, &Paint::plain())
}

fn site_list(sites: &[SiteId]) -> String {
    sites.iter().map(SiteId::as_str).collect::<Vec<_>>().join(" ")
}

fn site_words(sites: &[SiteId]) -> String {
    if sites.is_empty() { "all".to_owned() } else { site_list(sites).replace(' ', ", ") }
}
