//! What a request wants of a mount, and what it is sent.

use std::num::NonZeroU32;

use crate::address::{Epoch, Position, Session};
use crate::anchor::Evidence;
use crate::buffer::Buffer;
use crate::codec::Format;
use crate::field::{FieldError, From, Proof, RESUME_ANCHOR, RESUME_OFFSET, Resume};
use crate::frame::MEDIA_TYPE;
use crate::head::{Method, Request, Target};
use crate::plan::Cursor;
use crate::resume::{Refusal, Start};
use crate::stock::{self, Ask, Level};
use crate::timeline::Timeline;

/// How a listener is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// Sends no field of ours.
    Stock,
    /// Sends `Resume-Offset` (R-RESUME-1).
    Aware,
    /// Asks for the relay feed.
    Feed,
}

/// What a request wants of a mount.
///
/// ```
/// use icecast_ext_core::head::{Request, Target};
/// use icecast_ext_core::stock::Level;
/// use icecast_ext_core::wanted::{Tier, Wanted};
///
/// let head = b"GET /live.mp3?_shift=30&a=b HTTP/1.1\r\nHost: radio\r\nResume-Offset: live\r\n\r\n";
/// let (request, _) = Request::parse(head)?.ok_or("incomplete")?;
/// let target = Target::parse(request.target)?;
/// let wanted = Wanted::of(&request, &target, Level::Ranges)?;
/// assert_eq!((wanted.tier, wanted.resumes()), (Tier::Aware, false));
/// assert_eq!(wanted.onward, Some(Some("a=b".to_owned())));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// How it is served.
    pub tier: Tier,
    /// `Icy-MetaData: 1`: it wants titles in blocks.
    pub icy: bool,
    /// Where it wants to start, if it says so: by field, or by query.
    pub asked: Option<Resume>,
    /// What it heard last at a relay that may share no epoch with this one.
    pub evidence: Option<Evidence>,
    /// Of a GET or HEAD of a player that knows nothing of us, and may resume.
    pub stock: Option<Ask>,
    /// The query that a server behind us may see, if the request's held something of ours: the rest of it.
    pub onward: Option<Option<String>>,
}

impl Wanted {
    /// Reads a request. `level`: what the mount at `target` offers to stock players.
    ///
    /// # Errors
    /// If the field or the query parameters that say where to start are malformed: 400 (R-FIELD-3).
    pub fn of(
        request: &Request<'_>,
        target: &Target<'_>,
        level: Level,
    ) -> Result<Self, FieldError> {
        let (query, rest) = match target.query {
            Some(query) => Resume::from_query(query)?,
            None => (None, None),
        };
        let field = request.field(RESUME_OFFSET);
        let field = field.map(|value| Resume::parse(&value)).transpose()?;
        let asked = field.or(query);
        let evidence = request.field(RESUME_ANCHOR);
        let evidence = evidence.map(|value| Evidence::parse(&value)).transpose()?;
        let tier = if accepts_feed(request) {
            Tier::Feed
        } else if field.is_some() || asked.is_some_and(|asked| is_position(&asked)) {
            Tier::Aware
        } else {
            Tier::Stock
        };
        let listens = matches!(request.method, Method::Get | Method::Head);
        let stock = (listens && tier == Tier::Stock)
            .then(|| Ask::of(request, target, level, asked.unwrap_or(Resume::LIVE)));
        let rest = rest.as_deref().and_then(stock::query_without);
        let ours = target
            .query
            .is_some_and(|query| rest.as_deref() != Some(query));
        Ok(Self {
            tier,
            icy: request.asks_icy(),
            asked,
            // It stands beside the field (R-ANCHOR-10).
            evidence: evidence.filter(|_| field.is_some()),
            stock: stock.flatten(),
            onward: ours.then_some(rest),
        })
    }

    /// The epochs that it has heard, or says so.
    pub fn epochs(&self) -> impl Iterator<Item = Epoch> {
        let asked = self.asked.and_then(|asked| match asked.from {
            From::At(at) => Some(at.epoch),
            From::Live | From::Shift(_) => None,
        });
        let stock = self.stock.iter().flat_map(Ask::epochs);
        asked.into_iter().chain(stock)
    }

    /// It has bytes already.
    #[must_use]
    pub fn resumes(&self) -> bool {
        let aware = self.asked.is_some_and(|asked| is_position(&asked));
        aware || self.stock.as_ref().is_some_and(Ask::resumes)
    }

    /// The session of the client's last answer.
    #[must_use]
    pub fn session(&self) -> Option<Session> {
        self.asked.and_then(|asked| asked.session)
    }

