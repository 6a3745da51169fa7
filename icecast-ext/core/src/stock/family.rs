//! Which player asks, and what it needs. Whoever is not in the table gets what stock Icecast gives.
//!
//! To add a family: cut a player while it plays, with FIN and with RST, and see what it asks for then; put a row where no row
//! above it takes its requests, with the reason; add it to the matrix in `tests/tests/players`. The shape of a request comes
//! first: names are for where shapes do not differ.

use crate::head::Request;
use crate::range::Range;

/// What a request looks like. Everything that is not `None` has to be so.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Shape {
    /// What it says in `Range`.
    pub range: Option<Span>,
    /// Whether it says `Icy-MetaData: 1`.
    pub icy: Option<bool>,
    /// It is a media element's: `Sec-Fetch-Dest` says so, or, where the page is not trustworthy and that is not sent, its
    /// `Accept-Encoding` or `Accept` are what a media element sends.
    pub element: bool,
    /// `User-Agent` has one of these in it, if there are any.
    pub agents: &'static [&'static str],
}

/// A kind of range.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Span {
    /// `bytes=0-1`
    Probe,
    /// `bytes=N-` and `bytes=N-M`, for any N.
    Any,
}

/// How an anchor travels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Carrier {
    /// In a cookie: the player's jar is its own.
    Cookie,
    /// In the URL that a redirect leads to: the player asks that one again.
    Redirect,
    /// In the URL that `Content-Location` names: somebody reads heads and asks by hand.
    Named,
}

/// What a family needs in order to resume.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Needs {
    /// How its anchor travels.
    pub carrier: Carrier,
    /// It takes a FIN for the end of the stream: an answer that it is to resume ends with RST.
    pub reset: bool,
    /// It plays Ogg and WebM that have a length. Others look for the end of the file before they play.
    pub containers: bool,
    /// It counts on to the next ICY block over an answer without `icy-metaint`. Others count anew with each answer.
    pub counts_on: bool,
}

/// A row of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Family {
    /// For logs.
    pub name: &'static str,
    /// How it is recognised.
    pub shape: Shape,
    /// What it needs; `None`: exactly what stock Icecast gives.
    pub needs: Option<Needs>,
    /// Why this row is as it is.
    pub why: &'static str,
}

const ANY: Shape = Shape {
    range: None,
    icy: None,
    element: false,
    agents: &[],
};

/// Whoever has ffmpeg's network code in it.
const FFMPEG: Needs = Needs {
    carrier: Carrier::Cookie,
    reset: false,
    containers: true,
    counts_on: false,
};

