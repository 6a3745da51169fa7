//! What a request is answered.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use icecast_ext_core::address::Session;
use icecast_ext_core::answer::{Answer, Head};
use icecast_ext_core::buffer::Turn;
use icecast_ext_core::codec::Format;
use icecast_ext_core::field::{Proof, StreamOffset};
use icecast_ext_core::head::{HeadError, Method, Request, Target, Version, field_lines};
use icecast_ext_core::plan::Cursor;
use icecast_ext_core::resume::{HOLD, Refusal, Start};
use icecast_ext_core::stock::{self, Join, Terms};
use icecast_ext_core::wanted::{Decided, Tier, Wanted};

use super::{Answering, Stage, Streams};
use crate::mount::{Shared, Station, fresh};
use crate::result::Failure;

/// Milliseconds since 1970.
#[derive(Clone, Copy)]
pub(super) struct Now(pub(super) u64);

impl Now {
    fn date(self) -> String {
        let at = UNIX_EPOCH.checked_add(Duration::from_millis(self.0));
        httpdate::fmt_http_date(at.unwrap_or(UNIX_EPOCH))
    }
}

/// A request whose start is not here yet.
pub(super) struct Held {
    mount: Shared,
    wanted: Wanted,
    method_is_head: bool,
    version: Version,
    asked: u64,
    until: u64,
    /// Once it waits.
    place: Option<Arc<()>>,
}

/// What is sent of the stream.
struct Body {
    start: Start,
    cursor: Cursor,
    lines: Bytes,
    metaint: Option<std::num::NonZeroU32>,
    player: Option<stock::Stream>,
    proof: Option<Proof>,
}

/// A short answer.
pub(super) fn short(answer: &Answer, version: Version, head_only: bool, now: Now) -> Answering {
    Answering {
        status: answer.status(),
        rest: answer.encode(version, head_only, &now.date()).into(),
        stage: Stage::Ends { reset: false },
        audio: 0,
    }
}

/// The answer to a request.
pub(super) fn of(mount: Option<Shared>, head: &[u8], now: Now) -> Result<Answering, Failure> {
    let bad = |error: HeadError| {
        let status = if error == HeadError::TooLarge {
            431
        } else {
            400
        };
        Ok(short(
            &Answer::new(status, format!("{error}\n")),
            Version::Http11,
            false,
            now,
        ))
    };
    let request = match Request::parse(head) {
        Ok(Some((request, _))) => request,
        Ok(None) => return bad(HeadError::Malformed("the head is not whole")),
        Err(error) => return bad(error),
    };
    let head_only = request.method == Method::Head;
    let say = |answer: Answer| Ok(short(&answer, request.version, head_only, now));
    let target = match Target::parse(request.target) {
        Ok(target) => target,
        Err(error) => return bad(error),
    };
    let Some(mount) = mount else {
        return say(nothing_there());
    };
    match request.method {
        Method::Get | Method::Head => {}
        Method::Options => return say(Answer::preflight()),
        Method::Put | Method::Source | Method::Other(_) => {
            return say(
                Answer::new(405, "GET, HEAD or OPTIONS\n").field("Allow", "GET, HEAD, OPTIONS")
            );
        }
    }
    let level = mount.lock()?.options.level;
    let wanted = match Wanted::of(&request, &target, level) {
        Ok(wanted) => wanted,
        Err(error) => return say(Answer::new(400, format!("{error}\n"))),
    };
    let until = now
        .0
        .saturating_add(u64::try_from(HOLD.as_millis()).unwrap_or(u64::MAX));
    let mut held = Held {
        mount,
        wanted,
        method_is_head: head_only,
        version: request.version,
        asked: now.0,
        until,
        place: None,
    };
    if let Some(answering) = held.decide(now)? {
        return Ok(answering);
    }
    held.place = held.mount.lock()?.place();
    if held.place.is_none() {
        return held.crowded(now);
    }
    Ok(Answering {
        status: 0,
        rest: Bytes::new(),
        stage: Stage::Held(Box::new(held)),
        audio: 0,
    })
}

fn nothing_there() -> Answer {
    Answer::new(404, "no source is live on this mount\n").shared()
}

impl Held {
    /// There is no room for it to wait (R-SEC-2). A player gets what there is.
    fn crowded(mut self, now: Now) -> Result<Answering, Failure> {
        if self.wanted.stock.is_some() {
            self.until = now.0;
            if let Some(answering) = self.decide(now)? {
                return Ok(answering);
            }
        }
        let answer = Answer::of_refusal(Refusal::Crowded, None);
        Ok(short(&answer, self.version, self.method_is_head, now))
    }

