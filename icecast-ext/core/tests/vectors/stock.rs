//! `stock.json`

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use icecast_ext_core::field::Resume;
use icecast_ext_core::head::{Request, Target};
use icecast_ext_core::plan::Step;
use icecast_ext_core::range::ContentRange;
use icecast_ext_core::resume::{Kind, Refusal};
use icecast_ext_core::stock::{self, Ask, Join, Reply, Stream, TOTAL, Terms};
use icecast_ext_core::timeline::Timeline;
use icecast_ext_spec::vector::stock::{
    Anchor, At, Carrier, Family, Level, Owed, Place, Player, Reply as Answer, Resumed, Stock,
};
use icecast_ext_spec::vector::{self, Error, Parts};

use super::decision::timeline;
use super::{all, position};

fn file() -> Stock {
    vector::stock().expect("stock.json")
}

fn join(text: &str) -> Join {
    let octets = URL_SAFE_NO_PAD.decode(text).expect("base64");
    Join::from_bytes(octets.try_into().expect("6 octets"))
}

fn anchor(anchor: &Anchor) -> stock::Anchor {
    stock::Anchor {
        join: join(&anchor.join),
        body: anchor.body,
        at: position(&anchor.epoch, anchor.offset),
        metaint: NonZeroU32::new(anchor.metaint),
    }
}

fn level(level: Level) -> stock::Level {
    match level {
        Level::Off => stock::Level::Off,
        Level::Ranges => stock::Level::Ranges,
        Level::Full => stock::Level::Full,
    }
}

fn ask(head: &[u8], level: stock::Level) -> Option<Ask> {
    let (request, length) = Request::parse(head).expect("a head").expect("all of it");
    assert_eq!(length, head.len());
    let target = Target::parse(request.target).expect("a target");
    Ask::of(&request, &target, level, Resume::LIVE)
}

fn terms(file: &Stock) -> Terms {
    Terms {
        fresh: join(&file.join),
        metaint: NonZeroU32::new(file.metaint).expect("an interval"),
        late: false,
    }
}

#[test]
fn anchors() {
    all(&file().anchor, |token, expect| {
        // Octets of a field are those of the text in UTF-8 here.
        let got = stock::Anchor::parse(token.text().as_bytes()).ok_or(Error::Malformed);
        if let Ok(got) = &got {
            assert_eq!(got.encode(), token.text());
            assert_eq!(got.cookie(), format!("icx-{}={}", got.join, token.text()));
            assert_eq!(got.query(), format!("_anchor={}", token.text()));
        }
        (got, expect.as_ref().map(anchor).map_err(|error| *error))
    });
}

#[test]
fn families() {
    all(&file().family, |input, expect| {
        let head = input.head.octets().expect("octets");
        let got = match ask(&head, level(input.level)) {
            None => Family::Stock,
            Some(ask) => {
                let (first, last) = ask.range();
                Family::Player(Player {
                    carrier: match ask.needs().carrier {
                        stock::Carrier::Cookie => Carrier::Cookie,
                        stock::Carrier::Redirect => Carrier::Url,
                        stock::Carrier::Named => Carrier::Named,
                    },
                    reset: ask.needs().reset,
                    first,
                    last,
                    icy: ask.icy(),
                })
            }
        };
        (Ok(got), expect.clone())
    });
}

/// A head that says what the case does, of a player that there is.
fn head(input: &Resumed) -> Vec<u8> {
    let agent = match (input.carrier, input.counts_on, input.icy) {
        (Carrier::Cookie, false, _) => "Lavf/59.27.100",
        (Carrier::Url, true, _) => "GStreamer souphttpsrc 1.22.0 libsoup/2.74.3",
        (Carrier::Url, false, false) => "VLC/3.0.24 LibVLC/3.0.24",
        other => panic!("no player is like {other:?}"),
    };
    let query = input
        .url
        .as_ref()
        .map(|url| format!("?{}", anchor(url).query()));
    let mut lines = vec![
        format!("GET /live{} HTTP/1.1", query.unwrap_or_default()),
        "Host: radio.example".to_owned(),
        format!("User-Agent: {agent}"),
        format!("Range: bytes={}-", input.byte),
    ];
    if input.icy {
        lines.push("Icy-MetaData: 1".to_owned());
    }
    let cookies = input.cookies.iter().map(|cookie| anchor(cookie).cookie());
    lines.extend(cookies.map(|cookie| format!("Cookie: {cookie}")));
    let names = [("If-Range", &input.if_range), ("If-Match", &input.if_match)];
    for (name, value) in names {
        lines.extend(value.iter().map(|value| format!("{name}: {value}")));
    }
    format!("{}\r\n\r\n", lines.join("\r\n")).into_bytes()
}

