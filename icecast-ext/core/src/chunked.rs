//! The chunked transfer coding (RFC 9112 section 7.1), for sources that PUT with it.

/// Decodes a chunked body, in any split.
#[derive(Debug, Default)]
pub struct Decoder {
    _state: (),
}

/// The body is not chunked as it says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("chunked body: {0}")]
pub struct ChunkedError(pub &'static str);

impl Decoder {
    /// Feeds `input`, appends the payload to `out`, returns true once the last chunk and its trailer are complete.
    pub fn feed(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<bool, ChunkedError> {
        let _ = (input, out);
        todo!()
    }
}
