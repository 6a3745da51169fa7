//! What the rules' tests do by hand: ask, answer, feed, take events.

use std::time::Duration;

use bytes::Bytes;
use icecast_ext_core::address::{Epoch, Offset, Position, Session};
use icecast_ext_core::client::{Client, Event, Head, Options, Request, Step};
use icecast_ext_core::field::{From, Resume, StreamOffset};
use icecast_ext_core::head::Field;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn at(epoch: u8, offset: u64) -> Position {
    Position::new(Epoch::from_bytes([epoch; 16]), Offset::new(offset).unwrap())
}

pub(crate) fn session(n: u8) -> Session {
    Session::from_bytes([n; 16])
}

pub(crate) fn stands(at: Position) -> StreamOffset {
    StreamOffset {
        at,
        prelude: 0,
        session: None,
        spliced: false,
        lost: None,
    }
}

/// What a request asked for.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) url: String,
    pub(crate) resume: Resume,
    pub(crate) icy: bool,
}

impl Asked {
    pub(crate) fn at(&self) -> Position {
        match self.resume.from {
            From::At(position) => position,
            other => panic!("{other:?} instead of a position"),
        }
    }
}

pub(crate) struct Caller {
    pub(crate) client: Client,
    pub(crate) now: Duration,
}

impl Caller {
    pub(crate) fn new(relays: &[&str], options: Options) -> Self {
        let relays = relays.iter().map(|url| (*url).to_owned());
        Self {
            client: Client::new(relays, options, 42).unwrap(),
            now: 100 * SECOND,
        }
    }

    /// One relay, no history.
    pub(crate) fn plain() -> Self {
        Self::new(
            &["http://a/live"],
            Options {
                history: 0,
                ..Options::default()
            },
        )
    }

    /// Three of them.
    pub(crate) fn three() -> Self {
        Self::new(
            &["http://a/live", "http://b/live", "http://c/live"],
            Options {
                history: 0,
                ..Options::default()
            },
        )
    }

    /// The request, without waiting.
    pub(crate) fn asks(&mut self) -> Asked {
        match self.client.poll(self.now) {
            Step::Connect(request) => read(request),
            other => panic!("{other:?} instead of a request"),
        }
    }

    /// The request, after waiting, and for how long.
    pub(crate) fn asks_later(&mut self) -> (Asked, Duration) {
        let since = self.now;
        for _ in 0..100 {
            match self.client.poll(self.now) {
                Step::Connect(request) => return (read(request), self.now - since),
                Step::Wait { until } => self.now = until,
                other => panic!("{other:?} instead of a request"),
            }
        }
        panic!("waits for ever");
    }

    /// Waits in vain for bytes until the client asks again: what, and how long that took.
    pub(crate) fn nothing_comes(&mut self) -> (Asked, Duration) {
        let since = self.now;
        loop {
            match self.client.poll(self.now) {
                Step::Connect(request) => return (read(request), self.now - since),
                Step::Read { until } | Step::Wait { until } => self.now = until,
                Step::Ended => panic!("the client has ended"),
            }
        }
    }

    pub(crate) fn answer(&mut self, status: u16, fields: &[(&str, &str)]) {
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| Field {
                name,
                value: value.as_bytes(),
            })
            .collect();
        self.client.head(
            self.now,
            &Head {
                status,
                url: None,
                fields: &fields,
            },
        );
    }

    pub(crate) fn ok(&mut self, offset: StreamOffset) {
        self.answer(200, &[("stream-offset", &offset.encode())]);
    }

    pub(crate) fn body(&mut self, bytes: &[u8]) {
        self.client.body(self.now, Bytes::copy_from_slice(bytes));
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    pub(crate) fn cut(&mut self) {
        self.client.end(self.now);
    }

    /// Joins at a position, hears some bytes, and forgets the events.
    pub(crate) fn joined(&mut self, offset: StreamOffset, audio: &[u8]) {
        assert_eq!(self.asks().resume.from, From::Live);
        self.ok(offset);
        self.body(audio);
        self.wait(2 * SECOND);
        self.events();
    }

    pub(crate) fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.client.poll_event()).collect()
    }

    /// Events but for cuts, refusals and pauses.
    pub(crate) fn stream(&mut self) -> Vec<Event> {
        let mut events = self.events();
        events.retain(|event| {
            !matches!(
                event,
                Event::Cut { .. } | Event::Refused { .. } | Event::Waiting { .. }
            )
        });
        events
    }
}

fn read(request: Request) -> Asked {
    let get = |name: &str| {
        request
            .fields
            .iter()
            .find(|(field, _)| *field == name)
            .map(|(_, value)| value)
    };
    assert!(get("Via").is_none());
    Asked {
        resume: Resume::parse(get("Resume-Offset").unwrap().as_bytes()).unwrap(),
        icy: get("Icy-MetaData").is_some(),
        url: request.url,
    }
}

pub(crate) fn audio(bytes: &[u8]) -> Event {
    Event::Audio(Bytes::copy_from_slice(bytes))
}

/// Random bytes that a test can make again.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[3]
    })
    .take(len)
    .collect()
}
