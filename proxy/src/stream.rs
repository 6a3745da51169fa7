//! A connection, plain or TLS: a client's, or ours to the upstream.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd as _, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use icecast_ext_delivery::Socket;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

/// Bytes both ways. Its shutdown is what its kind calls the end: a FIN, after a close_notify.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    /// In a box: it is many times as large.
    Tls(Box<TlsStream<TcpStream>>),
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self::Plain(stream)
    }
}

impl<T: Into<TlsStream<TcpStream>>> From<Box<T>> for Stream {
    fn from(stream: Box<T>) -> Self {
        Self::Tls(Box::new((*stream).into()))
    }
}

impl Stream {
    /// Writes all of it, and keeps nothing of it back, as a mere write over TLS may.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes).await?;
        self.flush().await
    }

    /// The bare connection, of which nobody will read what comes any more.
    pub(crate) fn into_wire(self) -> io::Result<std::net::TcpStream> {
        match self {
            Self::Plain(stream) => stream.into_std(),
            Self::Tls(stream) => match *stream {
                TlsStream::Server(stream) => stream.into_inner().0.into_std(),
                TlsStream::Client(stream) => stream.into_inner().0.into_std(),
            },
        }
    }

    /// A second descriptor for the same connection; `None` if there is more to it than a descriptor.
    pub(crate) fn descriptor(&self) -> Option<OwnedFd> {
        match self {
            Self::Plain(stream) => stream.as_fd().try_clone_to_owned().ok(),
            Self::Tls(_) => None,
        }
    }

    /// For a delivery loop. It must be a client's.
    pub(crate) fn into_socket(self) -> io::Result<Socket> {
        match self {
            Self::Plain(stream) => Ok(stream.into_std()?.into()),
            Self::Tls(stream) => match *stream {
                TlsStream::Server(stream) => {
                    let (stream, connection) = stream.into_inner();
                    Ok(Socket::tls(stream.into_std()?, connection))
                }
                TlsStream::Client(_) => Err(io::Error::other("a connection that we made")),
            },
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