    /// Where the answer starts; a player's (`stock`), [`Ask::decide`] says.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn start(&self, timeline: &Timeline) -> Result<Start, Refusal> {
        match self.tier {
            Tier::Feed => timeline.start_feed(self.asked.as_ref()),
            Tier::Aware | Tier::Stock => timeline.start(&self.asked.unwrap_or(Resume::LIVE)),
        }
    }

    /// As [`Wanted::start`], by alias or by content where the request asks for no epoch that is known here: by content if it
    /// has evidence. `now`: when the request came, ms by the clock of [`Buffer::grow`], and the same if it is decided anew.
    #[must_use]
    pub fn decide(&self, buffer: &Buffer, now: u64) -> Decided {
        // A feed passes on names, and has to have its own (R-ALIAS-7).
        let asked = self.asked.filter(|_| self.tier == Tier::Aware);
        match asked.and_then(|asked| buffer.start_by_alias(&asked)) {
            None => self.decide_by_content(buffer, now),
            Some((soon @ Err(Refusal::Soon { .. }), _)) => {
                let by_content = self.decide_by_content(buffer, now);
                match by_content.proof {
                    Some(Proof::Anchor) => by_content,
                    _ => Decided {
                        start: soon,
                        proof: None,
                    },
                }
            }
            Some((start, exact)) => Decided {
                start,
                proof: exact.then_some(Proof::Alias),
            },
        }
    }

    fn decide_by_content(&self, buffer: &Buffer, now: u64) -> Decided {
        let timeline = &buffer.timeline;
        let unknown =
            |asked: &Resume| !matches!(asked.from, From::At(at) if timeline.knows(at.epoch));
        let (Some(evidence), Some(asked)) = (&self.evidence, self.asked.filter(unknown)) else {
            let start = self.start(timeline);
            return Decided { start, proof: None };
        };
        let feed = self.tier == Tier::Feed;
        let (start, proof) = buffer.start_by_content(&asked, feed, evidence, now);
        Decided { start, proof }
    }

    /// Bytes of audio between two ICY blocks of the answer: those of the mount (`ours`), if it is to have blocks at all.
    #[must_use]
    pub fn metaint(&self, format: Format, ours: NonZeroU32) -> Option<NonZeroU32> {
        (self.icy && self.tier != Tier::Feed && !format.has_preludes()).then_some(ours)
    }

    /// What it is sent from its start on: a body of `format` that begins at `at`, with ICY blocks as [`Wanted::metaint`] says.
    #[must_use]
    pub fn cursor(&self, at: Position, format: Format, metaint: Option<NonZeroU32>) -> Cursor {
        let (aware, continues) = (self.tier == Tier::Aware, format.continues_across_splice());
        match (self.tier, metaint) {
            (Tier::Feed, _) => Cursor::feed(at),
            (_, Some(metaint)) => Cursor::icy(at, metaint, aware, continues),
            (_, None) => Cursor::plain(at, aware, continues),
        }
    }
}

/// Where an answer starts, and what it says of the evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// Where, or why nowhere.
    pub start: Result<Start, Refusal>,
    /// `Stream-Proof`, if there was evidence that counted, or an alias.
    pub proof: Option<Proof>,
}

fn is_position(asked: &Resume) -> bool {
    matches!(asked.from, From::At(_))
}

