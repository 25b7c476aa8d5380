//! The options of `muster duties`.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use muster_proto::model::OrderId;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(in crate::cli) struct DutiesArgs {
    #[command(subcommand)]
    pub(in crate::cli) verb: Option<DutiesVerb>,
    #[command(flatten)]
    pub(in crate::cli) filter: DutiesFilterArgs,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum DutiesVerb {
    /// List duties; the same as `muster duties`
    List(DutiesFilterArgs),
    /// Show one duty: what must be done, until when, and what a report must contain
    Show {
        /// Its number, as `muster duties` lists it
        #[arg(value_name = "ID")]
        number: u64,
    },
    /// Note that a duty is done; clocks that wait for it start now
    Done(DoneArgs),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct DutiesFilterArgs {
    /// Only duties of this order
    #[arg(long, value_name = "ID")]
    pub(in crate::cli) order: Option<OrderId>,
    /// Also duties that are done, and those of orders that are no longer active
    #[arg(long)]
    pub(in crate::cli) all: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct DoneArgs {
    /// Its number, as `muster duties` lists it
    #[arg(value_name = "ID")]
    pub(in crate::cli) number: u64,
    /// What shows that it is done, such as the number of a report; the ledger keeps it
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    pub(in crate::cli) reference: String,
    /// A file that proves it; only its name and its SHA-256 are sent
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) evidence: Option<PathBuf>,
}
