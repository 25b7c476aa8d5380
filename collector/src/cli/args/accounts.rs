//! The options of `accounts`.

use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use muster_proto::model::{AccountName, Holder, Role, SiteId};

#[derive(Debug, Args)]
pub(in crate::cli) struct AccountsArgs {
    #[command(subcommand)]
    pub(in crate::cli) verb: Option<AccountsVerb>,
}

/// What can be done with accounts; `muster-collector accounts` has the same verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum AccountsVerb {
    /// List accounts; the same as `accounts`
    List,
    /// Show one account and its tokens
    Show {
        /// Name or id of the account [default: your own; `muster-collector` lists all accounts]
        account: Option<String>,
    },
    /// Create an account; its token is shown only once
    Create(NewAccountArgs),
    /// Give an account a new token and end its previous tokens
    Rotate(RotateArgs),
    /// Revoke an account and all its tokens; its name stays in the ledger
    Revoke {
        /// Name or id of the account
        account: String,
    },
    /// Set a password for logging in to the web board, and end the account's sessions
    ///
    /// It is asked for twice and not shown. It needs 12 characters and must not be easy to guess. People set their own;
    /// administrators set those of others. Programs and accounts of the identity provider have none.
    Password(PasswordArgs),
}

/// Whose password is set or removed.
#[derive(Debug, Args)]
pub(crate) struct PasswordArgs {
    /// Name or id of the account [default: your own; `muster-collector` needs one]
    pub(crate) account: Option<String>,
    /// Read the password as a line of standard input, for scripts
    #[arg(long, conflicts_with = "remove")]
    pub(crate) stdin: bool,
    /// Remove the password; the account's tokens stay
    #[arg(long)]
    pub(crate) remove: bool,
}

/// What a new account is for.
#[derive(Debug, Args)]
pub(crate) struct NewAccountArgs {
    /// Name of the account: lower-case letters, digits, '.', '-' and '_'
    pub(crate) name: AccountName,
    /// What the account may do
    #[arg(long, value_parser = role())]
    pub(crate) role: Role,
    /// Let the account see and act on this site only; can be repeated [default: all sites]
    #[arg(long = "site", value_name = "SITE")]
    pub(crate) sites: Vec<SiteId>,
    /// How long the token is valid, for example 12h or 90d [default: until it is revoked]
    #[arg(long, value_name = "DURATION", value_parser = span)]
    pub(crate) expires: Option<Duration>,
    /// Who holds the token
    #[arg(long = "for", value_name = "HOLDER", default_value = "person", value_parser = holder())]
    pub(crate) holder: Holder,
}

/// Which account gets a new token.
#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    /// Name or id of the account
    pub(crate) account: String,
    /// How long the new token is valid, for example 12h or 90d [default: until it is revoked]
    #[arg(long, value_name = "DURATION", value_parser = span)]
    pub(crate) expires: Option<Duration>,
    /// How long the previous tokens are still accepted, for example 1h [default: they end at once]
    #[arg(long, value_name = "DURATION", value_parser = span)]
    pub(crate) grace: Option<Duration>,
}

fn span(text: &str) -> Result<Duration, String> {
    let span = humantime::parse_duration(text).map_err(|_| "expected a duration such as 12h or 90d".to_owned())?;
    if span.is_zero() { Err("expected a duration longer than zero".to_owned()) } else { Ok(span) }
}

fn role() -> impl TypedValueParser<Value = Role> {
    let value = |role: &Role| {
        PossibleValue::new(role.name()).help(match role {
            Role::Viewer => "reads",
            Role::Operator => "also manages enrollment tokens, hosts and duties",
            Role::Admin => "also manages accounts and orders",
        })
    };
    PossibleValuesParser::new(Role::ALL.iter().map(value)).try_map(|name| name.parse::<Role>())
}

fn holder() -> impl TypedValueParser<Value = Holder> {
    let value = |holder: &Holder| {
        PossibleValue::new(holder.name()).help(match holder {
            Holder::Person => "one person",
            Holder::Machine => "a program; it does not count as the last administrator",
            Holder::ProviderPerson => "one person of the identity provider",
        })
    };
    PossibleValuesParser::new(Holder::ALL.iter().filter(|holder| **holder != Holder::ProviderPerson).map(value))
        .try_map(|name| name.parse::<Holder>())
}
