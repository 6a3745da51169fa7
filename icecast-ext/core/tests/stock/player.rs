//! A player as it was measured: how it asks, what it counts, and what it takes for audio.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use icecast_ext_core::address::Position;
use icecast_ext_core::field::Resume;
use icecast_ext_core::head::{Request, Target};
use icecast_ext_core::plan::{Cursor, Step};
use icecast_ext_core::resume::Start;
use icecast_ext_core::stock::{Ask, Join, Level, Reply, Stream, Terms};
use icecast_ext_core::timeline::Timeline;
use proptest::prelude::*;

use super::world::World;

const METAINT: NonZeroU32 = NonZeroU32::new(64).unwrap();

/// Which player.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Ffmpeg,
    FfmpegPlain,
    Vlc,
    GStreamer,
}

/// How an answer began.
pub(crate) enum Came {
    Exact,
    Lost(Start),
}

/// A byte of a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Byte {
    Audio(Position),
    /// Of a block or a prelude.
    Other(u8),
}

/// What a connection brings.
struct Body {
    server: usize,
    ready: Vec<Byte>,
    cursor: Cursor,
}

impl Body {
    fn new(server: usize, stream: &Stream) -> Self {
        let prelude = stream.start.prelude.iter();
        Self {
            server,
            ready: prelude.map(|byte| Byte::Other(*byte)).collect(),
            cursor: stream.cursor,
        }
    }

    fn fill(&mut self, timeline: &Timeline, most: usize) {
        for _ in 0..10_000 {
            if self.ready.len() >= most {
                return;
            }
            let (step, after) = self.cursor.step(timeline, most as u64, 0);
            match step {
                Step::Audio(bytes) => {
                    let at = self.cursor.at();
                    self.ready.extend((0..bytes).map(|i| {
                        Byte::Audio(Position::new(at.epoch, at.offset.saturating_add(i)))
                    }));
                }
                Step::Overhead(bytes) => {
                    self.ready
                        .extend(bytes.iter().map(|byte| Byte::Other(*byte)));
                }
                Step::Wait | Step::End(_) => return,
            }
            self.cursor = after;
        }
    }

    fn take(&mut self, timeline: &Timeline, most: usize) -> Vec<Byte> {
        self.fill(timeline, most);
        let most = most.min(self.ready.len());
        self.ready.drain(..most).collect()
    }
}

/// Counts blocks as players do.
#[derive(Default)]
struct Icy {
    metaint: usize,
    audio_left: usize,
    block_left: usize,
}

pub(crate) struct Player {
    kind: Kind,
    jar: BTreeMap<String, String>,
    target: String,
    body: Body,
    icy: Icy,
    /// All bytes of its bodies.
    got: Vec<Byte>,
    /// What it plays.
    audio: Vec<Byte>,
    /// One that is never cut.
    twin: (Body, Vec<Byte>),
}

impl Player {
    pub(crate) fn join(kind: Kind, world: &World) -> Self {
        let nothing = || Body {
            server: 0,
            ready: Vec::new(),
            cursor: Cursor::feed(world.servers[0].edge().unwrap()),
        };
        let mut player = Self {
            kind,
            jar: BTreeMap::new(),
            target: "/live".to_owned(),
            body: nothing(),
            icy: Icy::default(),
            got: Vec::new(),
            audio: Vec::new(),
            twin: (nothing(), Vec::new()),
        };
        let stream = player.ask(&world.servers[0]);
        assert_eq!(stream.status(), 200);
        player.twin.0 = Body::new(0, &stream);
        player.open(0, &stream);
        player
    }

    /// A page of another site: cookies do not come back.
    pub(crate) fn forget_cookies(&mut self) {
        self.jar.clear();
    }

    pub(crate) fn received(&self) -> usize {
        self.got.len()
    }

    fn head(&self) -> String {
        let first = self.got.len();
        let range = format!("Range: bytes={first}-\r\n");
        let (agent, fields) = match self.kind {
            Kind::Ffmpeg => ("Lavf/59", format!("Icy-MetaData: 1\r\n{range}")),
            Kind::FfmpegPlain => ("Lavf/59", range),
            Kind::Vlc => ("VLC/3.0.18 LibVLC/3.0.18", range),
            Kind::GStreamer if first == 0 => (
                "GStreamer souphttpsrc 1.22",
                "icy-metadata: 1\r\n".to_owned(),
            ),
            Kind::GStreamer => (
                "GStreamer souphttpsrc 1.22",
                format!("icy-metadata: 1\r\n{range}"),
            ),
        };
        let cookies: Vec<_> = self
            .jar
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let cookies = match cookies.is_empty() {
            true => String::new(),
            false => format!("Cookie: {}\r\n", cookies.join("; ")),
        };
        format!(
            "GET {} HTTP/1.1\r\nHost: a\r\nUser-Agent: {agent}\r\n{cookies}{fields}\r\n",
            self.target
        )
    }

    /// Asks until it gets the stream.
    fn ask(&mut self, timeline: &Timeline) -> Stream {
        for _ in 0..3 {
            let head = self.head();
            let (request, _) = Request::parse(head.as_bytes()).unwrap().unwrap();
            let target = Target::parse(request.target).unwrap();
            let ask = Ask::of(&request, &target, Level::Ranges, Resume::LIVE).expect("on the list");
            let terms = Terms {
                fresh: Join::from_bytes([7; 6]),
                metaint: METAINT,
                late: true,
            };
            match ask.decide(timeline, &terms).expect("a start") {
                Reply::Redirect { location, .. } => self.target = location,
                Reply::Stream(stream) => {
                    for (name, value) in stream.fields() {
                        if name == "Set-Cookie" {
                            let cookie = value.split(';').next().unwrap();
                            let (name, value) = cookie.split_once('=').unwrap();
                            self.jar.insert(name.to_owned(), value.to_owned());
                        }
                    }
                    return stream;
                }
                other => panic!("{other:?}"),
            }
        }
        panic!("redirected for ever");
    }

