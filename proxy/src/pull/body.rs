//! What comes from the upstream on one connection, and how that ends.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use icecast_ext_core::{chunked, frame};
use tokio::io::AsyncReadExt as _;

use crate::stream::Stream;
use crate::upstream::UpstreamError;

/// Why a connection to the upstream gave no more.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    #[error("the connection broke: {0}")]
    Io(#[from] std::io::Error),
    #[error("nothing came for {0:?}")]
    Silent(Duration),
    #[error("the upstream has had no audio for {0:?}")]
    Stalled(Duration),
    #[error("the upstream ended the stream")]
    Eof,
    #[error("the upstream answered {0}")]
    Status(u16),
    #[error("the upstream's answer cannot be read: {0}")]
    Head(#[from] icecast_ext_core::head::HeadError),
    #[error("the upstream's body cannot be read: {0}")]
    Chunks(#[from] chunked::ChunkedError),
    #[error("the relay feed cannot be read: {0}")]
    Feed(#[from] frame::FrameError),
    #[error("the upstream answers with a file, not a stream")]
    File,
}

impl Ended {
    /// It says something of the server, not of one mount.
    pub(super) fn is_of_server(&self) -> bool {
        matches!(self, Self::Upstream(_) | Self::Silent(_))
    }
}

/// Room to read into. A mount keeps it as long as it is fed, and there may be thousands.
const READ: usize = 16 << 10;

/// The body of the upstream's answer.
pub(super) struct Body {
    pub(super) stream: Stream,
    pub(super) buffer: BytesMut,
    /// HTTP/1.0 is asked for and has no chunks, but what stands in between may think otherwise.
    pub(super) chunks: Option<chunked::Decoder>,
}

impl Body {
    /// The next bytes, never empty.
    pub(super) async fn next(&mut self, silence: Duration) -> Result<Bytes, Ended> {
        loop {
            if self.buffer.is_empty() {
                self.buffer.reserve(READ);
                let read = self.stream.read_buf(&mut self.buffer);
                match tokio::time::timeout(silence, read).await {
                    Err(_) => return Err(Ended::Silent(silence)),
                    Ok(Ok(0)) => return Err(Ended::Eof),
                    Ok(result) => result?,
                };
            }
            let bytes = self.buffer.split().freeze();
            let Some(chunks) = &mut self.chunks else {
                return Ok(bytes);
            };
            let mut payload = Vec::new();
            let last = chunks.feed(&bytes, &mut payload)?;
            if !payload.is_empty() {
                return Ok(payload.into());
            }
            if last {
                return Err(Ended::Eof);
            }
        }
    }
}