/// `Accept` names the relay feed.
#[must_use]
pub fn accepts_feed(request: &Request<'_>) -> bool {
    let accept = request.field("Accept").unwrap_or_default();
    String::from_utf8_lossy(&accept).split(',').any(|member| {
        member
            .split(';')
            .next()
            .is_some_and(|kind| kind.trim().eq_ignore_ascii_case(MEDIA_TYPE))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Offset;

    const EPOCH: Epoch = Epoch::from_bytes([0; 16]);
    const AT: &str = "Resume-Offset: 5;epoch=\"AAAAAAAAAAAAAAAAAAAAAA\"\r\n";
    const QUERY: &str = "_resume=AAAAAAAAAAAAAAAAAAAAAA.7";
    const FEED: &str = "Accept: audio/*, Application/VND.icecast-ext.relay;q=1\r\n";
    const RANGE: &str = "Range: bytes=9-\r\n";

    fn wanted(method: &str, query: &str, fields: &str) -> Result<Wanted, FieldError> {
        let head = format!("{method} /a{query} HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        let (request, _) = Request::parse(head.as_bytes()).unwrap().unwrap();
        let target = Target::parse(request.target).unwrap();
        Wanted::of(&request, &target, Level::Ranges)
    }

    fn get(query: &str, fields: &str) -> Wanted {
        wanted("GET", query, fields).unwrap()
    }

    #[test]
    fn a_listener_is_served_by_what_it_says() {
        let by_query = format!("?{QUERY}");
        for (query, fields, tier, stock) in [
            ("", String::new(), Tier::Stock, false),
            ("", RANGE.to_owned(), Tier::Stock, true),
            ("?_shift=5", RANGE.to_owned(), Tier::Stock, true),
            (
                "",
                format!("{RANGE}Resume-Offset: live\r\n"),
                Tier::Aware,
                false,
            ),
            ("", format!("{RANGE}{AT}"), Tier::Aware, false),
            (&by_query, RANGE.to_owned(), Tier::Aware, false),
            ("", format!("{RANGE}{FEED}"), Tier::Feed, false),
            ("", format!("{AT}{FEED}"), Tier::Feed, false),
        ] {
            let wanted = get(query, &fields);
            assert_eq!(
                (wanted.tier, wanted.stock.is_some()),
                (tier, stock),
                "{query} {fields}"
            );
        }
        assert_eq!(wanted("OPTIONS", "", RANGE).unwrap().stock, None);
        assert!(wanted("HEAD", "", RANGE).unwrap().stock.is_some());
    }

    #[test]
    fn the_field_counts_more_than_the_query() {
        let field = get(
            &format!("?{QUERY}"),
            &AT.replace("\r\n", ";session=\"AAAAAAAAAAAAAAAAAAAAAA\"\r\n"),
        );
        let offset = |wanted: &Wanted| match wanted.asked.unwrap().from {
            From::At(at) => at.offset.get(),
            _ => panic!("no position"),
        };
        assert_eq!(
            (offset(&field), field.session()),
            (5, Some(Session::from_bytes([0; 16])))
        );
        let query = get(&format!("?{QUERY}"), "");
        assert_eq!((offset(&query), query.session()), (7, None));
        for wanted in [&field, &query] {
            assert!(wanted.resumes() && wanted.epochs().eq([EPOCH]));
        }
        let join = get("", "Resume-Offset: live\r\n");
        assert!(!join.resumes() && join.epochs().count() == 0);
        assert!(get("", RANGE).resumes() && !get("", "Range: bytes=0-\r\n").resumes());
    }

    #[test]
    fn what_is_malformed_is_named() {
        let of = |query, fields| wanted("GET", query, fields).unwrap_err().field;
        assert_eq!(of("", "Resume-Offset: soon\r\n"), "Resume-Offset");
        assert_eq!(of("?_resume=5", AT), "_resume");
    }

    #[test]
    fn nobody_behind_us_sees_what_is_ours() {
        let onward = |query: &str| get(query, "").onward;
        assert_eq!(onward(""), None);
        assert_eq!(onward("?a=b&c"), None);
        assert_eq!(onward("?_shift=5"), Some(None));
        assert_eq!(
            onward(&format!("?a=b&{QUERY}&c")),
            Some(Some("a=b&c".to_owned()))
        );
        assert_eq!(onward("?_anchor=x&a"), Some(Some("a".to_owned())));
    }

    #[test]
    fn blocks_are_for_whoever_asks_where_they_have_a_place() {
        let ours = NonZeroU32::new(16_000).unwrap();
        let icy = "Icy-MetaData: 1\r\n";
        let metaint = |fields: &str, format| get("", fields).metaint(format, ours);
        assert_eq!(metaint(icy, Format::Mpeg), Some(ours));
        assert_eq!(metaint(&format!("{icy}{AT}"), Format::Opaque), Some(ours));
        assert_eq!(metaint("", Format::Mpeg), None);
        assert_eq!(metaint(icy, Format::Ogg), None);
        assert_eq!(metaint(&format!("{icy}{FEED}"), Format::Mpeg), None);
    }

    #[test]
    fn each_tier_has_its_body() {
        let at = Position::new(EPOCH, Offset::ZERO);
        let metaint = NonZeroU32::new(9);
        let cursor = |fields: &str, metaint| get("", fields).cursor(at, Format::Mpeg, metaint);
        assert_eq!(cursor(FEED, metaint), Cursor::feed(at));
        for (fields, aware) in [("", false), (AT, true)] {
            assert_eq!(cursor(fields, None), Cursor::plain(at, aware, true));
            let icy = Cursor::icy(at, NonZeroU32::new(9).unwrap(), aware, true);
            assert_eq!(cursor(fields, metaint), icy);
        }
        let webm = get("", "").cursor(at, Format::Webm, None);
        assert_eq!(
            webm,
            Cursor::plain(at, false, Format::Webm.continues_across_splice())
        );
    }

    #[test]
    fn a_feed_begins_with_the_oldest_byte_and_a_listener_live() {
        let mut timeline = Timeline::new(10);
        timeline.begin(crate::timeline::Begin {
            epoch: EPOCH,
            first: Offset::ZERO,
            declared: false,
            format: Format::Opaque,
            tick_ms: 250,
            fields: bytes::Bytes::new(),
        });
        timeline.grow(100);
        let start = |fields: &str| get("", fields).start(&timeline).unwrap().at.offset.get();
        assert_eq!((start(FEED), start(""), start(AT)), (0, 90, 5));
    }
}
