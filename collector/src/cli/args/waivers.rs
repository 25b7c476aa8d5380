//! The options of `muster waivers`.

use std::time::Duration;

use clap::builder::{NonEmptyStringValueParser, PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use muster_proto::model::{OrderId, Timestamp, WaiverReason};

use super::selection::HostsMeantArgs;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(in crate::cli) struct WaiversArgs {
    #[command(subcommand)]
    pub(in crate::cli) verb: Option<WaiversVerb>,
    #[command(flatten)]
    pub(in crate::cli) filter: WaiversFilterArgs,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum WaiversVerb {
    /// List waivers; the same as `muster waivers`
    List(WaiversFilterArgs),
    /// Show one waiver, its hosts and their lanes at the last report
    Show {
        /// Its number, as `muster waivers` lists it
        #[arg(value_name = "ID")]
        number: u64,
        /// Show all of its hosts, not only the first 100
        #[arg(long)]
        all_hosts: bool,
    },
    /// Ask for a waiver of hosts; another person must approve it
    Ask(AskArgs),
    /// Approve a waiver that another person has asked for
    Approve {
        /// Its number
        #[arg(value_name = "ID")]
        number: u64,
    },
    /// Refuse a waiver, or withdraw your own request
    Refuse {
        /// Its number
        #[arg(value_name = "ID")]
        number: u64,
    },
    /// End a waiver early; its hosts return to their true lanes at once
    End {
        /// Its number
        #[arg(value_name = "ID")]
        number: u64,
    },
}

#[derive(Debug, Args)]
pub(in crate::cli) struct WaiversFilterArgs {
    /// Only waivers of this order
    #[arg(long, value_name = "ID")]
    pub(in crate::cli) order: Option<OrderId>,
    /// Also waivers that are over or were refused
    #[arg(long)]
    pub(in crate::cli) all: bool,
    /// Only waivers in force that end within this time, for example 14d
    #[arg(long, value_name = "DURATION", value_parser = span, conflicts_with = "all")]
    pub(in crate::cli) ending: Option<Duration>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct AskArgs {
    #[command(flatten)]
    pub(in crate::cli) selection: HostsMeantArgs,
    /// The active order from which the hosts are exempt
    #[arg(long, value_name = "ID")]
    pub(in crate::cli) order: OrderId,
    /// Why
    #[arg(long, value_name = "CODE", value_parser = reason())]
    pub(in crate::cli) reason: WaiverReason,
    /// What protects the hosts or limits the risk meanwhile; everybody who may see the hosts can read it
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    pub(in crate::cli) control: String,
    /// The last day (in UTC) or the instant until which it is in force: 2027-01-31 or 2027-01-31T12:00:00Z
    #[arg(long, value_name = "DATE", value_parser = end_of)]
    pub(in crate::cli) until: Timestamp,
    /// Let it last beyond the due date of the order
    #[arg(long)]
    pub(in crate::cli) beyond_milestone: bool,
}

fn span(text: &str) -> Result<Duration, String> {
    let span = humantime::parse_duration(text).map_err(|_| "expected a duration such as 12h or 14d".to_owned())?;
    if span.is_zero() { Err("expected a duration longer than zero".to_owned()) } else { Ok(span) }
}

/// An instant; a day is its end in UTC.
pub(in crate::cli) fn end_of(text: &str) -> Result<Timestamp, String> {
    let is_day = text.len() == 10;
    let whole = if is_day { format!("{text}T00:00:00Z") } else { text.to_owned() };
    let at = Timestamp::parse_rfc3339(&whole)
        .map_err(|_| "expected a day or an instant, such as 2027-01-31 or 2027-01-31T12:00:00Z".to_owned())?;
    Ok(if is_day { at.plus(Duration::from_secs(86_400)) } else { at })
}

fn reason() -> impl TypedValueParser<Value = WaiverReason> {
    let help = |reason: WaiverReason| match reason {
        WaiverReason::ReplacementPending => "the replacement is ordered or planned",
        WaiverReason::LegacySystem => "the system cannot be changed any more",
        WaiverReason::VendorDependency => "the vendor supports its own system only with this product installed",
        WaiverReason::RegulatoryExemption => "a law or a regulator allows it",
        WaiverReason::Research => "the product is studied",
        WaiverReason::FalseFinding => "the finding is wrong",
        WaiverReason::Other => "the control text says why",
    };
    let value = |reason: &WaiverReason| PossibleValue::new(reason.name()).help(help(*reason));
    PossibleValuesParser::new(WaiverReason::ALL.iter().map(value)).try_map(|name| name.parse::<WaiverReason>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_its_end() {
        assert_eq!(end_of("2027-01-31"), end_of("2027-02-01T00:00:00Z"));
        assert!(end_of("tomorrow").is_err() && end_of("2027-13-01").is_err());
    }
}
