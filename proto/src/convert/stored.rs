//! A host's state in the collector's database: one byte for the format, then the protobuf message.

use prost::Message as _;

use super::ConvertError;
use crate::model::{HostFacts, HostState};
use crate::wire;

const FORMAT: u8 = 1;

/// Why stored bytes are not a host state.
#[derive(Debug, thiserror::Error)]
pub enum NotAState {
    /// The first byte is not a format that this version reads.
    #[error("unknown format of a stored host state")]
    Format,
    /// The rest is not a protobuf message of the contract.
    #[error("reading a stored host state")]
    Message(#[source] prost::DecodeError),
    /// A field has a value that this version does not know.
    #[error("reading a field of a stored host state")]
    Field(#[source] ConvertError),
}

/// The stored bytes of a state.
#[must_use]
pub fn state_bytes(state: &HostState) -> Vec<u8> {
    let message = wire::HostState::from(state.clone());
    let mut bytes = Vec::with_capacity(1 + message.encoded_len());
    bytes.push(FORMAT);
    bytes.extend_from_slice(&message.encode_to_vec());
    bytes
}

/// Facts in their wire form. Equal facts have equal bytes, and other facts have others.
#[must_use]
pub fn facts_bytes(facts: &HostFacts) -> Vec<u8> {
    wire::HostFacts::from(facts.clone()).encode_to_vec()
}

/// Reads stored bytes.
///
/// # Errors
/// The bytes are not a host state, or a newer version wrote them.
pub fn read_state(bytes: &[u8]) -> Result<HostState, NotAState> {
    let [FORMAT, message @ ..] = bytes else { return Err(NotAState::Format) };
    let message = wire::HostState::decode(message).map_err(NotAState::Message)?;
    HostState::try_from(message).map_err(NotAState::Field)
}
