//! The options of `muster roster`.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use muster_proto::model::EntryState;

use crate::roster_file::{MappedColumn, Preset};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(in crate::cli) struct RosterArgs {
    #[command(subcommand)]
    pub(in crate::cli) verb: Option<RosterVerb>,
    #[command(flatten)]
    pub(in crate::cli) filter: RosterFilterArgs,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum RosterVerb {
    /// List entries; the same as `muster roster`
    List(RosterFilterArgs),
    /// Show one entry: what each list says of it, its host, and hosts that may be it
    Show {
        /// Its number, as `muster roster` lists it
        #[arg(value_name = "ENTRY")]
        number: u64,
    },
    /// Import a list of machines: CSV or JSON
    ///
    /// A row is one machine. A second import under the same name replaces the first: machines that are no longer in the
    /// list are closed, not deleted. Machines of several lists are one entry if they agree about a serial number, a hardware
    /// UUID, an object id of Entra ID, the full name or the name.
    Import(ImportArgs),
    /// Say which host is the machine of an entry
    Match {
        /// The number of the entry
        #[arg(value_name = "ENTRY")]
        number: u64,
        /// Host name, id, serial number, address of a network card or asset tag
        #[arg(value_name = "HOST", value_parser = NonEmptyStringValueParser::new())]
        host: String,
    },
    /// Say that the host of an entry is not its machine; they are not matched again by themselves
    Unmatch {
        /// The number of the entry
        #[arg(value_name = "ENTRY")]
        number: u64,
    },
    /// Say why no host has to be the machine of an entry; it no longer counts as missing
    Excuse {
        /// The number of the entry
        #[arg(value_name = "ENTRY")]
        number: u64,
        /// Why; the ledger shows it
        #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
        reason: String,
    },
    /// List the lists that were imported
    Sources,
    /// List the entries that some lists have and others do not
    Diff,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub(in crate::cli) struct RosterFilterArgs {
    /// Only entries in this state [possible values: matched, missing, review, excused, closed]
    #[arg(long, value_name = "STATE")]
    pub(in crate::cli) state: Option<EntryState>,
    /// Only entries with this text in a name, an identifier or an owner
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) text: Option<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ImportArgs {
    /// The list: CSV (UTF-8, UTF-16 or Windows-1252; with commas, semicolons or tabs) or JSON
    #[arg(value_name = "FILE")]
    pub(in crate::cli) file: PathBuf,
    /// The name of the list, such as ad or purchases; the next import of this list has the same
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) source: String,
    /// The system that the list comes from, whose columns are known: ad, entra, intune or sccm
    #[arg(long, value_name = "PRESET")]
    pub(in crate::cli) preset: Option<Preset>,
    /// Use a column for a field: name, fqdn, serial, hardware-uuid, mac, owner, owner-email, site, os, external-id,
    /// entra-object-id or last-seen
    #[arg(long, value_name = "FIELD=COLUMN")]
    pub(in crate::cli) map: Vec<MappedColumn>,
    /// Only say what would change
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
    /// Accept that more than a tenth of the machines of the list are gone
    #[arg(long)]
    pub(in crate::cli) accept_loss: bool,
    /// Accept that more than a twentieth of the rows cannot be read
    #[arg(long)]
    pub(in crate::cli) accept_errors: bool,
}
