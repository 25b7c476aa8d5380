//! The form in which the collector keeps a host's state: as it travels, with the number of this form before it.

use prost::Message as _;

use super::ConvertError;
use crate::model::HostState;
use crate::wire;

const FORM: u8 = 1;

/// Why stored bytes are not the state of a host.
#[derive(Debug, thiserror::Error)]
pub enum NotAState {
    /// The first byte is not that of a form that this version reads.
    #[error("its form is not known")]
    Form,
    /// What follows is no message of the contract.
    #[error("it is not readable")]
    Message(#[source] prost::DecodeError),
    /// A field of it has no meaning.
    #[error("a field has no meaning")]
    Field(#[source] ConvertError),
}

/// A state as it is kept.
#[must_use]
pub fn state_bytes(state: &HostState) -> Vec<u8> {
    let message = wire::HostState::from(state.clone());
    let mut bytes = Vec::with_capacity(1 + message.encoded_len());
    bytes.push(FORM);
    bytes.extend_from_slice(&message.encode_to_vec());
    bytes
}

/// Reads a state that was kept.
///
/// # Errors
/// It is none, or of a newer version.
pub fn read_state(bytes: &[u8]) -> Result<HostState, NotAState> {
    let [FORM, message @ ..] = bytes else { return Err(NotAState::Form) };
    let message = wire::HostState::decode(message).map_err(NotAState::Message)?;
    HostState::try_from(message).map_err(NotAState::Field)
}
