//! The main job: cut a listener anywhere, at any relay of the tree, and not one byte is lost or repeated.
//!
//! One Icecast with six formats, a proxy before it, two relays behind the proxy, and eight clients that are cut a hundred
//! times each. Half of the cuts are followed by a move to the other relay.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use icecast_ext_tests::chance::Chance;
use icecast_ext_tests::cutter::{At, Cut, Cutter, How, Next, Plan};
use icecast_ext_tests::encoder::{Encoder, Format, Setup};
use icecast_ext_tests::heard::{Heard, Hearing};
use icecast_ext_tests::icecast::Icecast;
use icecast_ext_tests::metadata::set_title;
use icecast_ext_tests::proxy::Proxy;
use icecast_ext_tests::tap::Tap;
use icecast_ext_tests::truth::{Verdict, decode_errors, find, judge, sha256, whole_units};
use icecast_ext_tests::wait::{wait_for, wait_until};
use tokio::task::JoinSet;

const CUTS: usize = 100;
const SOON: Duration = Duration::from_secs(20);
/// A client that gets nowhere in this time is stuck.
const LONG: Duration = Duration::from_secs(280);

/// What can be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Fin,
    Reset,
    Head,
    Block,
    Stall,
}

/// A hundred plans, then none: kinds in turn so that each has its share, places and moves at random.
fn plans(mut chance: Chance, icy: bool) -> impl FnMut(usize) -> Option<Plan> + Send + 'static {
    let mut left = Vec::new();
    for i in 0..CUTS {
        let kind = match i % 20 {
            0..3 => Kind::Head,
            3..9 if icy => Kind::Block,
            3..12 => Kind::Reset,
            _ => Kind::Fin,
        };
        left.push(if i % 33 == 32 { Kind::Stall } else { kind });
    }
    let mut number = 0;
    move |_| {
        let pick = chance.range(0, left.len() as u64) as usize;
        let kind = (!left.is_empty()).then(|| left.swap_remove(pick))?;
        let how = match kind {
            Kind::Fin => How::Fin,
            Kind::Stall => How::Stall,
            Kind::Reset => How::Reset,
            Kind::Head | Kind::Block if chance.one_in(2) => How::Reset,
            Kind::Head | Kind::Block => How::Fin,
        };
        let at = match kind {
            Kind::Head => At::Head(chance.bits()),
            Kind::Block => At::Block(chance.bits()),
            // Now and then the very first bytes.
            _ if chance.one_in(8) => At::Body(chance.range(0, 8)),
            _ => At::Body(chance.range(1, 50_000)),
        };
        number += 1;
        let next = if number % 2 == 0 {
            Next::Move
        } else {
            Next::Stay
        };
        Some(Plan { at, how, next })
    }
}

fn kind(cut: &Cut) -> Kind {
    match (cut.plan.at, cut.plan.how) {
        (_, How::Stall) => Kind::Stall,
        (At::Head(_), _) => Kind::Head,
        (At::Block(_), _) => Kind::Block,
        (At::Body(_), How::Fin) => Kind::Fin,
        (At::Body(_), How::Reset) => Kind::Reset,
    }
}

/// A line of the matrix.
struct Line {
    name: String,
    cuts: Vec<Cut>,
    moves: u64,
    bytes: usize,
    verdict: Verdict,
    losses: usize,
}

struct Tree {
    icecast: Icecast,
    minter: Proxy,
    relays: [Proxy; 2],
}

impl Tree {
    async fn grow() -> Self {
        let icecast = Icecast::start().await.expect("icecast starts");
        let minter = Proxy::start(icecast.addr())
            .await
            .expect("the proxy starts");
        let one = Proxy::start(minter.addr()).await.expect("a relay starts");
        let two = Proxy::start(minter.addr()).await.expect("a relay starts");
        Self {
            icecast,
            minter,
            relays: [one, two],
        }
    }

    fn addrs(&self) -> [std::net::SocketAddr; 4] {
        let [one, two] = &self.relays;
        [
            self.icecast.addr(),
            self.minter.addr(),
            one.addr(),
            two.addr(),
        ]
    }
}

/// Icecast closes on a listener who comes before the stream's headers.
async fn first_tap(icecast: std::net::SocketAddr, mount: &str) -> Tap {
    wait_until("icecast's answer", SOON, async || {
        let tap = Tap::open(icecast, mount, &[]).await.ok()?;
        (tap.head.status == 200).then_some(tap)
    })
    .await
}

