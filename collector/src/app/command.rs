//! The command line of `muster-collector`: verbs, options and their help.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use muster_proto::model::TokenId;

use crate::attestation::Origin;
use crate::cli::{AccountsVerb, NewTokenArgs};
use crate::config::Flags;

/// Run and maintain a Muster collector
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
    /// Create the data directory, database, CA, seal key and first admin token if they are missing
    Init(InitArgs),
    /// Run the collector until SIGTERM; runs `init` first
    Serve(ServeArgs),
    /// Check settings, files, certificates, rules and every record in the store; changes nothing; exit code 1 if anything
    /// is wrong or missing
    Check(OutputArgs),
    /// List, create and revoke enrollment tokens; works while the collector runs
    Tokens(TokensArgs),
    /// List, create, rotate and revoke accounts without a token; works while the collector runs
    Accounts(AccountsArgs),
    /// Back up store, CA, seal key, admin token, settings and rules to a new directory; works while the collector runs
    Backup(BackupArgs),
    /// Restore a backup into an empty data directory and an empty store
    Restore {
        /// The directory of the backup
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
    /// Print a shell completion script
    #[command(alias = "completion")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the version of this program
    Version(OutputArgs),
}

impl Verb {
    /// The format that was asked for. Commands without `-o` print text.
    pub(super) const fn format(&self) -> Format {
        match self {
            Self::Init(asked) => asked.output.output,
            Self::Check(asked) | Self::Version(asked) => asked.output,
            Self::Tokens(asked) => asked.output,
            Self::Accounts(asked) => asked.output,
            Self::Serve(_) | Self::Backup(_) | Self::Restore { .. } | Self::Completions { .. } => Format::Table,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct OutputArgs {
    /// Output format
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Table)]
    pub(super) output: Format,
}

#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// Begin with an empty store even if the CA has signed certificates of hosts: all hosts, history and tokens are
    /// given up, and every agent must enroll again
    #[arg(long)]
    pub(super) new_store: bool,
    /// Name of the key that signs attestations, fixed from then on [default: the name of this machine]
    #[arg(long, value_name = "NAME")]
    pub(super) origin: Option<Origin>,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Begin with an empty store even if the CA has signed certificates of hosts: all hosts, history and tokens are
    /// given up, and every agent must enroll again
    #[arg(long)]
    pub(super) new_store: bool,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct BackupArgs {
    #[command(subcommand)]
    pub(super) verb: Option<BackupVerb>,
    /// Directory to create, or an empty one
    #[arg(long, value_name = "DIR", required = true)]
    pub(super) to: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum BackupVerb {
    /// Check the digests and the records of a backup; exit code 1 if anything is wrong
    Verify {
        /// The directory of the backup
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(super) struct AccountsArgs {
    #[command(subcommand)]
    pub(super) verb: Option<AccountsVerb>,
    /// Output format
    #[arg(short, long, global = true, value_enum, value_name = "FORMAT", default_value_t = Format::Table)]
    pub(super) output: Format,
}

#[derive(Debug, Args)]
pub(super) struct TokensArgs {
    #[command(subcommand)]
    pub(super) verb: Option<TokensVerb>,
    /// Output format
    #[arg(short, long, global = true, value_enum, value_name = "FORMAT", default_value_t = Format::Table)]
    pub(super) output: Format,
}

#[derive(Debug, Subcommand)]
pub(super) enum TokensVerb {
    /// List enrollment tokens; the same as `muster-collector tokens`
    List,
    /// Create an enrollment token; its secret is shown only once
    Create(NewTokenArgs),
    /// Revoke an enrollment token; enrolled hosts stay enrolled
    Revoke {
        /// The token's id: the part before the first dot
        id: TokenId,
    },
}

/// The output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Aligned text for people
    Table,
    /// One JSON document
    Json,
}