    fn open(&mut self, server: usize, stream: &Stream) {
        self.body = Body::new(server, stream);
        let icy = &mut self.icy;
        let in_block = icy.block_left > 0 || (icy.metaint > 0 && icy.audio_left == 0);
        if let Some(metaint) = stream.metaint {
            icy.metaint = metaint.get() as usize;
        }
        // ffmpeg reads on in a block, and counts anew elsewhere; GStreamer counts anew if it is told the interval.
        let anew = match self.kind {
            Kind::Ffmpeg => !in_block,
            Kind::GStreamer => stream.metaint.is_some(),
            Kind::FfmpegPlain | Kind::Vlc => false,
        };
        if anew {
            (icy.audio_left, icy.block_left) = (icy.metaint, 0);
        }
    }

    /// Cut, and back.
    pub(crate) fn come_back(&mut self, world: &World, server: usize) -> Came {
        let first = self.got.len();
        let stream = self.ask(&world.servers[server]);
        let lost = matches!(
            stream.start.kind,
            icecast_ext_core::resume::Kind::Miss { .. }
        );
        if first > 0 {
            let fields = stream.fields();
            let range = fields.iter().find(|(name, _)| *name == "Content-Range");
            let said = range.map(|(_, value)| value.as_str());
            let expected = format!("bytes {first}-999999999999/1000000000000");
            assert_eq!((stream.status(), said), (206, Some(expected.as_str())));
        }
        if lost {
            let start = stream.start.clone();
            self.open(server, &stream);
            return Came::Lost(start);
        }
        if first == 0 {
            // A join as any other.
            self.twin = (Body::new(0, &stream), Vec::new());
        }
        self.open(server, &stream);
        Came::Exact
    }

    pub(crate) fn read(&mut self, world: &World, most: usize) -> Result<(), TestCaseError> {
        let server = &world.servers[self.body.server];
        for byte in self.body.take(server, most) {
            self.got.push(byte);
            let icy = &mut self.icy;
            let audio = match (icy.metaint, icy.block_left, byte) {
                (0, ..) => true,
                (_, 1.., _) => {
                    icy.block_left -= 1;
                    if icy.block_left == 0 {
                        icy.audio_left = icy.metaint;
                    }
                    false
                }
                _ if icy.audio_left > 0 => {
                    icy.audio_left -= 1;
                    true
                }
                (_, _, Byte::Other(sixteens)) => {
                    icy.block_left = usize::from(sixteens) * 16;
                    if icy.block_left == 0 {
                        icy.audio_left = icy.metaint;
                    }
                    false
                }
                (_, _, Byte::Audio(at)) => {
                    return Err(TestCaseError::fail(format!(
                        "{at} is taken for a block's length"
                    )));
                }
            };
            let is_audio = icy.metaint == 0 || matches!(byte, Byte::Audio(_));
            prop_assert_eq!(audio, is_audio, "byte {} is {:?}", self.got.len() - 1, byte);
            if audio {
                self.audio.push(byte);
            }
        }
        Ok(())
    }

    /// What the twin has of the body, at the minter, which holds everything.
    fn twin(&mut self, world: &World, most: usize) {
        let more = self.twin.0.take(&world.servers[0], most);
        self.twin.1.extend(more);
    }

    /// Byte `n` of the body is held there, and the twin gets so far.
    pub(crate) fn could_have(&mut self, world: &World, server: usize, n: usize) -> bool {
        self.twin(world, 1 << 20);
        // Where the count begins anew with each answer, the twin's bytes stand elsewhere: its audio is what counts.
        let of = |byte: &Byte| matches!(byte, Byte::Audio(_));
        let next = match self.kind {
            Kind::Ffmpeg => self
                .twin
                .1
                .iter()
                .filter(|byte| of(byte))
                .nth(self.audio.len()),
            _ => self.twin.1.get(n),
        };
        let Some(Byte::Audio(at)) = next else {
            return false;
        };
        // Whose anchor is in the URL has no claim to the oldest (R-STOCK-28).
        let in_url = matches!(self.kind, Kind::Vlc | Kind::GStreamer);
        let run = world.servers[server].run_at(*at);
        run.is_some_and(|run| {
            let lost_some = run.window.first > run.start;
            let oldest = if in_url && lost_some {
                run.window.len() / 4
            } else {
                0
            };
            run.window.first.saturating_add(oldest) <= at.offset && at.offset < run.window.next
        })
    }

    /// It has heard what the twin has.
    pub(crate) fn compare(&mut self, world: &World) -> Result<(), TestCaseError> {
        self.twin(world, 1 << 20);
        let got = match self.kind {
            Kind::Ffmpeg => {
                let audio = |bytes: &[Byte]| -> Vec<Byte> {
                    let audio = bytes.iter().filter(|byte| matches!(byte, Byte::Audio(_)));
                    audio.copied().collect()
                };
                (audio(&self.got), audio(&self.twin.1))
            }
            _ => (self.got.clone(), self.twin.1.clone()),
        };
        prop_assert!(
            got.1.starts_with(&got.0),
            "other bytes: {:?}",
            first_difference(&got.0, &got.1)
        );
        Ok(())
    }
}

fn first_difference(a: &[Byte], b: &[Byte]) -> (usize, Option<Byte>, Option<Byte>) {
    let at = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    (at, a.get(at).copied(), b.get(at).copied())
}
