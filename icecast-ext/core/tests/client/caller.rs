//! What the rules' tests do by hand: ask, answer, feed, take events.

use std::time::Duration;

use bytes::Bytes;
use icecast_ext_core::address::{Epoch, Offset, Position, Session};
use icecast_ext_core::client::{Client, Conn, Event, Head, Move, Options, Proven, Request, Step};
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
    pub(crate) conn: Conn,
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
    /// The connection that was asked for last.
    pub(crate) conn: Option<Conn>,
}

impl Caller {
    pub(crate) fn new(relays: &[&str], options: Options) -> Self {
        let relays = relays.iter().map(|url| (*url).to_owned());
        Self {
            client: Client::new(relays, options, 42).unwrap(),
            now: 100 * SECOND,
            conn: None,
        }
    }

    /// One relay, no history.
    pub(crate) fn plain() -> Self {
        Self::new(
            &["http://a/live"],
            Options {
                history: 0,
                race: None,
                ..Options::default()
            },
        )
    }

    /// Three of them, one connection at a time.
    pub(crate) fn three() -> Self {
        Self::new(
            &["http://a/live", "http://b/live", "http://c/live"],
            Options {
                history: 0,
                race: None,
                ..Options::default()
            },
        )
    }

    /// The request, without waiting.
    pub(crate) fn asks(&mut self) -> Asked {
        match self.client.poll(self.now) {
            Step::Connect(request) => self.read(request),
            other => panic!("{other:?} instead of a request"),
        }
    }

    /// The request, after waiting, and for how long.
    pub(crate) fn asks_later(&mut self) -> (Asked, Duration) {
        let since = self.now;
        for _ in 0..100 {
            match self.client.poll(self.now) {
                Step::Connect(request) => return (self.read(request), self.now - since),
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
                Step::Connect(request) => return (self.read(request), self.now - since),
                Step::Read { until } | Step::Wait { until } => self.now = until,
                Step::Ended => panic!("the client has ended"),
            }
        }
    }

    /// Waits until the client asks besides, or has other things to do.
    pub(crate) fn reads_until(&mut self) -> Duration {
        match self.client.poll(self.now) {
            Step::Read { until } => until,
            other => panic!("{other:?} instead of reading"),
        }
    }

    /// Speaks of this connection from now on.
    pub(crate) fn on(&mut self, asked: &Asked) -> &mut Self {
        self.conn = Some(asked.conn);
        self
    }

    pub(crate) fn answer(&mut self, status: u16, fields: &[(&str, &str)]) {
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| Field {
                name,
                value: value.as_bytes(),
            })
            .collect();
        let conn = self.conn();
        self.client.head(
            self.now,
            conn,
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
        let conn = self.conn();
        self.client
            .body(self.now, conn, Bytes::copy_from_slice(bytes));
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    pub(crate) fn cut(&mut self) {
        let conn = self.conn();
        self.client.end(self.now, conn);
    }

    pub(crate) fn failed(&mut self, why: &str) {
        let conn = self.conn();
        self.client.failed(self.now, conn, why);
    }

    fn conn(&self) -> Conn {
        self.conn.expect("a connection")
    }

    fn read(&mut self, request: Request) -> Asked {
        self.conn = Some(request.conn);
        read(request)
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
        conn: request.conn,
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

/// A move that an offset proves.
pub(crate) fn moved(from: &str, to: &str, took: Duration) -> Event {
    Event::Moved(Move {
        from: format!("http://{from}/live"),
        to: format!("http://{to}/live"),
        proof: Some(Proven::Offset),
        lost: None,
        took,
    })
}
