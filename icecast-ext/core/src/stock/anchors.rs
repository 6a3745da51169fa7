//! What is remembered of anchors, where a player cannot bring along what has become of it: whose place was lost may not get the
//! new anchor's cookie (R-STOCK-26), and who was moved to another mount has an anchor that is not so any more (R-STOCK-27). All
//! else they bring along themselves.

use std::collections::{BTreeMap, VecDeque};

use super::{Anchor, Ask, Join, Reply};
use crate::resume::Kind;

/// What has become of the anchors of a mount's stock players. A request is mended before it is decided, and what it is answered
/// is noted.
#[derive(Debug, Default)]
pub struct Anchors {
    by_join: BTreeMap<Join, Option<Anchor>>,
    order: VecDeque<Join>,
}

impl Anchors {
    /// Joins that are remembered; the oldest go first.
    pub const MOST: usize = 16_384;

    /// The anchor of a join is this now; `None`: it has none.
    pub fn set(&mut self, join: Join, anchor: Option<Anchor>) {
        if self.by_join.insert(join, anchor).is_none() {
            self.order.push_back(join);
        }
        while self.order.len() > Self::MOST {
            if let Some(oldest) = self.order.pop_front() {
                self.by_join.remove(&oldest);
            }
        }
    }

    /// The request with what is known better here.
    #[must_use]
    pub fn mend(&self, ask: &Ask) -> Ask {
        let mut mended = ask.clone();
        for join in ask.joins() {
            match self.by_join.get(&join) {
                None => {}
                Some(Some(anchor)) => mended.learn(*anchor),
                Some(None) => mended.disown(join),
            }
        }
        mended
    }

    /// What a request was answered. The new anchor of a player that asks the URL of its old one, and has lost its place, is
    /// remembered: a page of another site does not get the cookie.
    pub fn note(&mut self, ask: &Ask, reply: &Reply) {
        if let (Reply::Stream(stream), Some(join)) = (reply, ask.join())
            && matches!(stream.start.kind, Kind::Miss { .. })
        {
            self.set(join, Some(stream.anchor));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use bytes::Bytes;

    use super::*;
    use crate::address::{Epoch, Offset};
    use crate::codec::Format;
    use crate::field::Resume;
    use crate::head::{Request, Target};
    use crate::stock::{Level, Terms};
    use crate::timeline::{Begin, Timeline};

    fn join(n: usize) -> Join {
        let bytes = (n as u64).to_be_bytes();
        Join::from_bytes(std::array::from_fn(|i| bytes[2 + i]))
    }

    /// A player that asks a URL which leads to the byte `first`.
    fn ask(url: &str, first: u64) -> Ask {
        let head = format!(
            "GET {url} HTTP/1.1\r\nHost: h\r\nRange: bytes={first}-\r\nUser-Agent: Wget/1\r\n\r\n"
        );
        let (request, _) = Request::parse(head.as_bytes()).unwrap().unwrap();
        let target = Target::parse(request.target).unwrap();
        Ask::of(&request, &target, Level::Ranges, Resume::LIVE).unwrap()
    }

    fn timeline(bytes: u64) -> Timeline {
        let mut timeline = Timeline::new(16_000);
        timeline.begin(Begin {
            epoch: Epoch::from_bytes([0; 16]),
            first: Offset::ZERO,
            declared: false,
            format: Format::Opaque,
            tick_ms: 250,
            fields: Bytes::new(),
        });
        timeline.grow(bytes);
        timeline
    }

    fn decide(ask: &Ask, timeline: &Timeline) -> Reply {
        let terms = Terms {
            fresh: join(7),
            metaint: NonZeroU32::new(16_000).unwrap(),
            late: true,
        };
        ask.decide(timeline, &terms).unwrap()
    }

    #[test]
    fn whose_place_was_lost_goes_on_where_it_was_put_then() {
        let mut timeline = timeline(100_000);
        let mut anchors = Anchors::default();
        let Reply::Redirect { location, .. } = decide(&ask("/a", 0), &timeline) else {
            panic!("no redirect");
        };
        // Its place is not held any more.
        timeline.evict(95_000);
        let lost = ask(&location, 10);
        let reply = decide(&anchors.mend(&lost), &timeline);
        let Reply::Stream(stream) = &reply else {
            panic!("no stream");
        };
        assert!(matches!(stream.start.kind, Kind::Miss { .. }));
        let at = stream.start.at.offset.get();
        anchors.note(&lost, &reply);
        timeline.grow(50_000);
        let again = anchors.mend(&ask(&location, 20_010));
        let Reply::Stream(stream) = decide(&again, &timeline) else {
            panic!("no stream");
        };
        assert_eq!(stream.start.kind, Kind::Exact);
        assert_eq!(stream.start.at.offset.get(), at + 20_000);
        anchors.note(&again, &Reply::Stream(stream));
        assert_eq!(anchors.order.len(), 1);
    }

    #[test]
    fn whoever_was_moved_has_no_anchor() {
        let timeline = timeline(100_000);
        let mut anchors = Anchors::default();
        let Reply::Redirect { location, .. } = decide(&ask("/a", 0), &timeline) else {
            panic!("no redirect");
        };
        let kind = |anchors: &Anchors| match decide(&anchors.mend(&ask(&location, 10)), &timeline) {
            Reply::Stream(stream) => stream.start.kind,
            other => panic!("{other:?}"),
        };
        assert_eq!(kind(&anchors), Kind::Exact);
        anchors.set(join(7), None);
        assert_eq!(kind(&anchors), Kind::Miss { lost: None });
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let mut anchors = Anchors::default();
        for n in 0..=Anchors::MOST {
            anchors.set(join(n), None);
            anchors.set(join(n), None);
        }
        let held = (anchors.by_join.len(), anchors.order.len());
        assert_eq!(held, (Anchors::MOST, Anchors::MOST));
        assert!(!anchors.by_join.contains_key(&join(0)) && anchors.by_join.contains_key(&join(1)));
    }
}