/// What the body of an answer is, as far as the case says it.
fn at(timeline: &Timeline, stream: &Stream, expect: &Result<Place, Error>) -> At {
    let mut owed = stream.start.prelude.to_vec();
    let mut cursor = stream.cursor;
    let mut step = |audio: u64| {
        let (step, after) = cursor.step(timeline, audio, 0);
        let before = std::mem::replace(&mut cursor, after);
        (step, before.at())
    };
    let mut first = None;
    let mut audio = 0;
    let mut then = None;
    while then.is_none() {
        match step(u64::MAX) {
            (Step::Overhead(bytes), _) if first.is_none() => owed.extend_from_slice(&bytes),
            // Over a splice without a prelude.
            (Step::Overhead(bytes), _) if bytes.is_empty() => {}
            (Step::Overhead(bytes), _) => {
                let text = bytes[1..].iter().take_while(|byte| **byte != 0);
                then = Some((audio, Parts::Text(text.copied().map(char::from).collect())));
            }
            (Step::Audio(bytes), at) => {
                first = first.or(Some(at));
                audio += bytes;
            }
            (Step::Wait | Step::End(_), _) => break,
        }
    }
    let first = first.expect("a second of audio");
    let prelude = matches!(
        expect,
        Ok(Place::At(At {
            owed: Some(Owed::Prelude(_)),
            ..
        }))
    );
    At {
        epoch: first.epoch.to_string(),
        offset: first.offset.get(),
        owed: match owed.len() as u64 {
            0 => None,
            length if prelude => Some(Owed::Prelude(length)),
            _ => Some(Owed::Block(Parts::Text(
                owed.iter().map(|octet| format!("{octet:02x}")).collect(),
            ))),
        },
        restart: stream.metaint.is_some(),
        then: then.filter(|_| stream.anchor.metaint.is_some()),
    }
}

#[test]
fn places() {
    let file = file();
    all(&file.place, |input, expect| {
        let timeline = timeline(&file.mounts[&input.mount]);
        let ask = ask(&head(input), stock::Level::Ranges).expect("a player");
        assert_eq!(ask.range(), (input.byte, None));
        let got = match ask.decide(&timeline, &terms(&file)) {
            Err(Refusal::Soon { .. } | Refusal::Empty) => Place::Hold,
            Err(other) => panic!("{other}"),
            Ok(Reply::Redirect { lost: Some(_), .. }) => Place::Lost,
            Ok(Reply::Stream(stream)) => match stream.start.kind {
                Kind::Miss { .. } => Place::Lost,
                _ => Place::At(at(&timeline, &stream, expect)),
            },
            Ok(other) => panic!("{other:?}"),
        };
        (Ok(got), expect.clone())
    });
}

fn fields(stream: &Stream) -> BTreeMap<String, String> {
    let said = stream.fields().into_iter().map(|(name, value)| {
        // Of a cookie's attributes the path alone is the spec's.
        let value = match (name, value.split_once("; ")) {
            ("Set-Cookie", Some((cookie, rest))) => {
                assert!(rest.split("; ").any(|part| part == "Path=/live.mp3"));
                cookie.to_owned()
            }
            _ => value,
        };
        (name.to_owned(), value)
    });
    let metaint = stream.metaint.map(|metaint| metaint.to_string());
    said.chain(metaint.map(|metaint| ("icy-metaint".to_owned(), metaint)))
        .collect()
}

#[test]
fn answers() {
    let file = file();
    all(&file.answer, |input, expect| {
        let timeline = timeline(&file.mounts[&input.mount]);
        let head = input.head.octets().expect("octets");
        let ask = ask(&head, level(input.level)).expect("a player");
        let (status, fields) = match ask.decide(&timeline, &terms(&file)) {
            Ok(Reply::Stream(stream)) => (stream.status(), fields(&stream)),
            Ok(Reply::Redirect { location, .. }) => {
                (302, BTreeMap::from([("Location".to_owned(), location)]))
            }
            Ok(Reply::Tail { first, last }) => {
                let total = Some(TOTAL);
                let range = ContentRange::Bytes { first, last, total };
                let range = ("Content-Range".to_owned(), range.to_string());
                (206, BTreeMap::from([range]))
            }
            Ok(Reply::Beyond) => (416, BTreeMap::new()),
            Err(refusal) => panic!("{refusal}"),
        };
        (Ok(Answer { status, fields }), expect.clone())
    });
}
