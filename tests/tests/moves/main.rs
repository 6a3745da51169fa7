//! A listener that moves, and moves again, while relays are killed and links are cut: what it has is the source's bytes, one after
//! the other, or it says where some are missing.
//!
//! ```text
//!   Icecast ─────────────> Icecast          know nothing
//!      │                      │
//!   minter                 minter           share no epoch; the first keeps its journal
//!      │                      │
//!   relay                  relay            by relay feed
//! ```
//!
//! Each client has all four as its relays, over a wire of its own that is cut at random places; then it has to go elsewhere. `MOVES`
//! in the environment says how many moves there are to be in all, and the table is left in a file that `./test` shows at its end.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod faults;
mod field;
mod mover;
mod table;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use icecast_ext_tests::chance::Chance;
use icecast_ext_tests::encoder::{Encoder, Format, Setup};
use icecast_ext_tests::icecast::{self, Icecast};
use icecast_ext_tests::tap::Tap;
use icecast_ext_tests::wait::{wait_for, wait_until};

use faults::Driver;
use field::Field;
use mover::{Mover, judge};
use table::Table;

const SOON: Duration = Duration::from_secs(20);
/// What can be proven by content begins with twice the clock's bound, and some chunks: nothing is cut before.
const HEARD: Duration = Duration::from_secs(28);
/// Without a word about it in the environment.
const MOVES: u64 = 60;
/// Whose bytes a stock server passes on as they are.
const FORMATS: [Format; 5] = [
    Format::Mp3,
    Format::Aac,
    Format::Opus,
    Format::Flac,
    Format::WebM,
];

/// What all movers share.
#[derive(Debug)]
struct Course {
    began: Instant,
    moves: AtomicU64,
    /// Nothing is cut any more.
    over: AtomicBool,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_moves_through_faults_has_the_sources_bytes_or_says_what_is_lost() {
    let wanted = std::env::var("MOVES").map_or(MOVES, |moves| moves.parse().unwrap());
    let movers = if wanted > 300 { 40 } else { 15 };
    let mut chance = Chance::seeded("moves");
    let first = Icecast::start().await.unwrap();
    let mut encoders = Vec::new();
    let mut truths = Vec::new();
    for (seed, format) in (1..).zip(FORMATS) {
        let setup = Setup {
            seed,
            ..Setup::new(format)
        };
        encoders.push(Encoder::start(first.addr(), format.mount(), setup).unwrap());
    }
    for format in FORMATS {
        first.wait_mount(format.mount()).await;
        truths.push(heard_from(first.addr(), format.mount()).await);
    }
    let second = Icecast::with(icecast::Setup {
        more: FORMATS
            .map(|format| field::relay(first.addr(), format.mount()))
            .concat(),
        ..icecast::Setup::default()
    })
    .await
    .unwrap();
    for format in FORMATS {
        second.wait_mount(format.mount()).await;
    }
    let field = Field::before([first.addr(), second.addr()]).await;
    for format in FORMATS {
        for place in field.places() {
            drop(heard_from(place, format.mount()).await);
        }
    }
    let course = Arc::new(Course {
        began: Instant::now(),
        moves: AtomicU64::new(0),
        over: AtomicBool::new(false),
    });
    let mut crew = Vec::new();
    for n in 0..movers {
        let mount = FORMATS[n % FORMATS.len()].mount();
        crew.push(Mover::start(mount, n, field.places(), &course, chance.fork()).await);
    }
    wait_for("something to prove by", 2 * HEARD, || {
        course.began.elapsed() >= HEARD
    })
    .await;
    let driver = Driver::start(field, chance.fork(), Arc::clone(&course));
    crew.iter().for_each(Mover::cut);
    wait_for("all the moves", Duration::from_secs(600), || {
        course.moves.load(Ordering::SeqCst) >= wanted
    })
    .await;
    course.over.store(true, Ordering::SeqCst);
    let (_field, faults) = driver.finish().await;
    let mut told = Vec::new();
    for mover in crew {
        told.push(mover.finish().await);
    }
    let mut table = Table::new(faults);
    for (n, format) in FORMATS.into_iter().enumerate() {
        truths[n].wait_more(20_000, SOON).await;
        let truth = truths[n].body();
        for heard in told.iter().skip(n).step_by(FORMATS.len()) {
            table.add(format, heard, &judge(&truth, format, heard));
        }
    }
    let text = table.to_string();
    eprintln!("{text}");
    let file = concat!(env!("CARGO_TARGET_TMPDIR"), "/moves.txt");
    std::fs::write(file, &text).unwrap();
    table.check(wanted);
}

/// A listener of `mount`, once there is something to hear.
async fn heard_from(addr: std::net::SocketAddr, mount: &str) -> Tap {
    wait_until(mount, SOON, async || {
        let tap = Tap::aware(addr, mount).await.ok()?;
        (tap.head.status == 200).then_some(tap)
    })
    .await
}
