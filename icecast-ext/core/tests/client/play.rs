//! Relays that are cut at random: what comes out is the canonical stream.

use std::time::Duration;

use bytes::Bytes;
use icecast_ext_core::address::{Offset, Position};
use icecast_ext_core::client::{Client, Conn, Event, Head, Options, Step};
use icecast_ext_core::field::{Resume, StreamOffset};
use icecast_ext_core::head::Field;
use proptest::prelude::*;

use crate::model::{Dice, METAINT, PRELUDE, RATE, Verdict, Wire, World};

/// What the listener should hear.
#[derive(Default)]
struct Ear {
    next: Option<(usize, u64)>,
    titles: Vec<(usize, u64)>,
    /// Stretches heard without a hole.
    heard: Vec<(usize, u64, u64)>,
    /// Where answers began.
    answers: Vec<(usize, u64)>,
}

impl Ear {
    fn go(&mut self, to: Position) {
        let to = (World::run(to.epoch), to.offset.get());
        self.next = Some(to);
        self.heard.push((to.0, to.1, to.1));
    }

    fn hear(&mut self, world: &World, event: Event) {
        match event {
            Event::Joined { at, .. } => self.go(at.unwrap()),
            Event::Audio(bytes) => {
                let (run, offset) = self.next.unwrap();
                let from = usize::try_from(offset).unwrap();
                assert_eq!(bytes, world.runs[run].bytes[from..from + bytes.len()]);
                self.next = Some((run, offset + bytes.len() as u64));
                self.heard.last_mut().unwrap().2 += bytes.len() as u64;
            }
            Event::Spliced { from, to } => {
                let (run, offset) = self.next.unwrap();
                assert_eq!((run, offset), (World::run(from.epoch), from.offset.get()));
                let to_place = (World::run(to.epoch), to.offset.get());
                assert_eq!(world.between((run, offset), to_place), Some(0));
                self.go(to);
            }
            Event::Lost(loss) => {
                let to = loss.at.unwrap();
                let place = (World::run(to.epoch), to.offset.get());
                let before = self.next.unwrap();
                assert!(place > before, "{before:?} {place:?}");
                if let Some(bytes) = loss.bytes {
                    assert_eq!(world.between(before, place), Some(bytes));
                } else {
                    assert_ne!(before.0, place.0);
                }
                self.go(to);
            }
            Event::Prelude(bytes) => assert_eq!(bytes, PRELUDE),
            Event::Title(title) => {
                let at = title.at.unwrap();
                let (run, offset) = (World::run(at.epoch), at.offset.get());
                let text = String::from_utf8(title.text.to_vec()).unwrap();
                assert!(world.runs[run].titles.contains(&(offset, text)));
                assert!(self.titles.last().is_none_or(|last| *last < (run, offset)));
                self.titles.push((run, offset));
            }
            Event::Note(note) => panic!("{note:?}"),
            _ => {}
        }
    }
}

/// Plays a script to the source's end.
fn play(seed: u64, declared: bool, held: u64) -> (World, Ear, Client) {
    let mut dice = Dice(seed | 1);
    let world = World::new(&mut dice, declared, held);
    let urls = (0..world.relays.len()).map(|n| format!("http://{n}/live"));
    let options = Options {
        icy: world.icy,
        history: 0,
        silence: Duration::from_secs(5),
        give_up_after: None,
        ..Options::default()
    };
    let mut client = Client::new(urls, options, seed).unwrap();
    let mut ear = Ear::default();
    let mut now = Duration::from_secs(3);
    let mut lines: Vec<Line> = Vec::new();
    let over = Duration::from_secs(world.end() / RATE + 60);
    while now < over {
        lines.retain(|line| client.uses(line.conn));
        assert!(lines.len() <= 2);
        match client.poll(now) {
            Step::Ended => panic!("{}", client.gave_up().unwrap()),
            Step::Wait { until } => now = until.min(over),
            Step::Connect(request) => {
                let slow = match dice.below(12) {
                    0..8 => dice.below(20),
                    8..11 => dice.below(2000),
                    // It accepts, and never answers.
                    _ => 1 << 40,
                };
                lines.push(Line {
                    conn: request.conn,
                    relay: request.url[7..8].parse().unwrap(),
                    asked: Resume::parse(request.fields[0].1.as_bytes()).unwrap(),
                    answers_at: now + Duration::from_millis(slow),
                    wire: None,
                    told: false,
                });
            }
            Step::Read { .. } => {
                now += Duration::from_millis(1 + dice.below(300));
                if dice.once_in(30) {
                    let _ = client.move_on(now);
                } else if dice.once_in(60) {
                    let relay = dice.below(world.relays.len() as u64);
                    client
                        .move_to(now, &format!("http://{relay}/live"))
                        .unwrap();
                }
                let n = dice.below(2);
                if let Some(line) = lines.get_mut(usize::try_from(n).unwrap()) {
                    line.go(&world, &mut client, &mut dice, now);
                }
            }
        }
        while let Some(event) = client.poll_event() {
            ear.hear(&world, event);
            let place = client
                .position()
                .map(|at| (World::run(at.epoch), at.offset.get()));
            assert_eq!(place, ear.next);
        }
        // What the client never took its audio from has told it no titles.
        let first = client.first();
        for line in lines.iter_mut().filter(|line| Some(line.conn) == first) {
            if let (Some((_, start)), false) = (&line.wire, line.told) {
                line.told = true;
                ear.answers.push(*start);
            }
        }
    }
    (world, ear, client)
}

