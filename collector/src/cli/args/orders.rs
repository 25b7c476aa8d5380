//! The arguments of `muster orders`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use muster_proto::model::{OrderId, Timestamp};

use super::instants::from_day;

#[derive(Debug, Args)]
pub(in crate::cli) struct OrdersArgs {
    #[command(subcommand)]
    pub(in crate::cli) verb: Option<OrdersVerb>,
    /// Include orders that are not active
    #[arg(long)]
    pub(in crate::cli) all: bool,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum OrdersVerb {
    /// List orders; the same as `muster orders`
    List {
        /// Include orders that are not active
        #[arg(long)]
        all: bool,
    },
    /// Show one order: issuer, due date, milestones and sources; or its files
    Show(ShowOrderArgs),
    /// Print a commented template of an order, or of an addendum to one; works without a collector
    New(NewOrderArgs),
    /// Check files of orders and addenda together with the built-in rules; works without a collector
    Check(CheckOrdersArgs),
    /// Show how a file of an order or an addendum differs from the one in force, line by line
    Diff {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Apply files of orders and addenda: every collector on this database has them within seconds
    Apply(ApplyOrdersArgs),
    /// Judge hosts under an order, or put an applied addendum back in force
    Activate(SwitchOrderArgs),
    /// No longer judge hosts under an order, or take an applied addendum out of force
    Deactivate(SwitchOrderArgs),
    /// Remove an applied order or addendum; the rules that had it are kept
    Remove(SwitchOrderArgs),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ShowOrderArgs {
    /// The order's id; with --file, also that of an addendum
    pub(in crate::cli) id: OrderId,
    /// Print its file, and that of its addendum, instead
    #[arg(long)]
    pub(in crate::cli) file: bool,
    /// Print the file that was in force then: 2026-11-23 or 2026-11-23T10:00:00Z [default: now]
    #[arg(long, value_name = "TIME", requires = "file", value_parser = from_day)]
    pub(in crate::cli) at: Option<Timestamp>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ApplyOrdersArgs {
    /// Files of orders and addenda, at most 256 KiB each
    #[arg(required = true, value_name = "FILE")]
    pub(in crate::cli) files: Vec<PathBuf>,
    /// Only check, and show what would differ and how many hosts would change lane
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct SwitchOrderArgs {
    /// The id of the order or addendum
    pub(in crate::cli) id: OrderId,
    /// Only check, and show what would differ and how many hosts would change lane
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct NewOrderArgs {
    /// Print the template of an addendum to this order
    #[arg(long, value_name = "ID")]
    pub(in crate::cli) addendum: Option<OrderId>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct CheckOrdersArgs {
    /// Files of orders and addenda, at most 256 KiB each
    #[arg(required = true, value_name = "FILE")]
    pub(in crate::cli) files: Vec<PathBuf>,
    /// Directory of rule files that the collector lays over the built-in ones
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) overlay: Option<PathBuf>,
}
