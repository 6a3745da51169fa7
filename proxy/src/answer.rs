//! Sends short answers: everything that is neither a stream nor tunnelled.

use std::time::{Duration, SystemTime};

pub(crate) use icecast_ext_core::answer::{Answer, version};
use icecast_ext_core::head::Version;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::limits::{Limited, What};
use crate::stream::Stream;

/// `Date`'s value.
pub(crate) fn date() -> String {
    httpdate::fmt_http_date(SystemTime::now())
}

/// 429 to an address that asks for too much, 503 if we are full (R-SEC-9).
pub(crate) fn limited(limited: &Limited) -> Answer {
    let (status, why) = match limited.what {
        What::Connections => (429, "too many connections from your address"),
        What::Joins => (429, "too many requests from your address"),
        What::Resumes => (429, "your address resumes too often"),
        What::Window => (429, "your address has had too much of the back buffer"),
        What::Listeners | What::Descriptors => (503, "this server is full"),
    };
    let seconds = limited.seconds();
    Answer::new(status, format!("{why}: come back in {seconds} s\n"))
        .field("Retry-After", seconds.to_string())
        .shared()
}

/// Sends an answer and ends the connection, so that the peer reads it even if it was still sending. Returns how many bytes that
/// are.
pub(crate) async fn send(
    answer: &Answer,
    mut stream: Stream,
    asked: Version,
    head_only: bool,
) -> u64 {
    let bytes = answer.encode(asked, head_only, &date());
    if stream.write_all(&bytes).await.is_ok() && stream.shutdown().await.is_ok() {
        drain(&mut stream).await;
    }
    bytes.len() as u64
}

/// After the end of an answer: reads what the peer still sends, for a while. Bytes that nobody has read turn a close into
/// a reset, which takes the answer with it.
pub(crate) async fn drain(stream: &mut Stream) {
    let waste = async {
        let mut left: usize = 1 << 20;
        // Not within the future, which all connections have from their first byte on.
        let mut waste = vec![0; 4096];
        while let Ok(n @ 1..) = stream.read(&mut waste).await {
            left = left.saturating_sub(n);
            if left == 0 {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(2), waste).await;
}
