//! A host's state and its machine's identity in the collector's database: one byte for the format, then the protobuf message.

use prost::Message as _;

use super::ConvertError;
use crate::model::{HostFacts, HostState, MachineIdentity};
use crate::wire;

const FORMAT: u8 = 1;

/// Why stored bytes are not what they should be.
#[derive(Debug, thiserror::Error)]
pub enum NotStored {
    /// The first byte is not a format that this version reads.
    #[error("unknown format of a stored record")]
    Format,
    /// The rest is not a protobuf message of the contract.
    #[error("reading a stored record")]
    Message(#[source] prost::DecodeError),
    /// A field has a value that this version does not know.
    #[error("reading a field of a stored record")]
    Field(#[source] ConvertError),
}

/// The stored bytes of a state.
#[must_use]
pub fn state_bytes(state: &HostState) -> Vec<u8> {
    with_format(&wire::HostState::from(state.clone()))
}

/// The stored bytes of an identity; `None` if nothing is known.
#[must_use]
pub fn identity_bytes(identity: &MachineIdentity) -> Option<Vec<u8>> {
    (!identity.is_unknown()).then(|| with_format(&wire::MachineIdentity::from(identity.clone())))
}

fn with_format(message: &impl prost::Message) -> Vec<u8> {
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

/// Reads the stored bytes of a state.
///
/// # Errors
/// The bytes are not a host state, or a newer version wrote them.
pub fn read_state(bytes: &[u8]) -> Result<HostState, NotStored> {
    let [FORMAT, message @ ..] = bytes else { return Err(NotStored::Format) };
    let message = wire::HostState::decode(message).map_err(NotStored::Message)?;
    HostState::try_from(message).map_err(NotStored::Field)
}

/// Reads the stored bytes of an identity.
///
/// # Errors
/// The bytes are not an identity, or a newer version wrote them.
pub fn read_identity(bytes: &[u8]) -> Result<MachineIdentity, NotStored> {
    let [FORMAT, message @ ..] = bytes else { return Err(NotStored::Format) };
    let message = wire::MachineIdentity::decode(message).map_err(NotStored::Message)?;
    MachineIdentity::try_from(message).map_err(NotStored::Field)
}