/// A client that is cut, next to one that is not.
struct Trial {
    name: String,
    format: Format,
    wire: Cutter,
    hearing: Hearing,
    /// Of the minter, from the client's first byte on.
    uncut: Tap,
    /// Straight from Icecast, since before.
    direct: Tap,
    /// Uncut listeners at the minter and at both relays, for titles.
    others: Vec<Tap>,
}

impl Trial {
    async fn start(
        tree: [std::net::SocketAddr; 4],
        format: Format,
        icy: bool,
        chance: Chance,
    ) -> Self {
        let [icecast, minter, one, two] = tree;
        let mount = format.mount();
        let direct = first_tap(icecast, mount).await;
        let wire = Cutter::planned(&[one, two], plans(chance, icy))
            .await
            .expect("a wire");
        let urls = [0, 1].map(|front| format!("http://{}{mount}", wire.front(front)));
        let hearing = Hearing::start(&urls, icy).expect("a client");
        let place = hearing.joined(SOON).await;
        let ask = format!("{};epoch=\"{}\"", place.offset.get(), place.epoch);
        let mut fields = vec![("Resume-Offset", ask.as_str())];
        let uncut = Tap::open(minter, mount, &fields)
            .await
            .expect("the minter answers");
        assert_eq!(
            uncut.head.place().expect("a place").offset,
            place.offset.get()
        );
        let mut others = Vec::new();
        if icy {
            fields.push(("Icy-MetaData", "1"));
            for addr in [minter, one, two] {
                others.push(Tap::open(addr, mount, &fields).await.expect("an answer"));
            }
        }
        let name = format!("{format:?}{}", if icy { " + ICY" } else { "" });
        Self {
            name,
            format,
            wire,
            hearing,
            uncut,
            direct,
            others,
        }
    }

    async fn run(self, sent: impl Fn() -> Vec<u8>) -> Line {
        let name = self.name.clone();
        wait_for(&format!("{name}: {CUTS} cuts"), LONG, || {
            assert!(
                !self.hearing.gave_up(),
                "{name}: {:?}",
                self.hearing.heard().last
            );
            self.wire.cuts().len() >= CUTS
        })
        .await;
        let more = self.hearing.len() + 100_000;
        wait_for(&format!("{name}: what comes after"), SOON, || {
            self.hearing.len() >= more
        })
        .await;
        let heard = self.hearing.stop();
        let bytes = heard.audio.len();
        self.uncut.wait_len(bytes, SOON).await;
        self.direct.wait_more(100_000, SOON).await;

        let uncut = self.uncut.audio();
        let verdict = judge(&uncut, 0, &heard.audio);
        let line = Line {
            name,
            cuts: self.wire.cuts(),
            moves: heard.moves,
            bytes,
            verdict,
            losses: heard.losses.len(),
        };
        if !verdict.is_exact() || !heard.losses.is_empty() {
            eprintln!("{}: {verdict:?} {:?}", self.name, heard.losses);
            return line;
        }
        assert_eq!(
            sha256(&heard.audio),
            sha256(&uncut[..bytes]),
            "{}",
            self.name
        );
        let truth = if self.format.is_raw() {
            sent()
        } else {
            self.direct.body()
        };
        assert!(
            find(&truth, &heard.audio).is_some(),
            "{} is not what was sent",
            self.name
        );
        self.decodes(&heard);
        if !self.others.is_empty() {
            self.titles(&heard).await;
        }
        line
    }

    fn decodes(&self, heard: &Heard) {
        let scratch = icecast_ext_tests::child::Scratch::new("heard").expect("a directory");
        let file = scratch.file("stitched");
        std::fs::write(&file, whole_units(self.format, &heard.file)).expect("a file");
        assert_eq!(decode_errors(&file), "", "{} does not decode", self.name);
    }

