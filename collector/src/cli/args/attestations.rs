//! The options of `attestations`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use muster_proto::model::OrderId;

#[derive(Debug, Args)]
pub(in crate::cli) struct AttestationsArgs {
    #[command(subcommand)]
    pub(in crate::cli) verb: Option<AttestationsVerb>,
    #[command(flatten)]
    pub(in crate::cli) filter: AttestationsFilterArgs,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum AttestationsVerb {
    /// List attestations; the same as `muster attestations`
    List(AttestationsFilterArgs),
    /// Show the attestation of a host, or write it to a file for those who verify it
    Show(ShowAttestationArgs),
    /// Verify attestations with the public key alone; needs no collector; exit code 1 if one is not good
    Verify(VerifyArgs),
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Args)]
pub(in crate::cli) struct AttestationsFilterArgs {
    /// Show at most this many attestations [default: all]
    #[arg(long, value_name = "COUNT", value_parser = super::limit())]
    pub(in crate::cli) limit: Option<usize>,
    /// Continue after an earlier answer to the same question: the value of `next` that it printed
    #[arg(long, value_name = "NEXT")]
    pub(in crate::cli) after: Option<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ShowAttestationArgs {
    /// The host: its name, id, or the first 8 or more characters of the id
    #[arg(value_name = "HOST")]
    pub(in crate::cli) host: String,
    /// The order; needed only if the host has attestations under several
    #[arg(long, value_name = "ID")]
    pub(in crate::cli) order: Option<OrderId>,
    /// Write the attestation to this file
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct VerifyArgs {
    /// Files with one attestation each
    #[arg(value_name = "FILE", required = true)]
    pub(in crate::cli) files: Vec<PathBuf>,
    /// File with the verifier key: seal.pub of the collector, from a person whom you trust
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) key: PathBuf,
}
