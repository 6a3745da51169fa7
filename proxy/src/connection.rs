//! A client's connection up to the end of its request head.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use bytes::BytesMut;
use icecast_ext_core::head::{HeadError, Request, Version};
use tokio::io::AsyncReadExt as _;

use crate::answer::{self, Answer};
use crate::figures::Figures;
use crate::limits::Connected;
use crate::stream::Stream;

/// Room for what most clients ask; more is made when it is needed.
const FIRST: usize = 1024;
/// A head that takes longer is answered 408 and closed (R-HTTP-7).
const HEAD_TIME: Duration = Duration::from_secs(10);

/// A connection whose head has arrived whole.
pub(crate) struct Connection {
    pub(crate) stream: Stream,
    pub(crate) peer: SocketAddr,
    /// When it was accepted.
    pub(crate) since: SystemTime,
    /// Its place among all, and those of its address.
    pub(crate) place: Connected,
    /// The head, and what came after it.
    pub(crate) buffer: BytesMut,
}

/// Reads until the head is whole; `buffer`: what was read already. Answers and closes what has none; `None` then.
pub(crate) async fn read(
    mut stream: Stream,
    peer: SocketAddr,
    mut buffer: BytesMut,
    place: Connected,
    figures: &Figures,
) -> Option<Connection> {
    let since = SystemTime::now();
    let reading = async {
        loop {
            match Request::parse(&buffer) {
                Ok(Some(_)) => return Some(Ok(())),
                Ok(None) => buffer.reserve(FIRST),
                Err(error) => return Some(Err(error)),
            }
            match stream.read_buf(&mut buffer).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    };
    let refusal = match tokio::time::timeout(HEAD_TIME, reading).await {
        Ok(None) => return None,
        Ok(Some(Ok(()))) => {
            return Some(Connection {
                stream,
                peer,
                since,
                place,
                buffer,
            });
        }
        Ok(Some(Err(error @ HeadError::TooLarge))) => Answer::new(431, format!("{error}\n")),
        Ok(Some(Err(error))) => Answer::new(400, format!("{error}\n")),
        Err(_) => Answer::new(
            408,
            format!("no whole request within {} s\n", HEAD_TIME.as_secs()),
        ),
    };
    // The first line alone, and no query: the rest may hold credentials and sessions (R-SEC-4).
    let ends = |byte: &u8| matches!(byte, b'\r' | b'\n' | b'?');
    let line = String::from_utf8_lossy(buffer[..].split(ends).next().unwrap_or_default());
    let line: String = line.chars().take(200).collect();
    let status = refusal.status();
    figures.answered(status);
    tracing::info!(%peer, status, line, why = refusal.body().trim_end(), "refused a head");
    answer::send(&refusal, stream, Version::Http11, false).await;
    None
}
