//! A feed as the suite reads it.

use std::time::Duration;

use tokio::time::Instant;

use crate::case::Stop;
use crate::connection::{Answer, End};
use crate::field::StreamOffset;
use crate::frame::{Frame, MEDIA_TYPE};
use crate::http::Request;
use crate::reference::names;
use crate::session::Session;

/// A feed, and what has come of it.
pub(super) struct Feed {
    answer: Answer,
    octets: Vec<u8>,
    /// Where it started, by its head.
    pub(super) place: StreamOffset,
}

/// The request of a relay.
pub(super) fn request(mount: &str, at: Option<String>) -> Request {
    let request = Request::get(mount)
        .field("Accept", MEDIA_TYPE)
        .field("Via", "1.1 icx-0011223344556677");
    match at {
        Some(at) => request.resume(at),
        None => request,
    }
}

/// Asks for a feed; `at` is the value of `Resume-Offset`.
pub(super) async fn ask(s: &Session, mount: &str, at: Option<String>) -> Result<Feed, Stop> {
    let authority = s.target().url.authority.clone();
    ask_at(s, &authority, mount, at).await
}

/// The same at any server.
pub(super) async fn ask_at(
    s: &Session,
    authority: &str,
    mount: &str,
    at: Option<String>,
) -> Result<Feed, Stop> {
    let answer = s.ask_new_at(authority, request(mount, at)).await?;
    from(answer.only_if(200, "R-FEED-1")?)
}

/// The feed of an answer.
pub(super) fn from(answer: Answer) -> Result<Feed, Stop> {
    let kind = answer.field("Content-Type").unwrap_or_default();
    if kind != MEDIA_TYPE {
        return Err(Stop::Skip(format!(
            "the server offers no relay feed here: {kind}"
        )));
    }
    let place = answer.place()?;
    Ok(Feed {
        answer,
        octets: Vec::new(),
        place,
    })
}

impl Feed {
    /// The next frame; `None` once the feed has ended.
    pub(super) async fn next(&mut self, time: Duration) -> Result<Option<Frame>, Stop> {
        let end = Instant::now() + time;
        loop {
            match Frame::parse(&self.octets) {
                Ok(Some((frame, length))) => {
                    self.octets.drain(..length);
                    return Ok(Some(frame));
                }
                Ok(None) => {}
                Err(wrong) => return Err(Stop::blocked("R-FEED-2", wrong.0)),
            }
            let left = end.saturating_duration_since(Instant::now());
            let (octets, ended) = self
                .answer
                .read_for(left.min(Duration::from_millis(50)), 65_536)
                .await;
            let nothing = octets.is_empty();
            self.octets.extend(octets);
            if ended != End::Open && nothing {
                return Ok(None);
            }
            if left.is_zero() {
                return Err(Stop::fail(
                    "a frame",
                    format!("nothing whole for {} ms", time.as_millis()),
                ));
            }
        }
    }

    /// What comes until so many bytes of DATA have come, or the feed ends.
    pub(super) async fn frames(&mut self, bytes: usize) -> Result<Vec<Frame>, Stop> {
        let mut out = Vec::new();
        let mut count = 0;
        while count < bytes {
            let Some(frame) = self.next(Duration::from_secs(10)).await? else {
                break;
            };
            if let Frame::Data(_, data) = &frame {
                count += data.len();
            }
            out.push(frame);
        }
        Ok(out)
    }

    /// The frames before the first DATA.
    pub(super) async fn opening(&mut self) -> Result<Vec<Frame>, Stop> {
        let mut out = Vec::new();
        loop {
            match self.next(Duration::from_secs(10)).await? {
                Some(Frame::Data(..) | Frame::Keepalive(_)) | None => return Ok(out),
                Some(frame) => out.push(frame),
            }
        }
    }
}

/// The bytes of all DATA.
pub(super) fn data(frames: &[Frame]) -> Vec<u8> {
    let data = frames.iter().filter_map(|frame| match frame {
        Frame::Data(_, data) => Some(data.as_slice()),
        _ => None,
    });
    data.collect::<Vec<_>>().concat()
}

/// The titles, with their places.
pub(super) fn titles(frames: &[Frame]) -> Vec<(u64, String)> {
    let titles = frames.iter().filter_map(|frame| match frame {
        Frame::Title(at, text) => Some((*at, crate::http::latin(text))),
        _ => None,
    });
    titles.collect()
}

/// The epoch of the first FORMAT, as it is written.
pub(super) fn epoch(frames: &[Frame]) -> Option<(String, u64)> {
    frames.iter().find_map(|frame| match frame {
        Frame::Format { epoch, at, .. } => Some((names::encode(epoch), *at)),
        _ => None,
    })
}
