//! What can be typed.

use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use muster_proto::model::{SiteId, TokenId};

use crate::config::{Flags, parse_span};

/// The collector of Muster: keeps what agents report, judges it under orders, and answers operators.
#[derive(Debug, Parser)]
#[command(name = "muster-collector", version, disable_help_subcommand = true)]
pub(super) struct Command {
    #[command(flatten)]
    pub(super) flags: Flags,
    #[command(subcommand)]
    pub(super) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Serves agents and operators until SIGTERM; makes what is missing first
    Serve,
    /// Makes data directory, database, CA and the first admin token; changes nothing that is there
    Init,
    /// Enrollment tokens; works while the collector runs
    #[command(subcommand)]
    Token(TokenVerb),
    /// Checks settings, files, certificates, rules and every record of the store; 1 when something is wrong
    Check,
    /// The version of this program
    Version,
}

#[derive(Debug, Subcommand)]
pub(super) enum TokenVerb {
    /// Makes an enrollment token; it is shown once
    Create {
        /// For which site
        #[arg(long)]
        site: SiteId,
        /// How often it may be used; 0 is without limit
        #[arg(long, default_value_t = 1)]
        uses: u64,
        /// How long it lives: 90s, 12h, 7d
        #[arg(long, default_value = "24h", value_parser = parse_span)]
        expires: Duration,
        /// How the answer looks
        #[arg(short, long, value_enum, default_value_t = Form::Text)]
        output: Form,
    },
    /// All enrollment tokens, without their secrets
    List {
        /// How the answer looks
        #[arg(short, long, value_enum, default_value_t = Form::Text)]
        output: Form,
    },
    /// Withdraws an enrollment token
    Revoke {
        /// The token's public half: what stands before its first dot
        id: TokenId,
    },
}

/// How an answer looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// For people
    #[value(alias = "table")]
    Text,
    /// One document
    Json,
}
