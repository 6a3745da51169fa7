//! What a relay answers: the product's decisions and plans, over the simulated wire.

use bytes::Bytes;
use icecast_ext_core::address::Session;
use icecast_ext_core::answer::{Answer, Head};
use icecast_ext_core::buffer::{Then, Turn};
use icecast_ext_core::head::{Request, Target, Version};
use icecast_ext_core::plan::Cursor;
use icecast_ext_core::resume::{HOLD, Refusal, Start};
use icecast_ext_core::stock::Level;
use icecast_ext_core::wanted::{Decided, Tier, Wanted};
use icecast_ext_tests::chance::Chance;

use crate::mount::Mount;
use crate::net::{ConnId, End, Net};

const DATE: &str = "Thu, 01 Jan 1970 00:00:00 GMT";
/// Of one turn.
const MOST: usize = 16 << 10;

/// A connection, and how far it has got.
#[derive(Debug)]
pub(crate) enum Serving {
    /// So far.
    Asking(Vec<u8>),
    /// Waits for its byte, since then by the relay's clock.
    Held {
        wanted: Box<Wanted>,
        asked: u64,
    },
    /// What it is owed, and where it goes on.
    Body {
        owed: Vec<Bytes>,
        cursor: Cursor,
    },
    /// It is told that there is no more.
    Last(Vec<Bytes>, End),
    Over,
}

impl Serving {
    pub(crate) fn new() -> Self {
        Self::Asking(Vec::new())
    }

    /// Whatever can be done for it now. `counted`: how often requests were held.
    pub(crate) fn step(
        &mut self,
        net: &mut Net,
        conn: ConnId,
        mount: &Mount,
        tick: u32,
        chance: &mut Chance,
        counted: &mut u64,
    ) {
        let (asked, end) = net.recv(conn, true);
        if end.is_some() {
            net.close(conn, true, End::Fin);
            *self = Self::Over;
        }
        if let Self::Asking(held) = self {
            asked.iter().for_each(|bytes| held.extend_from_slice(bytes));
            let held = std::mem::take(held);
            *self = read(held, mount);
            if matches!(self, Self::Held { .. }) {
                let before = self.decide(mount, chance);
                *counted += u64::from(before);
            }
        } else if matches!(self, Self::Held { .. }) {
            self.decide(mount, chance);
        }
        self.send(net, conn, mount, tick);
    }

    /// True if it is held, still.
    fn decide(&mut self, mount: &Mount, chance: &mut Chance) -> bool {
        let Self::Held { wanted, asked } = self else {
            return false;
        };
        let Decided { start, proof } = wanted.decide(&mount.buffer, *asked);
        let waited = mount.now.saturating_sub(*asked);
        match start {
            Err(Refusal::Soon { .. } | Refusal::Empty) if u128::from(waited) < HOLD.as_millis() => {
                return true;
            }
            Err(refusal) => {
                let window = mount.buffer.timeline.window();
                *self = last(Answer::of_refusal(refusal, window).proof(proof));
            }
            Ok(start) => {
                let Start { at, prelude, .. } = &start;
                let run = mount
                    .buffer
                    .timeline
                    .runs()
                    .rev()
                    .find(|run| run.epoch == at.epoch);
                let (format, lines) = run.map_or_else(Default::default, |run| {
                    (Some(run.format), run.fields.clone())
                });
                let format = format.unwrap_or(icecast_ext_core::codec::Format::Opaque);
                let mut offset = start.field();
                let mut session = [0; 16];
                session.copy_from_slice(&chance.bytes(16));
                offset.session = (wanted.tier == Tier::Aware).then(|| Session::from_bytes(session));
                let head = Head {
                    offset,
                    window: mount.buffer.timeline.window(),
                    proof,
                    metaint: None,
                    lines: (wanted.tier != Tier::Feed).then_some(&lines),
                    player: None,
                    path: "/live",
                    relays: &[],
                };
                let head = head.encode(Version::Http11, DATE);
                let cursor = wanted.cursor(*at, format, None);
                let owed = vec![prelude.clone(), head.into()];
                *self = Self::Body { owed, cursor };
            }
        }
        false
    }

    fn send(&mut self, net: &mut Net, conn: ConnId, mount: &Mount, tick: u32) {
        match self {
            Self::Body { owed, cursor } => {
                let mut turn = Turn::default();
                loop {
                    while let Some(bytes) = owed.pop() {
                        net.send(conn, true, bytes);
                    }
                    let room = net.room(conn, true);
                    if room < 64 {
                        return;
                    }
                    turn.clear();
                    let planned = mount.buffer.plan(*cursor, tick, room.min(MOST), &mut turn);
                    assert!(planned.is_ok(), "a byte is missing at {planned:?}");
                    // A socket that is nearly full takes a part.
                    let taken = turn.bytes().min(room);
                    let mut left = taken;
                    for piece in turn.pieces() {
                        let part = piece.slice(..left.min(piece.len()));
                        left -= part.len();
                        net.send(conn, true, part);
                    }
                    let settled = turn.settle(*cursor, taken);
                    *cursor = settled.cursor;
                    owed.extend(settled.rest);
                    match settled.then {
                        Some(Then::Wait) => return,
                        Some(Then::End(_)) => {
                            net.close(conn, true, End::Fin);
                            *self = Self::Over;
                            return;
                        }
                        Some(Then::More) | None => {}
                    }
                }
            }
            Self::Last(owed, how) => {
                for bytes in owed.drain(..) {
                    net.send(conn, true, bytes);
                }
                net.close(conn, true, *how);
                *self = Self::Over;
            }
            _ => {}
        }
    }
}

fn last(answer: Answer) -> Serving {
    let bytes = answer.encode(Version::Http11, false, DATE);
    Serving::Last(vec![bytes.into()], End::Fin)
}

fn read(held: Vec<u8>, mount: &Mount) -> Serving {
    let wanted = match Request::parse(&held) {
        Ok(None) => return Serving::Asking(held),
        Err(error) => return last(Answer::new(400, error.to_string())),
        Ok(Some((request, _))) => match Target::parse(request.target) {
            Err(error) => return last(Answer::new(400, error.to_string())),
            Ok(target) => Wanted::of(&request, &target, Level::Ranges),
        },
    };
    match wanted {
        Err(error) => last(Answer::new(400, error.to_string())),
        Ok(wanted) => Serving::Held {
            wanted: Box::new(wanted),
            asked: mount.now,
        },
    }
}
