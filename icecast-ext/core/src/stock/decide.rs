//! Where the answer to a player that may resume starts.

use std::num::{NonZeroU32, NonZeroU64};

use bytes::Bytes;

use super::family::Carrier;
use super::place::Place;
use super::reply::{Reply, Stream, Tell};
use super::{Anchor, Ask, Join, Level, TAIL, TOTAL};
use crate::address::Position;
use crate::codec::Format;
use crate::field::{Miss, Resume};
use crate::plan::{Anchored, Cursor};
use crate::resume::{Kind, RATE, Refusal, Start};
use crate::timeline::Timeline;

/// A join that comes again within so many seconds is the same one: its player has looked at the end of the file, or was cut
/// before its first byte (R-STOCK-22).
const AGAIN: u64 = 20;

/// What a decision needs besides the request.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// For a join that begins.
    pub fresh: Join,
    /// Audio between two ICY blocks of a body that begins; below 2^24.
    pub metaint: NonZeroU32,
    /// The request has been held as long as one is (R-STOCK-12).
    pub late: bool,
}

/// What an anchor comes to.
enum Found {
    Held(Place, Start),
    /// Not here yet.
    Soon(Refusal),
    /// Gone, ahead of all that could be waited for, or unknown. So many bytes, where that is known.
    Lost(Option<u64>),
}

/// What all of them come to.
enum Verdict {
    Held(Anchor, Place, Start),
    Soon(Refusal),
    Lost(Option<u64>),
}

