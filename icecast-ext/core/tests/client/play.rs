//! Relays that are cut at random: what comes out is the canonical stream.

use std::time::Duration;

use bytes::Bytes;
use icecast_ext_core::address::{Offset, Position};
use icecast_ext_core::client::{Client, Event, Head, Options, Step};
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
    let mut wire: Option<Wire> = None;
    let over = Duration::from_secs(world.end() / RATE + 60);
    while now < over {
        match client.poll(now) {
            Step::Ended => panic!("{}", client.gave_up().unwrap()),
            Step::Wait { until } => {
                wire = None;
                now = until.min(over);
            }
            Step::Connect(request) => {
                let relay: usize = request.url[7..8].parse().unwrap();
                let asked = Resume::parse(request.fields[0].1.as_bytes()).unwrap();
                now += Duration::from_millis(dice.below(20));
                wire = None;
                if dice.once_in(6) {
                    client.failed(now, "reset in the head");
                } else if dice.once_in(12) {
                    client.head(
                        now,
                        &Head {
                            status: 404,
                            url: None,
                            fields: &[],
                        },
                    );
                } else {
                    wire = answer(&world, &mut client, now, relay, &asked);
                    ear.answers
                        .extend(wire.iter().map(|wire| (wire.run, wire.offset)));
                }
            }
            Step::Read { until } => {
                let Some(open) = &mut wire else {
                    now = until;
                    continue;
                };
                now += Duration::from_millis(1 + dice.below(300));
                let (bytes, end) = open.read(&world, now, 1 + dice.below(2000));
                // A cut may take away the end of what was sent.
                let cut = dice.once_in(8);
                let arrived = if cut {
                    usize::try_from(dice.below(bytes.len() as u64 + 1)).unwrap()
                } else {
                    bytes.len()
                };
                let mut bytes = Bytes::from(bytes).slice(..arrived);
                while !bytes.is_empty() {
                    let piece = bytes
                        .split_to(usize::try_from(1 + dice.below(bytes.len() as u64)).unwrap());
                    client.body(now, piece);
                }
                if end || cut {
                    wire = None;
                    if cut && dice.once_in(2) {
                        client.failed(now, "reset");
                    } else {
                        client.end(now);
                    }
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
    }
    (world, ear, client)
}

fn answer(
    world: &World,
    client: &mut Client,
    now: Duration,
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
                &Head {
                    status: 200,
                    url: None,
                    fields: &fields,
                },
            );
            client.body(now, Bytes::from_static(prelude));
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
