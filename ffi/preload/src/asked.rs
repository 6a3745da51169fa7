//! A request that the server has, and the head of its answer, which tells whether there is to be a stream.

use icecast_ext_core::field::From;
use icecast_ext_core::head::{MAX_HEAD, Response, Version, upstream_lines};
use icecast_ext_core::wanted::{Tier, Wanted};

use crate::client::{Client, Done, Stage};
use crate::gather::Gathering;
use crate::module::Module;
use crate::wire::Wire;

/// What Icecast tells Flash players and MSIE of a stream, which has no length.
const NO_LENGTH: u64 = 221_183_499;
/// A GET that the server has.
#[derive(Debug)]
pub(crate) struct Asked {
    /// Decoded; empty if only the server can read the request.
    pub(crate) path: String,
    pub(crate) version: Version,
    /// It was a HEAD.
    pub(crate) head_only: bool,
    pub(crate) agent: String,
    /// `None`: only the server can read the request.
    pub(crate) wanted: Option<Wanted>,
    /// What has come of the answer's head.
    pub(crate) answer: Vec<u8>,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            path: String::new(),
            version: Version::Http10,
            head_only: false,
            agent: String::new(),
            wanted: None,
            answer: Vec::new(),
        }
    }
}

impl Asked {
    /// It has bytes already.
    pub(crate) fn resumes(&self) -> bool {
        self.wanted.as_ref().is_some_and(Wanted::resumes)
    }

    /// What it asks for by field or by query.
    pub(crate) fn position(&self) -> Option<From> {
        let asked = self.wanted.as_ref()?.asked?;
        Some(asked.from)
    }

    pub(crate) fn is_aware(&self) -> bool {
        let tier = self.wanted.as_ref().map(|wanted| wanted.tier);
        matches!(tier, Some(Tier::Aware | Tier::Feed))
    }

    /// The server closes before its head is whole: as it is.
    pub(crate) fn close(self, wire: Wire) {
        if !self.answer.is_empty() {
            // Whoever takes nothing gets nothing.
            let _ = wire.send(&self.answer);
        }
    }
}

/// The server sends its answer's head.
pub(crate) fn send(client: &mut Client, module: &Module, bytes: &[u8]) -> Done {
    let Stage::Asked(asked) = &mut client.stage else {
        return client.wire.send(bytes);
    };
    asked.answer.extend_from_slice(bytes);
    let (len, next) = match Response::parse(&asked.answer) {
        Ok(None) if asked.answer.len() < MAX_HEAD => return Ok(bytes.len()),
        Ok(Some((answer, len))) if may_stream(&answer) => {
            (len, Some((upstream_lines(&answer), answer.metaint())))
        }
        Ok(Some((_, len))) => (len, None),
        Ok(None) | Err(_) => (asked.answer.len(), None),
    };
    let mut head = std::mem::take(&mut asked.answer);
    let Some((lines, metaint)) = next else {
        if asked.head_only {
            head.truncate(len);
            client.wire.say(&head);
            client.stage = Stage::Over;
            return Ok(bytes.len());
        }
        let taken = bytes.len();
        client.stage = Stage::Gathering(Box::new(Gathering::forwarding(head)));
        // What it does not take now is owed.
        return match crate::gather::send(client, module, &[]) {
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(taken),
        };
    };
    let body = head.split_off(len);
    let asked = std::mem::take(&mut **asked);
    let gathering = Gathering::new(asked, head, lines, metaint);
    client.stage = Stage::Gathering(Box::new(gathering));
    if body.is_empty() {
        module.wait(client.wire.fd, client.generation);
    } else {
        crate::gather::send(client, module, &body)?;
    }
    Ok(bytes.len())
}

fn may_stream(answer: &Response<'_>) -> bool {
    let text = answer.field("Content-Type").is_some_and(|kind| {
        kind.get(..5)
            .is_some_and(|start| start.eq_ignore_ascii_case(b"text/"))
    });
    answer.status == 200 && !text && matches!(answer.content_length(), None | Some(NO_LENGTH))
}
