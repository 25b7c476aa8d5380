//! The options of changes of many hosts.

use std::path::PathBuf;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use muster_proto::model::{Label, OrderId, SiteId};

use super::filter;
use crate::filter::Filter;

/// Which hosts are meant.
#[derive(Debug, Args)]
pub(in crate::cli) struct SelectionArgs {
    /// Hosts by name, id, serial number, hardware UUID, FQDN, asset tag or MAC address
    #[arg(value_name = "HOST", value_parser = NonEmptyStringValueParser::new(), required_unless_present_any = ["filter", "hosts_file"])]
    pub(in crate::cli) hosts: Vec<String>,
    /// All hosts that match this filter, such as 'lane:replace -site:lab owner:jane*'; `muster hosts --help` has its keys
    #[arg(long = "where", value_name = "FILTER", allow_hyphen_values = true, value_parser = filter, conflicts_with = "hosts")]
    pub(in crate::cli) filter: Option<Filter>,
    /// The order whose lanes the filter means, if several are active
    #[arg(long, value_name = "ID", requires = "filter")]
    pub(in crate::cli) order: Option<OrderId>,
    /// The hosts of a file, one a line or separated by commas; - reads the standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["hosts", "filter"])]
    pub(in crate::cli) hosts_file: Option<PathBuf>,
    /// Only show which hosts are meant; change nothing
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
    /// Do not ask for confirmation (asked above 100 hosts)
    #[arg(long)]
    pub(in crate::cli) yes: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct LabelArgs {
    /// The label: 1 to 40 of a-z, 0-9 and -
    #[arg(value_name = "LABEL")]
    pub(in crate::cli) label: Label,
    #[command(flatten)]
    pub(in crate::cli) selection: SelectionArgs,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct OwnArgs {
    /// Who answers for the hosts: a person, a team or an address; an empty text means nobody
    #[arg(value_name = "OWNER")]
    pub(in crate::cli) owner: String,
    #[command(flatten)]
    pub(in crate::cli) selection: SelectionArgs,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct NoteArgs {
    /// The text, at most 4 KiB
    #[arg(value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    pub(in crate::cli) text: String,
    #[command(flatten)]
    pub(in crate::cli) selection: SelectionArgs,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct MoveArgs {
    /// The site
    #[arg(value_name = "SITE")]
    pub(in crate::cli) site: SiteId,
    #[command(flatten)]
    pub(in crate::cli) selection: SelectionArgs,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct BulkArgs {
    /// Show only this change
    #[arg(value_name = "NUMBER")]
    pub(in crate::cli) number: Option<u64>,
}