    /// Every title once, in order, and at one offset at every relay.
    async fn titles(&self, heard: &Heard) {
        let titles: Vec<_> = heard
            .titles
            .iter()
            .map(|(at, text)| (at.expect("a place"), text.clone()))
            .collect();
        // Until the first is set there is an empty one.
        let titles: Vec<_> = titles
            .into_iter()
            .filter(|(_, text)| !text.is_empty())
            .collect();
        let mut sorted = titles.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!(titles, sorted, "{}: in order, and each once", self.name);
        let numbers: Vec<usize> = titles
            .iter()
            .filter_map(|(_, text)| text.strip_prefix("Title ")?.parse().ok())
            .collect();
        assert_eq!(numbers.len(), titles.len(), "{titles:?}");
        assert!(numbers.len() > 10, "{}: only {titles:?}", self.name);
        assert!(
            numbers.windows(2).all(|two| two[0] + 1 == two[1]),
            "{}: {numbers:?}",
            self.name
        );
        for tap in &self.others {
            tap.wait_more(100_000, SOON).await;
            let placed: BTreeSet<_> = tap
                .titles()
                .iter()
                .flat_map(|block| block.placed())
                .collect();
            let texts: BTreeSet<_> = placed.iter().map(|(_, text)| text).collect();
            assert_eq!(texts.len(), placed.len(), "one place each: {placed:?}");
            let missing: Vec<_> = titles
                .iter()
                .filter(|title| !placed.contains(title))
                .collect();
            assert!(
                missing.is_empty(),
                "{}: elsewhere at another relay: {missing:?} of {placed:?}",
                self.name
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_cuts_in_each_format_lose_and_repeat_nothing() {
    let mut chance = Chance::seeded("cuts");
    let tree = Tree::grow().await;
    let mut encoders = BTreeMap::new();
    for format in Format::ALL {
        let setup = Setup {
            kbps: 256,
            seed: 1 + chance.range(0, 1000),
            ..Setup::new(format)
        };
        let encoder = Encoder::start(tree.icecast.addr(), format.mount(), setup).unwrap();
        tree.icecast.wait_mount(format.mount()).await;
        encoders.insert(format, std::sync::Arc::new(encoder));
    }
    let icecast = tree.icecast.addr();
    let titles = tokio::spawn(async move {
        let mut every = tokio::time::interval(Duration::from_secs(3));
        for i in 1.. {
            for format in [Format::Mp3, Format::Aac] {
                let set = set_title(icecast, format.mount(), &format!("Title {i}")).await;
                assert_eq!(set.expect("an answer").head.status, 200);
            }
            every.tick().await;
        }
    });

    let mut trials = JoinSet::new();
    let mut roster: Vec<_> = Format::ALL.map(|format| (format, false)).to_vec();
    roster.extend([(Format::Mp3, true), (Format::Aac, true)]);
    for (format, icy) in roster {
        let (addrs, chance) = (tree.addrs(), chance.fork());
        let encoder = std::sync::Arc::clone(&encoders[&format]);
        trials.spawn(async move {
            let trial = Trial::start(addrs, format, icy, chance).await;
            trial.run(|| encoder.sent().expect("a file")).await
        });
    }
    let mut lines = Vec::new();
    while let Some(line) = trials.join_next().await {
        lines.push(line.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic())));
    }
    titles.abort();
    lines.sort_by(|a, b| a.name.cmp(&b.name));
    let matrix = matrix(&lines);
    eprintln!("{matrix}");
    // `./test` shows it at its end.
    std::fs::write(concat!(env!("CARGO_TARGET_TMPDIR"), "/cuts.txt"), matrix).unwrap();
    for line in &lines {
        assert!(
            line.verdict.is_exact() && line.losses == 0,
            "{}: {:?}, {} losses told",
            line.name,
            line.verdict,
            line.losses
        );
        let moved = line
            .cuts
            .iter()
            .filter(|cut| cut.plan.next == Next::Move)
            .count();
        assert!(
            moved == CUTS / 2 && line.moves as usize >= moved / 2,
            "{}: {} moves",
            line.name,
            line.moves
        );
    }
}

/// Cuts by kind, `stayed+moved`, and what they cost.
fn matrix(lines: &[Line]) -> String {
    const KINDS: [Kind; 5] = [Kind::Fin, Kind::Reset, Kind::Head, Kind::Block, Kind::Stall];
    let mut out = String::from("\ncuts, stayed+moved:\n");
    let heads = ["FIN", "RST", "mid-head", "mid-ICY", "stall"];
    out.push_str(&format!("{:<12}", "format"));
    for head in heads {
        out.push_str(&format!("{head:>10}"));
    }
    out.push_str("     moves       bytes  lost  repeated  wrong\n");
    for line in lines {
        out.push_str(&format!("{:<12}", line.name));
        for column in KINDS {
            let of = |next| {
                line.cuts
                    .iter()
                    .filter(|cut| kind(cut) == column && cut.plan.next == next)
                    .count()
            };
            let cell = format!("{}+{}", of(Next::Stay), of(Next::Move));
            out.push_str(&format!("{cell:>10}"));
        }
        let Verdict {
            lost,
            repeated,
            wrong,
        } = line.verdict;
        let (moves, bytes) = (line.moves, line.bytes);
        out.push_str(&format!(
            "{moves:>10}{bytes:>12}{lost:>6}{repeated:>10}{wrong:>7}\n"
        ));
    }
    out
}