    /// `None`: not yet.
    pub(super) fn decide(&self, now: Now) -> Result<Option<Answering>, Failure> {
        let late = now.0 >= self.until;
        let mut station = self.mount.lock()?;
        // Whoever has heard one of our epochs gets what is held of it, come what may.
        let known = self
            .wanted
            .epochs()
            .any(|epoch| station.buffer.timeline.knows(epoch));
        if !known && !station.admits(now.0) {
            return Ok(Some(short(
                &nothing_there(),
                self.version,
                self.method_is_head,
                now,
            )));
        }
        let decided = match self.player(&mut station, late)? {
            Some(decided) => decided,
            None => self.listener(&station),
        };
        let body = match decided {
            Ok(body) => body,
            Err(Said::Refusal(Refusal::Soon { .. } | Refusal::Empty, _)) if !late => {
                return Ok(None);
            }
            Err(Said::Refusal(refusal, proof)) => {
                let answer = Answer::of_refusal(refusal, station.buffer.timeline.window());
                let answer = answer.proof(proof);
                return Ok(Some(short(&answer, self.version, self.method_is_head, now)));
            }
            Err(Said::Answer(answer)) => {
                return Ok(Some(short(&answer, self.version, self.method_is_head, now)));
            }
        };
        self.stream(&mut station, body, now).map(Some)
    }

    fn stream(&self, station: &mut Station, body: Body, now: Now) -> Result<Answering, Failure> {
        let aware = self.wanted.tier == Tier::Aware && !self.method_is_head;
        let session = aware.then(fresh).transpose()?.map(Session::from_bytes);
        let offset = StreamOffset {
            session,
            ..body.start.field()
        };
        let head = Head {
            offset,
            window: station.buffer.timeline.window(),
            proof: body.proof,
            metaint: body.metaint,
            lines: (self.wanted.tier != Tier::Feed).then_some(&body.lines),
            player: self.wanted.stock.as_ref().zip(body.player.as_ref()),
            path: &station.options.path,
            relays: &station.options.relays,
        };
        let mut bytes = head.encode(self.version, &now.date());
        let status = body.player.as_ref().map_or(200, stock::Stream::status);
        if self.method_is_head {
            return Ok(Answering {
                status,
                rest: bytes.into(),
                stage: Stage::Ends { reset: false },
                audio: 0,
            });
        }
        bytes.extend_from_slice(&body.start.prelude);
        let over = station.replace(self.wanted.session(), session);
        Ok(Answering {
            status,
            rest: bytes.into(),
            stage: Stage::Streams(Box::new(Streams {
                mount: self.mount.clone(),
                cursor: body.cursor,
                turn: Turn::default(),
                filled: false,
                over,
                session,
            })),
            audio: 0,
        })
    }

    fn listener(&self, station: &Station) -> Result<Body, Said> {
        let timeline = &station.buffer.timeline;
        let Decided { start, proof } = self.wanted.decide(&station.buffer, self.asked);
        let start = start.map_err(|refusal| Said::Refusal(refusal, proof))?;
        let run = timeline.run_at(start.at);
        let (format, lines) = run.map_or((Format::Opaque, Bytes::new()), |run| {
            (run.format, run.fields.clone())
        });
        let metaint = self.wanted.metaint(format, station.options.metaint);
        Ok(Body {
            cursor: self.wanted.cursor(start.at, format, metaint),
            start,
            lines,
            metaint,
            player: None,
            proof,
        })
    }

    /// `None`: it is no player that may resume.
    fn player(
        &self,
        station: &mut Station,
        late: bool,
    ) -> Result<Option<Result<Body, Said>>, Failure> {
        let Some(ask) = &self.wanted.stock else {
            return Ok(None);
        };
        let terms = Terms {
            fresh: Join::from_bytes(fresh()?),
            metaint: station.options.metaint,
            late,
        };
        let ask = &station.anchors.mend(ask);
        let reply = match ask.decide(&station.buffer.timeline, &terms) {
            Ok(reply) => reply,
            Err(refusal) => return Ok(Some(Err(Said::Refusal(refusal, None)))),
        };
        station.anchors.note(ask, &reply);
        let timeline = &station.buffer.timeline;
        let newest = || {
            timeline
                .runs()
                .next_back()
                .map(|run| run.fields.clone())
                .unwrap_or_default()
        };
        let content_type = || {
            let lines = newest();
            let fields = field_lines(&lines).unwrap_or_default();
            let found = fields.iter().find(|field| field.is("Content-Type"));
            found.map(|field| field.value.to_vec()).unwrap_or_default()
        };
        let stream = match Answer::of_reply(reply, content_type) {
            Ok(stream) => stream,
            Err(answer) => return Ok(Some(Err(Said::Answer(answer)))),
        };
        let run = timeline.run_at(stream.start.at);
        Ok(Some(Ok(Body {
            start: stream.start.clone(),
            cursor: stream.cursor,
            lines: run.map(|run| run.fields.clone()).unwrap_or_default(),
            metaint: stream.metaint,
            player: Some(stream),
            proof: None,
        })))
    }
}

/// Why there is no stream.
enum Said {
    Refusal(Refusal, Option<Proof>),
    Answer(Answer),
}
