//! TLS: our certificates, a client's handshake, and whom we trust as an upstream.

mod certificates;
mod table;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use icecast_ext_core::head::Version;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::answer::{self, Answer};
use crate::figures::Figures;
use crate::stream::Stream;

pub(crate) use certificates::Certificates;
pub(crate) use table::look;

/// A handshake that takes longer is given up.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// What a client speaks.
enum Spoken {
    Tls(Box<TlsStream<TcpStream>>),
    Plain(TcpStream),
}

/// A client's handshake. `None` if it came to nothing: the connection is closed then.
pub(crate) async fn accept(
    certificates: &Certificates,
    stream: TcpStream,
    peer: SocketAddr,
    figures: &Figures,
) -> Option<Stream> {
    let Some(_place) = certificates.place() else {
        figures.tls_failed.one();
        tracing::warn!(%peer, "too many TLS handshakes at once: closed");
        return None;
    };
    let shaken = tokio::time::timeout(HANDSHAKE, shake(certificates, stream)).await;
    let shaken = match shaken {
        Ok(Ok(Spoken::Tls(stream))) => return Some(stream.into()),
        failed => failed,
    };
    figures.tls_failed.one();
    match shaken {
        Ok(Ok(Spoken::Tls(_))) => {}
        Ok(Ok(Spoken::Plain(stream))) => {
            figures.answered(400);
            tracing::info!(%peer, status = 400, "no TLS on a TLS port");
            let answer = Answer::new(400, "this port speaks TLS: ask with https://\n");
            answer::send(&answer, stream.into(), Version::Http11, false).await;
        }
        // Its own reason, such as that it does not trust our certificate.
        Ok(Err(error)) if error.get_ref().is_some() => {
            tracing::info!(%peer, %error, "no TLS connection");
        }
        Ok(Err(error)) => tracing::debug!(%peer, %error, "left during the TLS handshake"),
        Err(_) => tracing::debug!(%peer, "no TLS handshake within {HANDSHAKE:?}"),
    }
    None
}

async fn shake(certificates: &Certificates, stream: TcpStream) -> io::Result<Spoken> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if first[0].is_ascii_alphabetic() {
        return Ok(Spoken::Plain(stream));
    }
    let stream = certificates.acceptor().accept(stream).await?;
    Ok(Spoken::Tls(Box::new(stream)))
}
