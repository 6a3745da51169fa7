//! What a request says to this chapter.

use super::family::{Carrier, Family, Needs};
use super::{Anchor, Join, Level, TOTAL, anchor};
use crate::field::Resume;
use crate::head::{Request, Target};
use crate::range::Range;

/// Whoever is not on the list, and asks for a place all the same.
const STRANGER: Needs = Needs {
    carrier: Carrier::Named,
    reset: false,
    containers: true,
    counts_on: false,
};

/// A request of a player that may resume.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ask {
    pub(super) family: &'static str,
    pub(super) needs: Needs,
    pub(super) level: Level,
    /// Body bytes that it has.
    pub(super) first: u64,
    /// The last one that it wants.
    pub(super) last: Option<u64>,
    /// It wants titles.
    pub(super) icy: bool,
    /// Where it joins, if it does.
    pub(super) join: Resume,
    /// From the URL.
    pub(super) url: Option<Anchor>,
    /// It says what is not so, but for whose it is.
    pub(super) disowned: bool,
    /// From cookies.
    pub(super) cookies: Vec<Anchor>,
    /// `If-Range` or `If-Match`: the join that it says it continues.
    pub(super) names: Option<Vec<u8>>,
    /// As the client wrote it, or could have.
    pub(super) path: String,
    /// The query without our anchor.
    pub(super) query: Option<String>,
}

impl Ask {
    /// What a GET or HEAD of a listener says that has no position of its own (`join` is live, or a time shift). `None`: it gets
    /// what stock Icecast gives (R-STOCK-2).
    #[must_use]
    pub fn of(
        request: &Request<'_>,
        target: &Target<'_>,
        level: Level,
        join: Resume,
    ) -> Option<Self> {
        if level == Level::Off {
            return None;
        }
        let range = request
            .field("Range")
            .and_then(|range| Range::parse(&range));
        let named = target.query.and_then(Anchor::of_query);
        let (first, last) = match range {
            None => (0, None),
            Some(Range::From { first, last }) => {
                (first, last.filter(|last| last.saturating_add(1) < TOTAL))
            }
            Some(Range::Suffix(bytes)) => (TOTAL.saturating_sub(bytes), None),
        };
        let (family, needs) = match Family::of(request, range) {
            Some(family) => (family.name, family.needs?),
            None if named.is_some() => (
                "?",
                Needs {
                    carrier: Carrier::Redirect,
                    ..STRANGER
                },
            ),
            None if matches!(range, Some(Range::From { first: 1.., .. })) => ("?", STRANGER),
            None => return None,
        };
        let mut cookies = Anchor::of_cookies(request);
        if cookies.len() > anchor::MAX_COOKIES {
            cookies.clear();
        }
        let names = request
            .field("If-Range")
            .or_else(|| request.field("If-Match"));
        let written = request.target.split('?').next().unwrap_or_default();
        let plain = written.starts_with('/') && !written.contains([';', ',', '"']);
        Some(Self {
            family,
            needs,
            level,
            first,
            last,
            icy: request.asks_icy(),
            join,
            url: named.flatten(),
            disowned: false,
            cookies,
            names: names.map(std::borrow::Cow::into_owned),
            path: match plain {
                true => written.to_owned(),
                false => target.encoded_path(),
            },
            query: target.query.and_then(anchor::query_without),
        })
    }

    /// For logs.
    #[must_use]
    pub const fn family(&self) -> &'static str {
        self.family
    }

    /// What its family needs; for a player that is not on the list, what harms nobody.
    #[must_use]
    pub const fn needs(&self) -> Needs {
        self.needs
    }

    /// The first byte of body that it asks for, and the last if there is an end before that of the whole.
    #[must_use]
    pub const fn range(&self) -> (u64, Option<u64>) {
        (self.first, self.last)
    }

    /// It wants titles.
    #[must_use]
    pub const fn icy(&self) -> bool {
        self.icy
    }

    /// Comes back: has bytes already.
    #[must_use]
    pub const fn resumes(&self) -> bool {
        self.first > 0
    }

    /// Has heard one of these epochs, or says so.
    pub fn epochs(&self) -> impl Iterator<Item = crate::address::Epoch> {
        let anchors = self.url.iter().chain(&self.cookies);
        anchors.map(|anchor| anchor.at.epoch)
    }

    /// The join whose URL it asks.
    #[must_use]
    pub fn join(&self) -> Option<Join> {
        self.url.map(|url| url.join)
    }

    /// The joins of which it brings anchors.
    pub fn joins(&self) -> impl Iterator<Item = Join> {
        let anchors = self.url.iter().chain(&self.cookies);
        anchors.map(|anchor| anchor.join)
    }

    /// An anchor that its player may not have brought along (R-STOCK-26).
    pub fn learn(&mut self, anchor: Anchor) {
        self.cookies.push(anchor);
    }

    /// What its anchors of this join say is not so (R-STOCK-27).
    pub fn disown(&mut self, join: Join) {
        self.cookies.retain(|anchor| anchor.join != join);
        if let Some(url) = &mut self.url
            && url.join == join
        {
            self.disowned = true;
        }
    }

    /// Fields of our own upstream's answer that this player cannot bear: it did not ask for `icy-*` (R-STOCK-15).
    #[must_use]
    pub fn bears(&self, name: &str) -> bool {
        let icy = name.get(..4).is_some_and(|start| {
            start.eq_ignore_ascii_case("icy-") || start.eq_ignore_ascii_case("ice-")
        });
        self.icy || !icy
    }

    /// Whether an anchor may be the one that the request continues.
    pub(super) fn may_be(&self, join: Join) -> bool {
        let Some(names) = &self.names else {
            return true;
        };
        // A weak tag is not what was sent.
        let etag = join.etag();
        names
            .split(|&byte| byte == b',')
            .any(|tag| tag.trim_ascii() == etag.as_bytes())
    }
}