impl Ask {
    /// The answer. An error that is [`Refusal::Soon`] asks to be held and decided again; [`Refusal::Empty`] as well: there is
    /// nothing yet.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn decide(&self, timeline: &Timeline, terms: &Terms) -> Result<Reply, Refusal> {
        if self.first >= TOTAL {
            return Ok(Reply::Beyond);
        }
        if self.first >= TOTAL - TAIL {
            let last = self.last.unwrap_or(TOTAL - 1);
            return Ok(Reply::Tail {
                first: self.first,
                last,
            });
        }
        if self.first == 0 {
            return self.begin(timeline, terms);
        }
        match self.verdict(timeline) {
            Verdict::Soon(refusal) if !terms.late => Err(refusal),
            Verdict::Held(anchor, place, start) => {
                if !terms.late {
                    enough(timeline, &start)?;
                }
                let stream = self.stream(timeline, terms, anchor, &place, start);
                Ok(Reply::Stream(stream))
            }
            Verdict::Soon(_) => self.lost(timeline, terms, None),
            Verdict::Lost(lost) => self.lost(timeline, terms, lost),
        }
    }

    /// A request from the first byte on: a join, or one that comes again.
    fn begin(&self, timeline: &Timeline, terms: &Terms) -> Result<Reply, Refusal> {
        let cookie = self.needs.carrier == Carrier::Cookie;
        let recent = |anchor: &Anchor| !cookie || is_recent(timeline, anchor);
        let url = self.url.iter().filter(|_| !self.disowned);
        let anchors = url.chain(self.cookies.iter().filter(|_| cookie));
        let again = anchors
            .filter(|anchor| self.may_be(anchor.join) && recent(anchor))
            .filter_map(|anchor| match self.look(timeline, anchor) {
                Found::Held(place, start) => Some((*anchor, place, start)),
                _ => None,
            })
            .max_by_key(|(anchor, ..)| anchor.at.offset);
        if let Some((anchor, place, mut start)) = again {
            start.kind = Kind::Join;
            let stream = self.stream(timeline, terms, anchor, &place, start);
            return Ok(Reply::Stream(stream));
        }
        let start = timeline.start(&self.join)?;
        let anchor = self.anchor(timeline, terms, terms.fresh, &start);
        match self.needs.carrier {
            Carrier::Redirect => Ok(Reply::Redirect {
                location: self.location(&anchor),
                lost: None,
            }),
            _ => Ok(Reply::Stream(self.fresh(timeline, anchor, start))),
        }
    }

    /// What was asked for cannot be given: live at the byte asked for (R-STOCK-13).
    fn lost(
        &self,
        timeline: &Timeline,
        terms: &Terms,
        lost: Option<u64>,
    ) -> Result<Reply, Refusal> {
        let mut start = timeline.start(&Resume::LIVE)?;
        start.kind = Kind::Miss { lost };
        let join = match (&self.url, self.cookies.as_slice()) {
            (Some(url), _) => url.join,
            (None, [one]) if self.may_be(one.join) => one.join,
            _ => terms.fresh,
        };
        let anchor = self.anchor(timeline, terms, join, &start);
        if self.needs.carrier == Carrier::Redirect && self.url.is_none() {
            return Ok(Reply::Redirect {
                location: self.location(&anchor),
                lost: Some(start),
            });
        }
        Ok(Reply::Stream(self.fresh(timeline, anchor, start)))
    }

    /// What the anchors say together (R-STOCK-10).
    fn verdict(&self, timeline: &Timeline) -> Verdict {
        let url = self.url.iter().filter(|_| !self.disowned);
        let mut anchors: Vec<&Anchor> = url.chain(&self.cookies).collect();
        anchors.retain(|anchor| self.may_be(anchor.join));
        let by_cookie = self.needs.carrier == Carrier::Cookie;
        if let (Some(url), false) = (&self.url, by_cookie) {
            anchors.retain(|anchor| anchor.join == url.join);
        }
        // Of one join the latest that the byte comes after; a cookie is later than the URL.
        anchors.reverse();
        anchors.sort_by_key(|anchor| std::cmp::Reverse(anchor.body));
        let mut found: Vec<(Anchor, Found)> = Vec::new();
        for anchor in anchors {
            if found.iter().any(|(other, _)| other.join == anchor.join) {
                continue;
            }
            match self.look(timeline, anchor) {
                // An earlier anchor of this join says where earlier bytes are.
                Found::Lost(_) if self.first < anchor.body => {}
                looked => found.push((*anchor, looked)),
            }
        }
        let mut found = found.into_iter();
        let Some((anchor, first)) = found.next() else {
            return Verdict::Lost(None);
        };
        // Of several joins all but one are somebody else's, and nobody can tell which one is not: be they gone, they count.
        let agrees = |(_, other): (Anchor, Found)| match (&first, &other) {
            (Found::Held(place, _), Found::Held(other, _)) => place == other,
            (Found::Soon(_), Found::Soon(_)) => true,
            _ => false,
        };
        if !found.all(agrees) {
            return Verdict::Lost(None);
        }
        let alone = self.url == Some(anchor) && !self.cookies.iter().any(|c| c.join == anchor.join);
        match first {
            // Its player may have lost its place before, and not have got the cookie that says where it is now.
            Found::Held(place, _) if alone && is_about_to_go(timeline, place.at) => {
                Verdict::Lost(None)
            }
            Found::Held(place, start) => Verdict::Held(anchor, place, start),
            Found::Soon(refusal) => Verdict::Soon(refusal),
            Found::Lost(lost) => Verdict::Lost(lost),
        }
    }

    fn look(&self, timeline: &Timeline, anchor: &Anchor) -> Found {
        let Some(place) = timeline.place_of(anchor, self.first) else {
            return Found::Lost(None);
        };
        let asked = Resume {
            miss: Miss::Live,
            ..Resume::at(place.at)
        };
        match timeline.start(&asked) {
            Ok(start) => match start.kind {
                Kind::Exact => Found::Held(place, start),
                // At the very end of an epoch: the body is carried on from there, blocks and all.
                Kind::Spliced if timeline.run_at(place.at).is_some() => {
                    let start = Start {
                        at: place.at,
                        prelude: Bytes::new(),
                        kind: Kind::Exact,
                    };
                    Found::Held(place, start)
                }
                Kind::Spliced if place.icy.is_none() => Found::Held(place, start),
                Kind::Spliced => Found::Lost(None),
                Kind::Miss { lost } => Found::Lost(lost),
                Kind::Join => Found::Lost(None),
            },
            Err(soon @ Refusal::Soon { .. }) => Found::Soon(soon),
            Err(_) => Found::Lost(None),
        }
    }

    /// The anchor of a body that begins here, with its prelude, at the byte asked for.
    fn anchor(&self, timeline: &Timeline, terms: &Terms, join: Join, start: &Start) -> Anchor {
        let icy = self.icy && !format(timeline, start).has_preludes();
        Anchor {
            join,
            body: self.first + start.prelude.len() as u64,
            at: start.at,
            metaint: icy.then_some(terms.metaint),
        }
    }

    /// A body that begins anew, be it at byte 0 or later.
    fn fresh(&self, timeline: &Timeline, anchor: Anchor, start: Start) -> Stream {
        let cursor = cursor(timeline, &start, anchor.metaint);
        self.made(timeline, anchor, start, cursor, (true, anchor.metaint))
    }

    /// A body that goes on.
    fn stream(
        &self,
        timeline: &Timeline,
        terms: &Terms,
        old: Anchor,
        place: &Place,
        mut start: Start,
    ) -> Stream {
        // Elsewhere than in a block, or where one is due, most players begin to count anew with each answer, and so does the
        // anchor. Without icy-metaint the old count goes on (R-STOCK-16).
        let phase = place.icy.filter(|phase| {
            self.icy && (self.needs.counts_on || phase.left == 0 || !place.owed.is_empty())
        });
        if place.icy.is_none() || phase.is_some() {
            start.prelude = [&start.prelude[..], &place.owed].concat().into();
        }
        let mut anchor = self.anchor(timeline, terms, old.join, &start);
        anchor.metaint = anchor.metaint.map(|new| old.metaint.unwrap_or(new));
        let plain = place.icy.is_none() && anchor.metaint.is_none();
        if phase.is_some() || (plain && start.kind != Kind::Spliced) {
            anchor = old;
        }
        let mut cursor = cursor(timeline, &start, anchor.metaint);
        let mut metaint = anchor.metaint;
        if let Some(phase) = phase {
            cursor = cursor.within_icy(phase.left, phase.shown);
            metaint = metaint.filter(|_| self.first == 0);
        }
        self.made(timeline, anchor, start, cursor, (anchor != old, metaint))
    }

    fn made(
        &self,
        timeline: &Timeline,
        anchor: Anchor,
        mut start: Start,
        cursor: Cursor,
        (new, metaint): (bool, Option<NonZeroU32>),
    ) -> Stream {
        let whole = self.last.map(|last| last - self.first + 1);
        if let Some(most) = whole.and_then(|whole| usize::try_from(whole).ok()) {
            start.prelude.truncate(most);
        }
        let cursor = cursor.anchored(Anchored {
            reset: self.needs.reset,
            left: whole.and_then(NonZeroU64::new),
        });
        let fits = self.needs.containers || !format(timeline, &start).has_preludes();
        let sized = self.last.is_some() || (self.level == Level::Full && fits);
        let tell = match self.needs.carrier {
            Carrier::Named => Some(Tell::Location(self.location(&anchor))),
            // A join that begins again sets its cookie again, too: nobody knows whether it was taken.
            Carrier::Cookie if new || self.first == 0 => Some(Tell::Cookie(self.cookie(&anchor))),
            Carrier::Redirect if new => Some(Tell::Cookie(self.cookie(&anchor))),
            Carrier::Cookie | Carrier::Redirect => None,
        };
        Stream {
            cursor: cursor.after(start.prelude.len() as u64),
            start,
            anchor,
            metaint,
            sized,
            first: self.first,
            last: self.last,
            tell,
        }
    }

    fn cookie(&self, anchor: &Anchor) -> String {
        format!("{}; Path={}; HttpOnly", anchor.cookie(), self.path)
    }

    fn location(&self, anchor: &Anchor) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}&{}", self.path, anchor.query()),
            None => format!("{}?{}", self.path, anchor.query()),
        }
    }
}

