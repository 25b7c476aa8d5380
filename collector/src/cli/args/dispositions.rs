//! The options of `muster dispositions`, `hosts retire` and `hosts unretire`.

use clap::builder::{NonEmptyStringValueParser, PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use muster_proto::model::DispositionKind;

use super::bulk::SelectionArgs;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(in crate::cli) struct DispositionsArgs {
    #[command(subcommand)]
    pub(in crate::cli) verb: Option<DispositionsVerb>,
    #[command(flatten)]
    pub(in crate::cli) filter: DispositionsFilterArgs,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum DispositionsVerb {
    /// List dispositions; the same as `muster dispositions`
    List(DispositionsFilterArgs),
    /// Show one disposition and its hosts
    Show {
        /// Its number, as `muster dispositions` lists it
        #[arg(value_name = "ID")]
        number: u64,
    },
    /// Approve a disposition that another person has asked for
    Approve {
        /// Its number
        #[arg(value_name = "ID")]
        number: u64,
    },
    /// Refuse a disposition, or withdraw your own request
    Refuse {
        /// Its number
        #[arg(value_name = "ID")]
        number: u64,
    },
}

#[derive(Debug, Args)]
pub(in crate::cli) struct DispositionsFilterArgs {
    /// Also those that do not wait for a second person
    #[arg(long)]
    pub(in crate::cli) all: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct RetireArgs {
    #[command(flatten)]
    pub(in crate::cli) selection: SelectionArgs,
    /// Why they left
    #[arg(long = "as", value_name = "KIND", value_parser = kind())]
    pub(in crate::cli) kind: DispositionKind,
    /// What shows it: a text, or a file, of which only the name and the SHA-256 are sent
    #[arg(long, value_name = "TEXT|FILE", value_parser = NonEmptyStringValueParser::new())]
    pub(in crate::cli) evidence: String,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct UnretireArgs {
    #[command(flatten)]
    pub(in crate::cli) selection: SelectionArgs,
    /// Why; the ledger shows it
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    pub(in crate::cli) reason: String,
}

fn kind() -> impl TypedValueParser<Value = DispositionKind> {
    let help = |kind: DispositionKind| match kind {
        DispositionKind::Destroyed => "the machine was destroyed",
        DispositionKind::Reimaged => "the machine was reimaged and is now another host",
        DispositionKind::Transferred => "the machine was handed to another organisation or owner",
        DispositionKind::Sold => "the machine was sold",
        DispositionKind::Lost => "the machine was lost or stolen",
    };
    let value = |kind: &DispositionKind| PossibleValue::new(kind.name()).help(help(*kind));
    PossibleValuesParser::new(DispositionKind::ALL.iter().map(value)).try_map(|name| name.parse::<DispositionKind>())
}
