//! What a player's N means: an anchor, as it travels in a cookie or a URL.
//!
//! ```abnf
//! anchor-cookie = "icx-" join "=" token
//! anchor-query  = "_anchor=" token
//! join   = 8base64url            ; 6 octets
//! token  = 58base64url           ; 43 octets, without padding, unused bits zero:
//! octets = %x01 join-6 epoch-16 body-6 offset-7 metaint-3 crc-4  ; big-endian
//! ```

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::address::{Epoch, Offset, Position};
use crate::head::Request;

/// Cookies with such a name are ours.
const COOKIE: &str = "icx-";
/// And this query parameter.
const QUERY: &str = "_anchor";
const VERSION: u8 = 1;
const OCTETS: usize = 43;
const CHARACTERS: usize = 58;
/// The most that is looked at of one request: somebody may have it looked at often.
pub(super) const MAX_COOKIES: usize = 8;

/// Names a player's join, and what came of it: 48 random bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Join([u8; 6]);

impl Join {
    /// From 6 bytes, which the caller drew at random.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }

    /// As an entity tag names it, quotes included.
    #[must_use]
    pub fn etag(self) -> String {
        format!("\"{self}\"")
    }
}

impl fmt::Display for Join {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

/// Byte `body` of a join's body is the stream's byte `at`. It is no secret and no right: whatever it says is looked up in the
/// timeline of the mount that the request was admitted to (R-STOCK-8).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Anchor {
    /// Whose it is.
    pub join: Join,
    /// Body bytes of the join before `at`; below 2^48.
    pub body: u64,
    /// A canonical byte.
    pub at: Position,
    /// ICY blocks stand between so many bytes, counted from `at` on; below 2^24. `None`: there are none.
    pub metaint: Option<NonZeroU32>,
}

impl Anchor {
    /// As it travels.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = Vec::with_capacity(OCTETS);
        out.push(VERSION);
        out.extend_from_slice(&self.join.0);
        out.extend_from_slice(self.at.epoch.as_bytes());
        out.extend_from_slice(&self.body.to_be_bytes()[2..]);
        out.extend_from_slice(&self.at.offset.get().to_be_bytes()[1..]);
        let metaint = self.metaint.map_or(0, NonZeroU32::get);
        out.extend_from_slice(&metaint.to_be_bytes()[1..]);
        out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
        URL_SAFE_NO_PAD.encode(out)
    }

    /// What [`Anchor::encode`] wrote; `None` for anything else (R-STOCK-7).
    #[must_use]
    pub fn parse(token: &[u8]) -> Option<Self> {
        let mut octets = [0; OCTETS + 1];
        if token.len() != CHARACTERS {
            return None;
        }
        let len = URL_SAFE_NO_PAD.decode_slice(token, &mut octets).ok()?;
        let octets = octets.get(..len).filter(|_| len == OCTETS)?;
        let (said, sum) = octets.split_last_chunk::<4>()?;
        if crc32fast::hash(said) != u32::from_be_bytes(*sum) {
            return None;
        }
        let (&[VERSION], rest) = said.split_first_chunk::<1>()? else {
            return None;
        };
        let (join, rest) = rest.split_first_chunk::<6>()?;
        let (epoch, rest) = rest.split_first_chunk::<16>()?;
        let (body, rest) = rest.split_at_checked(6)?;
        let (offset, metaint) = rest.split_at_checked(7)?;
        let offset = Offset::new(number(offset))?;
        Some(Self {
            join: Join(*join),
            body: number(body),
            at: Position::new(Epoch::from_bytes(*epoch), offset),
            metaint: u32::try_from(number(metaint))
                .ok()
                .and_then(NonZeroU32::new),
        })
    }

    /// Name and value of its cookie.
    #[must_use]
    pub fn cookie(&self) -> String {
        format!("{COOKIE}{}={}", self.join, self.encode())
    }

    /// Its query parameter.
    #[must_use]
    pub fn query(&self) -> String {
        format!("{QUERY}={}", self.encode())
    }

    /// The anchors in the cookies of a request, each under the name of its own join; others are nobody's.
    pub(super) fn of_cookies(request: &Request<'_>) -> Vec<Self> {
        let cookies = request.lines("Cookie").flat_map(cookies);
        let ours = cookies.filter_map(|cookie| {
            let name = cookie.strip_prefix(COOKIE.as_bytes())?;
            let (name, token) = name.split_at_checked(8)?;
            let anchor = Self::parse(token.strip_prefix(b"=")?)?;
            (anchor.join.to_string().as_bytes() == name).then_some(anchor)
        });
        // One more than are looked at: too many are told from enough.
        ours.take(MAX_COOKIES + 1).collect()
    }

    /// The anchor in a query: `Some(None)` if there is one that is none.
    pub(super) fn of_query(query: &str) -> Option<Option<Self>> {
        let mut found = query.split('&').filter_map(value_in);
        let token = found.next()?;
        // Two are none: nobody writes that.
        let one = found.next().is_none();
        Some(Self::parse(token.as_bytes()).filter(|_| one))
    }
}

/// `query` without an anchor, for servers behind us; `None` if nothing is left (R-STOCK-9).
#[must_use]
pub fn query_without(query: &str) -> Option<String> {
    let rest: Vec<&str> = query
        .split('&')
        .filter(|part| value_in(part).is_none())
        .collect();
    Some(rest.join("&")).filter(|rest| !rest.is_empty())
}

/// A `Cookie` line without our cookies, for servers behind us; `None` if nothing is left (R-STOCK-9).
#[must_use]
pub fn without_anchors(line: &[u8]) -> Option<Cow<'_, [u8]>> {
    if memchr::memmem::find(line, COOKIE.as_bytes()).is_none() {
        return Some(Cow::Borrowed(line));
    }
    let theirs: Vec<&[u8]> = cookies(line)
        .filter(|cookie| !cookie.starts_with(COOKIE.as_bytes()) && !cookie.is_empty())
        .collect();
    (!theirs.is_empty()).then(|| Cow::Owned(theirs.join(&b"; "[..])))
}

fn value_in(parameter: &str) -> Option<&str> {
    parameter.strip_prefix(QUERY)?.strip_prefix('=')
}

fn cookies(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|&byte| byte == b';').map(<[u8]>::trim_ascii)
}

/// At most eight octets.
fn number(octets: &[u8]) -> u64 {
    octets
        .iter()
        .fold(0, |sum, &octet| sum << 8 | u64::from(octet))
}