/// All families, the first that fits counts.
pub const FAMILIES: &[Family] = &[
    Family {
        name: "iOS",
        shape: Shape {
            range: Some(Span::Probe),
            ..ANY
        },
        needs: None,
        why: "probes with bytes=0-1, and shows no titles once that was answered with 206",
    },
    Family {
        name: "GStreamer",
        shape: Shape {
            agents: &["GStreamer souphttpsrc"],
            ..ANY
        },
        needs: Some(Needs {
            carrier: Carrier::Redirect,
            reset: true,
            containers: true,
            counts_on: true,
        }),
        why: "joins without Range as radios do; asks the redirect's target again after RST, or after FIN if there is a length; \
              icy-metaint makes icydemux forget a block that was cut, and without it the demuxer counts on",
    },
    Family {
        name: "wget",
        shape: Shape {
            agents: &["Wget/"],
            ..ANY
        },
        needs: Some(Needs {
            carrier: Carrier::Redirect,
            reset: true,
            containers: true,
            counts_on: false,
        }),
        why: "joins without Range as any fetch does; tries again after RST, or after FIN if there is a length",
    },
    Family {
        name: "ffmpeg, mpv",
        shape: Shape {
            range: Some(Span::Any),
            icy: Some(true),
            ..ANY
        },
        needs: Some(FFMPEG),
        why: "goes back to the original URL after a redirect, but has a cookie jar that is its own; reads the rest of a block \
              that was cut, and counts anew",
    },
    Family {
        name: "ffmpeg without ICY",
        shape: Shape {
            range: Some(Span::Any),
            icy: Some(false),
            agents: &["Lavf/", "libmpv"],
            ..ANY
        },
        needs: Some(FFMPEG),
        why: "as above; a range alone is what others send, too",
    },
    Family {
        name: "VLC",
        shape: Shape {
            range: Some(Span::Any),
            icy: Some(false),
            agents: &["VLC/"],
            ..ANY
        },
        needs: Some(Needs {
            carrier: Carrier::Redirect,
            reset: false,
            containers: true,
            counts_on: false,
        }),
        why: "asks the redirect's target again at once, whatever the end was; any icy-* field makes it begin anew without Range",
    },
    Family {
        name: "Firefox",
        shape: Shape {
            range: Some(Span::Any),
            icy: Some(false),
            element: true,
            agents: &["Firefox/"],
        },
        needs: Some(Needs {
            carrier: Carrier::Redirect,
            reset: false,
            containers: false,
            counts_on: false,
        }),
        why: "tabs share a cookie jar; a media element asks the redirect's target again, whatever the end was; looks for the end \
              of an Ogg file in steps of 32 KiB",
    },
    Family {
        name: "Chromium",
        shape: Shape {
            range: Some(Span::Any),
            icy: Some(false),
            element: true,
            agents: &["Chrome/"],
        },
        needs: Some(Needs {
            carrier: Carrier::Redirect,
            reset: true,
            containers: false,
            counts_on: false,
        }),
        why: "tabs share a cookie jar, and elements a cache by URL; a media element asks the redirect's target again after RST, or \
              after FIN if there is a length; with one, Ogg and WebM do not start by themselves",
    },
    Family {
        name: "curl",
        shape: Shape {
            range: Some(Span::Any),
            icy: Some(false),
            agents: &["curl/"],
            ..ANY
        },
        needs: Some(Needs {
            carrier: Carrier::Named,
            reset: false,
            containers: true,
            counts_on: false,
        }),
        why: "whoever writes a Range by hand follows no redirect unasked, and reads Content-Location",
    },
];

impl Family {
    /// Whose request this is; `None`: nobody's on the list. `range`: as the request says it.
    #[must_use]
    pub fn of(request: &Request<'_>, range: Option<Range>) -> Option<&'static Self> {
        let look = Look {
            range,
            icy: request.asks_icy(),
            element: is_element(request),
            agent: request
                .field("User-Agent")
                .map(|agent| String::from_utf8_lossy(&agent).into_owned())
                .unwrap_or_default(),
        };
        FAMILIES.iter().find(|family| look.fits(&family.shape))
    }
}

struct Look {
    range: Option<Range>,
    icy: bool,
    element: bool,
    agent: String,
}

impl Look {
    fn fits(&self, shape: &Shape) -> bool {
        let range = match (shape.range, self.range) {
            (None, _) => true,
            (Some(Span::Probe), Some(Range::From { first, last })) => (first, last) == (0, Some(1)),
            (Some(Span::Any), Some(_)) => true,
            (Some(_), _) => false,
        };
        range
            && shape.icy.is_none_or(|icy| icy == self.icy)
            && (!shape.element || self.element)
            && (shape.agents.is_empty()
                || shape.agents.iter().any(|agent| self.agent.contains(agent)))
    }
}

/// Whether a browser's media element asks, and neither a script nor the address bar.
fn is_element(request: &Request<'_>) -> bool {
    match request.field("Sec-Fetch-Dest") {
        Some(dest) => matches!(&*dest, b"audio" | b"video"),
        None => {
            let coding = request.field("Accept-Encoding").unwrap_or_default();
            let accept = request.field("Accept").unwrap_or_default();
            coding.starts_with(b"identity;q=1")
                || [&b"audio/"[..], b"video/"]
                    .iter()
                    .any(|media| accept.starts_with(media))
        }
    }
}
