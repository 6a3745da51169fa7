//! What a pull asks for, and what kind of answer it gets.

use bytes::Bytes;
use icecast_ext_core::address::Position;
use icecast_ext_core::anchor::Evidence;
use icecast_ext_core::buffer::Across;
use icecast_ext_core::field::{
    Proof, RESUME_ANCHOR, Resume, STREAM_OFFSET, STREAM_PROOF, STREAM_WINDOW, StreamOffset,
    StreamWindow,
};
use icecast_ext_core::frame;
use icecast_ext_core::head::{Response, encode_path, upstream_lines};

use super::body::Ended;
use super::{feed, legacy};
use crate::config::Vorbis;
use crate::upstreams::Upstreams;

/// Whom a pull asks, and as whom.
pub(super) struct Asking<'a> {
    pub(super) authority: &'a str,
    pub(super) via: &'a str,
    pub(super) agent: &'a str,
    pub(super) authorization: Option<&'a str>,
    /// What is made of Ogg Vorbis.
    pub(super) vorbis: Vorbis,
    /// If it is that, and which one: it counts us.
    pub(super) upstream: Option<(&'a Upstreams, usize)>,
    /// Of the bytes that are held.
    pub(super) evidence: Option<Evidence>,
}

pub(super) fn request(asking: &Asking<'_>, path: &str, resume: Option<Resume>) -> String {
    let path = encode_path(path);
    let resume = resume.map_or_else(String::new, |resume| {
        let evidence = asking.evidence.as_ref();
        let evidence = evidence.map_or_else(String::new, |evidence| {
            format!("{RESUME_ANCHOR}: {}\r\n", evidence.encode())
        });
        format!("Resume-Offset: {}\r\n{evidence}", resume.encode())
    });
    let authorization = asking
        .authorization
        .map_or_else(String::new, |value| format!("Authorization: {value}\r\n"));
    // HTTP/1.0, so that nobody on the way makes the answer chunked.
    format!(
        "GET {path} HTTP/1.0\r\nHost: {}\r\nUser-Agent: {}\r\nAccept: {}, */*;q=0.5\r\nIcy-MetaData: 1\r\nVia: {}\r\n{authorization}{resume}\r\n",
        asking.authority,
        asking.agent,
        frame::MEDIA_TYPE,
        asking.via,
    )
}

/// What kind of body an answer has.
pub(super) enum Kind {
    /// Frames.
    Feed(feed::Start),
    /// What any listener gets, and the lines of the head that ours will get.
    Legacy { shape: legacy::Shape, lines: Bytes },
}

impl Kind {
    pub(super) fn of(answer: &Response<'_>, asking: &Asking<'_>) -> Result<Self, Ended> {
        let content_type = answer.field("Content-Type").unwrap_or_default();
        if content_type.eq_ignore_ascii_case(frame::MEDIA_TYPE.as_bytes()) {
            let offset = answer
                .field(STREAM_OFFSET)
                .and_then(|value| StreamOffset::parse(&value).ok());
            let window = answer.field(STREAM_WINDOW);
            let window = window.and_then(|value| StreamWindow::parse(&value).ok());
            let proof = answer.field(STREAM_PROOF);
            let proof = proof.and_then(|value| Proof::parse(&value).ok());
            // One that nobody asked for is none (R-ANCHOR-19).
            let proven = asking.evidence.is_some() && proof == Some(Proof::Anchor);
            let across = if proven {
                Across::Proven
            } else if offset.is_some_and(|offset| offset.spliced) {
                Across::Spliced
            } else {
                Across::Unknown
            };
            return Ok(Self::Feed(feed::Start {
                across,
                edge: window.map(|window| Position::new(window.epoch, window.window.next)),
                others: asking.upstream.is_some_and(|(all, _)| all.len() > 1),
            }));
        }
        if answer.field("Content-Length").is_some() {
            return Err(Ended::File);
        }
        Ok(Self::Legacy {
            shape: legacy::Shape::of(answer, &content_type, asking.vorbis),
            lines: upstream_lines(answer),
        })
    }
}
