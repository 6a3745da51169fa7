//! The bytes alone.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use icecast_ext_core::client::Event;
use tokio::io::{AsyncRead, ReadBuf};

use crate::listener::{Listener, bytes};

/// A [`Listener`] as one unbroken byte stream: preludes and audio.
///
/// It never ends but with an error, of kind [`io::ErrorKind::UnexpectedEof`], when the listener has given up.
pub struct Reader {
    listener: Listener,
    left: Bytes,
    tell: Box<dyn FnMut(Event) + Send>,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("listener", &self.listener)
            .finish_non_exhaustive()
    }
}

impl Reader {
    pub(crate) fn new(listener: Listener, tell: Box<dyn FnMut(Event) + Send>) -> Self {
        Self {
            listener,
            left: Bytes::new(),
            tell,
        }
    }

    /// The listener, for its position and statistics.
    #[must_use]
    pub fn listener(&self) -> &Listener {
        &self.listener
    }
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.left.is_empty() {
            match ready!(self.listener.poll_next(cx)) {
                Ok(event) => match bytes(event) {
                    Ok(bytes) => self.left = bytes,
                    Err(other) => (self.tell)(other),
                },
                Err(why) => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, why)));
                }
            }
        }
        let most = self.left.len().min(buf.remaining());
        buf.put_slice(&self.left[..most]);
        self.left.advance(most);
        Poll::Ready(Ok(()))
    }
}
