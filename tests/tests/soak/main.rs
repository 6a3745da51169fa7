//! Listeners of every kind come and go while sources come and go: every byte is right, and nothing is left of anybody.
//!
//! `ICECAST_EXT_SOAK=SECONDS` says how long they do so (16; what is left of them ends within 10 s more), and `ICECAST_EXT_SEED`
//! which choices again. A first round lets buffers and the allocator settle; what the server needs after the second one is compared
//! with what it needed then.

mod formats;
mod judge;
mod listener;
mod server;
mod stream;

use std::sync::Arc;
use std::time::{Duration, Instant};

use icecast_ext_tests::chance::Chance;
use icecast_ext_tests::metadata::set_title;
use tokio::task::JoinSet;

use formats::Format;
use listener::Tally;
use server::Server;
use stream::Stream;

/// Listeners at a time.
const CROWD: usize = 30;
/// Between the ends of so many listeners something else happens.
const CALM: u64 = 8;
/// What the server's memory may have grown by, from the end of the first round to that of the second: the allocator's play,
/// and the table of where the server reads to, which is full after ten minutes. What was kept of each listener, or of each tick, would
/// be several times that in an hour.
const PLAY: u64 = 8 << 20;

/// How long, in all.
fn time() -> Duration {
    let told = std::env::var("ICECAST_EXT_SOAK").ok();
    let seconds = told.map_or(Ok(16), |text| text.parse());
    Duration::from_secs(seconds.expect("ICECAST_EXT_SOAK is a number of seconds"))
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_hears_every_byte_and_leaves_nothing_behind() {
    let mut chance = Chance::seeded("soak");
    let mut server = Server::start().await;
    let mut streams = Vec::new();
    for (mount, format, spare) in [
        ("/live.mp3", Format::Mp3, Some("/spare.mp3")),
        ("/live.aac", Format::Aac, None),
        ("/live.opus", Format::Opus, None),
    ] {
        let spare = match spare {
            Some(mount) => Some(Stream::start(server.addr(), mount, format, None).await),
            None => None,
        };
        streams.push(Stream::start(server.addr(), mount, format, spare).await);
    }
    let idle = server.settled().await;
    let all = time();
    round(&mut server, &streams, all / 3, &mut chance).await;
    server.is_idle(idle).await;
    let before = server.memory();
    let tally = round(&mut server, &streams, all - all / 3, &mut chance).await;
    server.is_idle(idle).await;
    let after = server.memory();
    eprintln!("{tally}");
    eprintln!("{} KiB, then {} KiB", before >> 10, after >> 10);
    assert!(after < before + PLAY, "memory: {before}, then {after}");
    tally.check();
    server.is_well();
}

/// Somebody of every kind, all the time.
async fn round(
    server: &mut Server,
    streams: &[Arc<Stream>],
    time: Duration,
    chance: &mut Chance,
) -> Tally {
    let mut crowd = JoinSet::new();
    let mut tally = Tally::default();
    let end = Instant::now() + time;
    let pick = |chance: &mut Chance| {
        let index = chance.range(0, streams.len() as u64);
        streams[index as usize].clone()
    };
    while Instant::now() < end || !crowd.is_empty() {
        while crowd.len() < CROWD && Instant::now() < end {
            crowd.spawn(listener::live(pick(chance), chance.fork()));
        }
        if let Some(done) = crowd.join_next().await {
            let (kind, done) = done.expect("no panic");
            tally.add(
                kind,
                done.unwrap_or_else(|wrong| panic!("{kind:?}: {wrong:#}")),
            );
        }
        if Instant::now() < end && chance.one_in(CALM) {
            let stream = pick(chance);
            match chance.range(0, 4) {
                0 => server.reread(),
                1 => stream.come_back(chance.bits()).await,
                _ => {
                    let title = format!("Title {}", chance.range(0, 1000));
                    // Whose source has just gone has no titles.
                    let _ = set_title(server.addr(), stream.mount, &title).await;
                }
            }
        }
    }
    tally
}
