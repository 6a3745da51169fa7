//! A client that is cut, and what it must have heard.

use std::collections::BTreeSet;
use std::time::Duration;

use icecast_ext_core::address::Offset;
use icecast_ext_core::codec::Canonical;
use icecast_ext_tests::chance::Chance;
use icecast_ext_tests::cutter::Cutter;
use icecast_ext_tests::encoder::Format;
use icecast_ext_tests::heard::{Heard, Hearing};
use icecast_ext_tests::tap::Tap;
use icecast_ext_tests::truth::{decode_errors, find, headers, judge, sha256, whole_units};
use icecast_ext_tests::wait::{wait_for, wait_until};

use crate::plan::{CUTS, plans};
use crate::table::Line;
use crate::tree::Places;

const SOON: Duration = Duration::from_secs(20);
/// A client that gets nowhere in this time is stuck.
const LONG: Duration = Duration::from_secs(280);

/// Icecast closes on a listener who comes before the stream's headers.
async fn first_tap(icecast: std::net::SocketAddr, mount: &str) -> Tap {
    wait_until("icecast's answer", SOON, async || {
        let tap = Tap::open(icecast, mount, &[]).await.ok()?;
        (tap.head.status == 200).then_some(tap)
    })
    .await
}

/// A client that is cut, next to one that is not.
pub(crate) struct Trial {
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
    pub(crate) async fn start(places: Places, format: Format, icy: bool, chance: Chance) -> Self {
        let Places {
            icecast,
            minter,
            relays: [one, two],
        } = places;
        let mount = format.mount();
        let direct = first_tap(icecast, mount).await;
        let wire = Cutter::counted(&[one, two], plans(chance, icy))
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

    pub(crate) async fn run(self, sent: impl Fn() -> Vec<u8>) -> Line {
        let name = self.name.clone();
        wait_for(&format!("{name}: {CUTS} cuts"), LONG, || {
            assert!(
                !self.hearing.gave_up(),
                "{name}: {:?}",
                self.hearing.heard().told.last()
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
        self.was_sent(&heard, &truth);
        self.decodes(&heard);
        if !self.others.is_empty() {
            self.titles(&heard).await;
        }
        line
    }

    /// What was heard is a piece of what Icecast sends.
    fn was_sent(&self, heard: &Heard, truth: &[u8]) {
        let mut canonical = Vec::new();
        if self.format == Format::Vorbis {
            // The module sends Icecast's own pages; a proxy makes them anew, and tests/vorbis.rs hears that they sound the same.
            Canonical::default().feed(truth, &mut canonical);
        }
        let headers = match heard.first {
            Some(at) if at.offset == Offset::ZERO => headers(self.format, &heard.audio),
            _ => 0,
        };
        let audio = &heard.audio[headers..];
        assert!(
            find(truth, audio).is_some() || find(&canonical, audio).is_some(),
            "{} is not what was sent: of {} bytes after {headers} of headers the first are at {:?}, and the last at {:?} of {}",
            self.name,
            audio.len(),
            find(truth, &audio[..4096]),
            find(truth, &audio[audio.len() - 4096..]),
            truth.len()
        );
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
