//! The options of actions on hosts.

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use muster_proto::model::TokenId;

#[derive(Debug, Args)]
pub(in crate::cli) struct HostActionArgs {
    /// Host name, id, or the first 8 or more characters of the id; at most 500 hosts
    #[arg(value_name = "HOST", value_parser = NonEmptyStringValueParser::new(), required_unless_present = "enrolled_with")]
    pub(in crate::cli) hosts: Vec<String>,
    /// All hosts that enrolled with this token: the part before its first dot
    #[arg(long, value_name = "TOKEN", conflicts_with = "hosts")]
    pub(in crate::cli) enrolled_with: Option<TokenId>,
    /// Why; the ledger shows it
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    pub(in crate::cli) reason: String,
}
