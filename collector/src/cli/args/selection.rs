//! Which hosts a waiver is about.

use std::path::PathBuf;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::filter;
use crate::filter::Filter;

#[derive(Debug, Args)]
pub(in crate::cli) struct HostsMeantArgs {
    /// Hosts by name, id, serial number, hardware UUID, FQDN, asset tag or MAC address
    #[arg(value_name = "HOST", value_parser = NonEmptyStringValueParser::new(), required_unless_present_any = ["filter", "hosts_file"])]
    pub(in crate::cli) hosts: Vec<String>,
    /// All hosts that match this filter now, such as 'lane:replace site:lab'; `muster hosts --help` has its keys
    #[arg(long = "where", value_name = "FILTER", allow_hyphen_values = true, value_parser = filter, conflicts_with = "hosts")]
    pub(in crate::cli) filter: Option<Filter>,
    /// The hosts of a file, one a line or separated by commas; - reads the standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["hosts", "filter"])]
    pub(in crate::cli) hosts_file: Option<PathBuf>,
}
