//! The options of `muster timeline` and `muster forecast`.

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use muster_proto::model::{OrderId, SiteId, TimelineBy, Timestamp};

use super::instants::{end_of_day, from_day};

#[derive(Debug, Args)]
pub(in crate::cli) struct TimelineArgs {
    /// The order
    #[arg(long, value_name = "ID")]
    pub(in crate::cli) order: OrderId,
    /// Divide the numbers by this
    #[arg(long, value_name = "KEY", value_parser = by())]
    pub(in crate::cli) by: Option<TimelineBy>,
    /// The first day, such as 2026-11-01, in UTC; at most 400 days before the last [default: 90 days]
    #[arg(long, value_name = "DATE", value_parser = from_day)]
    pub(in crate::cli) from: Option<Timestamp>,
    /// The last day, in UTC [default: today, as it is now]
    #[arg(long, value_name = "DATE", value_parser = end_of_day)]
    pub(in crate::cli) to: Option<Timestamp>,
    /// Count only machines at this site; can be repeated
    #[arg(long = "site", value_name = "SITE")]
    pub(in crate::cli) sites: Vec<SiteId>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ForecastArgs {
    /// The order
    #[arg(long, value_name = "ID")]
    pub(in crate::cli) order: OrderId,
    /// Count only machines at this site; can be repeated
    #[arg(long = "site", value_name = "SITE")]
    pub(in crate::cli) sites: Vec<SiteId>,
}

fn by() -> impl TypedValueParser<Value = TimelineBy> {
    let help = |by: TimelineBy| match by {
        TimelineBy::Site => "how many machines are in each lane at each site",
        TimelineBy::Label => "how many hosts with each label are in each lane",
        TimelineBy::Cause => "how many machines changed lane, from which to which, and why",
    };
    let value = |by: &TimelineBy| PossibleValue::new(by.name()).help(help(*by));
    PossibleValuesParser::new(TimelineBy::ALL.iter().map(value)).try_map(|name| name.parse::<TimelineBy>())
}
