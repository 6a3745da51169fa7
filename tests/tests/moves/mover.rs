//! A client that is moved, how each move was proven, and what it must have heard.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use icecast_ext_client::{Event, Listener, Loss};
use icecast_ext_core::address::Position;
use icecast_ext_tests::chance::Chance;
use icecast_ext_tests::cutter::{At, Cutter, How, Next, Plan};
use icecast_ext_tests::encoder::Format;
use icecast_ext_tests::truth::{self, Verdict, find};
use icecast_ext_tests::wait::wait_for;
use tokio::task::JoinHandle;

use crate::{Course, HEARD, SOON};

/// More than a tick and a way: the client was held by a relay that did not have its byte yet, or waited for one that answers.
const AT_ONCE: Duration = Duration::from_millis(500);

/// How a client went on after a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum By {
    /// By an epoch that both relays know.
    Offset,
    /// By content, which the relay has proven.
    Anchor,
    /// Somebody declares that an epoch follows another.
    Splice,
    /// It did not: it was told that bytes are missing.
    Loss,
}

/// What was told before a piece of audio.
#[derive(Debug)]
enum Break {
    Joined(Option<Position>),
    Lost(Loss),
    /// What did not reach a minter has no address, and so nobody counts it.
    Spliced(Position),
}

impl Break {
    /// The piece begins with the first byte of an epoch: with the headers that its minter was sent.
    fn begins_epoch(&self) -> bool {
        let at = match self {
            Self::Joined(at) => *at,
            Self::Lost(loss) => loss.at,
            Self::Spliced(to) => Some(*to),
        };
        at.is_some_and(|at| at.offset.get() == 0)
    }

    /// How many bytes are missing, if that was told.
    fn told(&self) -> Option<u64> {
        match self {
            Self::Lost(loss)
                if loss
                    .after
                    .zip(loss.at)
                    .is_some_and(|(after, at)| after.epoch == at.epoch) =>
            {
                loss.bytes
            }
            _ => None,
        }
    }
}

/// Audio without a break.
#[derive(Debug)]
struct Piece {
    after: Break,
    bytes: Vec<u8>,
}

/// What a client has told.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pieces: Vec<Piece>,
    /// Whatever else was told, with the audio's length then: for whoever has to find out why it failed.
    told: Vec<(usize, String)>,
    /// Why bytes were lost.
    pub(crate) reasons: BTreeMap<String, u64>,
    /// Returns to another relay than before.
    pub(crate) moves: BTreeMap<By, u64>,
    /// Returns to the same one.
    pub(crate) returns: BTreeMap<By, u64>,
    /// Moves whose first byte was not there at once.
    pub(crate) waited: u64,
    /// Longest silence at a move.
    pub(crate) longest: Duration,
    /// When the connection ended that is made good now.
    cut: Option<Instant>,
    moved: bool,
    by: Option<By>,
}

impl Heard {
    /// True: that was a move.
    fn take(&mut self, event: Event) -> bool {
        if !matches!(event, Event::Audio(_) | Event::Prelude(_)) {
            self.told.push((self.len(), format!("{event:?}")));
        }
        match event {
            Event::Cut { .. } => {
                self.cut.get_or_insert_with(Instant::now);
            }
            Event::Moved { .. } => self.moved = true,
            Event::Anchored { .. } => self.by = Some(By::Anchor),
            Event::Joined { at, .. } => self.breaks(Break::Joined(at)),
            Event::Spliced { to, .. } => {
                self.by = Some(By::Splice);
                self.breaks(Break::Spliced(to));
            }
            Event::Stitched { .. } => panic!("every server here has addresses"),
            Event::Lost(loss) => {
                self.by = Some(By::Loss);
                *self.reasons.entry(loss.why.to_string()).or_default() += 1;
                self.breaks(Break::Lost(loss));
            }
            Event::Audio(bytes) => {
                let piece = self.pieces.last_mut().expect("it has joined");
                piece.bytes.extend_from_slice(&bytes);
                return self.goes_on();
            }
            _ => {}
        }
        false
    }

    fn breaks(&mut self, after: Break) {
        let bytes = Vec::new();
        self.pieces.push(Piece { after, bytes });
    }

    fn goes_on(&mut self) -> bool {
        let by = self.by.take();
        let Some(cut) = self.cut.take() else {
            return false;
        };
        let moved = std::mem::take(&mut self.moved);
        let count = if moved {
            &mut self.moves
        } else {
            &mut self.returns
        };
        *count.entry(by.unwrap_or(By::Offset)).or_default() += 1;
        let pause = cut.elapsed();
        if moved {
            self.waited += u64::from(pause > AT_ONCE);
            self.longest = self.longest.max(pause);
        }
        moved
    }