/// A connection of the client's.
struct Line {
    conn: Conn,
    relay: usize,
    asked: Resume,
    answers_at: Duration,
    /// And where it began.
    wire: Option<(Wire, (usize, u64))>,
    /// It is among the ear's answers.
    told: bool,
}

impl Line {
    /// What it does next.
    fn go(&mut self, world: &World, client: &mut Client, dice: &mut Dice, now: Duration) {
        let Some((wire, _)) = &mut self.wire else {
            if self.answers_at <= now {
                self.answer(world, client, dice, now);
            }
            return;
        };
        let (bytes, end) = wire.read(world, now, 1 + dice.below(2000));
        // A cut may take away the end of what was sent.
        let cut = dice.once_in(8);
        let arrived = if cut {
            usize::try_from(dice.below(bytes.len() as u64 + 1)).unwrap()
        } else {
            bytes.len()
        };
        let mut bytes = Bytes::from(bytes).slice(..arrived);
        while !bytes.is_empty() {
            let most = usize::try_from(1 + dice.below(bytes.len() as u64)).unwrap();
            client.body(now, self.conn, bytes.split_to(most));
        }
        if cut && dice.once_in(2) {
            client.failed(now, self.conn, "reset");
        } else if end || cut {
            client.end(now, self.conn);
        }
    }

    fn answer(&mut self, world: &World, client: &mut Client, dice: &mut Dice, now: Duration) {
        let mut head = |status| {
            let head = Head {
                status,
                url: None,
                fields: &[],
            };
            client.head(now, self.conn, &head);
        };
        match dice.below(12) {
            0..2 => client.failed(now, self.conn, "reset in the head"),
            2 => head(404),
            _ => {
                let wire = answer(world, client, (now, self.conn), self.relay, &self.asked);
                self.wire = wire.map(|wire| {
                    let start = (wire.run, wire.offset);
                    (wire, start)
                });
            }
        }
    }
}

fn answer(
    world: &World,
    client: &mut Client,
    (now, conn): (Duration, Conn),
    relay: usize,
    asked: &Resume,
) -> Option<Wire> {
    match world.resolve(relay, now, asked) {
        Verdict::Status(status) => {
            let window = world.window(relay, now).encode();
            let fields = [Field {
                name: "Stream-Window",
                value: window.as_bytes(),
            }];
            client.head(
                now,
                conn,
                &Head {
                    status,
                    url: None,
                    fields: &fields,
                },
            );
            None
        }
        Verdict::Start {
            run,
            offset,
            spliced,
            lost,
            prelude,
        } => {
            let prelude = if prelude && !world.icy { PRELUDE } else { b"" };
            let field = StreamOffset {
                at: Position::new(World::epoch(run), Offset::new(offset).unwrap()),
                prelude: prelude.len() as u64,
                session: None,
                spliced,
                lost,
            };
            let encoded = field.encode();
            let window = world.window(relay, now).encode();
            let mut fields = vec![
                Field {
                    name: "Stream-Offset",
                    value: encoded.as_bytes(),
                },
                Field {
                    name: "Stream-Window",
                    value: window.as_bytes(),
                },
            ];
            if world.icy {
                fields.push(Field {
                    name: "icy-metaint",
                    value: b"64",
                });
            }
            client.head(
                now,
                conn,
                &Head {
                    status: 200,
                    url: None,
                    fields: &fields,
                },
            );
            client.body(now, conn, Bytes::from_static(prelude));
            Some(Wire {
                relay,
                run,
                offset,
                phase: 0,
                shown: None,
            })
        }
    }
}

/// Whether an answer of the run got as far as a block at or after `at`: who is cut before each block learns nothing.
fn block_came(ear: &Ear, run: usize, at: u64, to: u64) -> bool {
    let period = METAINT as u64;
    let of_run = ear.answers.iter().filter(|(of, _)| *of == run);
    let starts: Vec<u64> = of_run.map(|(_, start)| *start).collect();
    let ends = starts.iter().skip(1).chain([&to]);
    let mut furthest = 0;
    starts.iter().zip(ends).any(|(start, end)| {
        // Whoever answers from before what the client has, or is followed by one who does, proves nothing.
        let useful = *start >= furthest && end >= start;
        furthest = furthest.max(*start);
        let blocks = at.saturating_sub(*start).div_ceil(period).max(1);
        useful && start + blocks * period < *end
    })
}

/// Every title of what was heard was told.
fn all_titles(world: &World, ear: &Ear) {
    for (run, from, to) in ear.heard.iter().filter(|_| world.icy) {
        for (at, text) in &world.runs[*run].titles {
            // The last ones may still be waiting for their block.
            if from <= at
                && *to == world.runs[*run].bytes.len() as u64
                && block_came(ear, *run, *at, *to)
            {
                assert!(
                    ear.titles.contains(&(*run, *at)),
                    "{text} at {at} in {from}..{to}; answers at {:?}",
                    ear.answers
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn cuts_and_moves_lose_and_repeat_nothing(seed: u64) {
        let (world, ear, client) = play(seed, true, 1 << 30);
        let stats = client.stats();
        prop_assert_eq!((stats.losses, stats.lost_bytes), (0, 0));
        // All that there was, to the end.
        let last = world.runs.len() - 1;
        prop_assert_eq!(ear.next, Some((last, world.runs[last].bytes.len() as u64)));
        all_titles(&world, &ear);
    }

    #[test]
    fn losses_are_told_exactly(seed: u64) {
        let (world, ear, client) = play(seed, false, 2500);
        prop_assert!(client.stats().audio_bytes > 0);
        all_titles(&world, &ear);
    }
}