/// What a body is that starts there.
fn format(timeline: &Timeline, start: &Start) -> Format {
    timeline
        .run_at(start.at)
        .map_or(Format::Opaque, |run| run.format)
}

fn cursor(timeline: &Timeline, start: &Start, metaint: Option<NonZeroU32>) -> Cursor {
    let continues = format(timeline, start).continues_across_splice();
    match metaint {
        Some(metaint) => Cursor::icy(start.at, metaint, false, continues),
        None => Cursor::plain(start.at, false, continues),
    }
}

/// Whether the join of this anchor began about now.
fn is_recent(timeline: &Timeline, anchor: &Anchor) -> bool {
    let live = timeline.start(&Resume::LIVE).ok();
    let rate = timeline.window().and_then(|window| window.rate);
    let again = rate.unwrap_or(RATE).saturating_mul(AGAIN);
    live.is_some_and(|live| {
        live.at.epoch == anchor.at.epoch && anchor.at.offset.saturating_add(again) >= live.at.offset
    })
}

/// Whether a byte is among the oldest held of a run that has lost some already: by a burst and a second, so far as a loss may have
/// led back (R-STOCK-28).
fn is_about_to_go(timeline: &Timeline, at: Position) -> bool {
    let Some(run) = timeline
        .run_at(at)
        .filter(|run| run.window.first > run.start)
    else {
        return false;
    };
    let back = timeline.burst.saturating_add(run.rate().unwrap_or(RATE));
    let back = back.min(run.window.len() / 4);
    at.offset < run.window.first.saturating_add(back)
}

/// There is a second of audio, or nothing to wait for: players that get less come back as fast as they can (R-STOCK-12).
fn enough(timeline: &Timeline, start: &Start) -> Result<(), Refusal> {
    let (Some(run), Some(edge)) = (timeline.runs().next_back(), timeline.edge()) else {
        return Ok(());
    };
    let second = run.rate().unwrap_or(RATE);
    let (mut index, mut at, mut held) = (timeline.find(start.at), start.at.offset, 0_u64);
    // Over the splices that the body is carried over.
    while let Some((here, span)) = index.and_then(|here| Some((here, timeline.span(here)?))) {
        held = held.saturating_add(span.next.since(at).unwrap_or(0));
        if held >= second {
            break;
        }
        if span.id == run.id {
            return Err(Refusal::Soon {
                asked: start.at.offset.saturating_add(second),
                next: edge.offset,
            });
        }
        let carried = timeline.carries(here, &span);
        (index, at) = carried.map_or((None, at), |(splice, next)| (Some(next), splice.to.offset));
    }
    Ok(())
}
