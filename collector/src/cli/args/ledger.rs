//! The options of `ledger`.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use muster_proto::model::EntryKind;

#[derive(Debug, Args)]
pub(in crate::cli) struct LedgerArgs {
    #[command(subcommand)]
    pub(in crate::cli) verb: Option<LedgerVerb>,
    #[command(flatten)]
    pub(in crate::cli) filter: LedgerFilterArgs,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum LedgerVerb {
    /// List entries; the same as `muster ledger`
    List(LedgerFilterArgs),
    /// Show one entry as it is stored
    Show {
        /// The number of the entry
        number: u64,
    },
    /// Print the newest checkpoint: size and root of the sealed ledger, signed; keep it where the collector cannot write
    Checkpoint,
    /// Verify that no entry was changed, removed or inserted since it was sealed
    ///
    /// Exits with 1 if something is not as it was sealed. A ledger that was rewritten as a whole and signed again shows only
    /// against a checkpoint or an export that was made before.
    Verify(VerifyLedgerArgs),
    /// Export the sealed entries as a directory in the layout of C2SP tiled transparency logs, or continue one
    Export(ExportArgs),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct VerifyLedgerArgs {
    /// File with the verifier key: seal.pub of the collector, from a person whom you trust [default: the collector's own]
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) key: Option<PathBuf>,
    /// A checkpoint that was kept: what it covers must be as it was; repeatable
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) checkpoint: Vec<PathBuf>,
    /// An earlier export: its entries must be as they were
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) against: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ExportArgs {
    /// The directory; one with an earlier export is continued
    #[arg(value_name = "DIR")]
    pub(in crate::cli) directory: PathBuf,
    /// File with the verifier key: seal.pub of the collector [default: the collector's own]
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) key: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Args)]
pub(in crate::cli) struct LedgerFilterArgs {
    /// How far back, for example 24h or 30d [default: all entries]
    #[arg(long, value_name = "DURATION", value_parser = span)]
    pub(in crate::cli) since: Option<Duration>,
    /// Show only entries about this host: its name, id, or the first 8 or more characters of the id
    #[arg(long, value_name = "HOST", default_value = "", hide_default_value = true)]
    pub(in crate::cli) host: String,
    /// Show only entries of this kind
    #[arg(long, value_name = "KIND", value_parser = kind())]
    pub(in crate::cli) kind: Option<EntryKind>,
    /// Show only what this account did: its name or id, or collector, rules, judge, agent
    /// or roster
    #[arg(long, value_name = "ACCOUNT", default_value = "", hide_default_value = true)]
    pub(in crate::cli) by: String,
    /// Show at most this many entries [default: 100]
    #[arg(long, value_name = "COUNT", value_parser = super::limit())]
    pub(in crate::cli) limit: Option<usize>,
}

fn span(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "expected a duration such as 90m, 24h or 30d".to_owned())
}

fn kind() -> impl TypedValueParser<Value = EntryKind> {
    PossibleValuesParser::new(EntryKind::ALL.iter().map(|kind| kind.name())).try_map(|name| name.parse::<EntryKind>())
}