    /// Bytes of audio.
    pub(crate) fn len(&self) -> usize {
        self.pieces.iter().map(|piece| piece.bytes.len()).sum()
    }
}

/// A client on a wire of its own.
pub(crate) struct Mover {
    name: String,
    wire: Cutter,
    heard: Arc<Mutex<Heard>>,
    task: JoinHandle<()>,
}

impl Mover {
    /// Joins at the `n`th place, or at one after it.
    pub(crate) async fn start(
        mount: &str,
        n: usize,
        mut places: Vec<SocketAddr>,
        course: &Arc<Course>,
        mut chance: Chance,
    ) -> Self {
        let first = n % places.len();
        places.rotate_left(first);
        let planned = Arc::clone(course);
        let wire = Cutter::planned(&places, move |_| {
            let how = match chance.range(0, 20) {
                0 => How::Stall,
                1..10 => How::Fin,
                _ => How::Reset,
            };
            let at = match chance.one_in(8) {
                true => At::Head(chance.bits()),
                false => At::Body(chance.range(0, 60_000)),
            };
            let next = Next::Move;
            let cuts = planned.began.elapsed() >= HEARD && !planned.over.load(Ordering::SeqCst);
            cuts.then_some(Plan { at, how, next })
        })
        .await
        .unwrap();
        let urls = (0..places.len()).map(|front| format!("http://{}{mount}", wire.front(front)));
        // Whatever happens to it, it goes on.
        let mut listener = Listener::builder(urls).give_up_after(None).open().unwrap();
        let heard = Arc::new(Mutex::new(Heard::default()));
        let (record, course) = (Arc::clone(&heard), Arc::clone(course));
        let task = tokio::spawn(async move {
            while let Ok(event) = listener.next().await {
                if record.lock().unwrap().take(event) {
                    course.moves.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        let name = format!("mover {n} of {mount}");
        Self {
            name,
            wire,
            heard,
            task,
        }
    }

    /// The connection that was made before there were plans.
    pub(crate) fn cut(&self) {
        self.wire.cut_now(How::Reset);
    }

    /// Ends it, once it has heard some more.
    pub(crate) async fn finish(self) -> Heard {
        let len = || self.heard.lock().unwrap().len();
        let more = len() + 20_000;
        let waited = Instant::now();
        wait_for(&self.name, 4 * SOON, || {
            let heard = self.heard.lock().unwrap();
            let last = heard.told.iter().rev().take(20).rev();
            assert!(
                !self.task.is_finished() && waited.elapsed() < 3 * SOON,
                "{}: it has ended or says no more, {} bytes: {:#?}",
                self.name,
                heard.len(),
                last.collect::<Vec<_>>()
            );
            heard.len() >= more
        })
        .await;
        self.task.abort();
        std::mem::take(&mut *self.heard.lock().unwrap())
    }
}

/// Compares each piece with the truth, byte by byte; and the sizes of losses that were told with those that they have.
pub(crate) fn judge(truth: &[u8], format: Format, heard: &Heard) -> Verdict {
    let mut verdict = Verdict::default();
    let mut end = None;
    let mut before = 0;
    for Piece { after, bytes } in &heard.pieces {
        let headers = match after.begins_epoch() {
            true => truth::headers(format, bytes),
            false => 0,
        };
        let (own, audio) = bytes.split_at(headers);
        if !truth.starts_with(own) {
            eprintln!("other headers than the source's: {own:?}");
            verdict.wrong += 1;
        }
        match find(truth, audio) {
            // It ended where a break was told.
            _ if audio.is_empty() => {}
            Some(at) => {
                if let Some((end, told)) = end.zip(after.told()) {
                    // A loss of another size than was told is as bad as a byte.
                    verdict.wrong += u64::from(at as u64 != end as u64 + told);
                }
                end = Some(at + audio.len());
            }
            None => {
                let start = find(truth, &audio[..audio.len().min(512)]).unwrap_or(0);
                let found = truth::judge(truth, start, audio);
                let same = truth::first_difference(&truth[start..], audio);
                let at = before + bytes.len() - audio.len() + same;
                eprintln!("not the source's from byte {at} on: {found:?}");
                for (at, event) in &heard.told {
                    eprintln!("  {at}: {event}");
                }
                verdict.lost += found.lost;
                verdict.repeated += found.repeated;
                verdict.wrong += found.wrong;
                end = None;
            }
        }
        before += bytes.len();
    }
    verdict
}

impl Drop for Mover {
    fn drop(&mut self) {
        self.task.abort();
    }
}
