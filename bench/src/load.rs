//! One run: a server, its listeners, and what it costs to feed them for a while.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use icecast_ext_tests::metadata;
use tokio::runtime::Runtime;

use crate::crowd::{Crowd, Group, Pace, Tally};
use crate::figures::{Figures, Quantiles};
use crate::process::Look;
use crate::progress::Progress;
use crate::rig::{ACCOUNT, Rig, Server};
use crate::source::Sources;

/// What a server is asked to do.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) listeners: usize,
    /// That many mounts, the listeners spread over them.
    pub(crate) mounts: usize,
    /// Frames every 24 ms: 1 is 128 kbit/s, 8 is a megabit.
    pub(crate) frames: u64,
    /// Milliseconds, for servers that can be told.
    pub(crate) tick: u64,
    /// A new title every second.
    pub(crate) titles: bool,
    /// Listeners ask for titles.
    pub(crate) icy: bool,
    pub(crate) tls: bool,
    /// The mount has accounts; the proxy shadows them.
    pub(crate) accounts: bool,
    /// How many of the listeners read at half the rate of the stream.
    pub(crate) slow: usize,
    /// How many read nothing.
    pub(crate) stuck: usize,
    /// All come back at their own byte, so many in a second.
    pub(crate) storm: Option<u64>,
    /// Further lines of the proxy's configuration.
    pub(crate) config: String,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            listeners: 1000,
            mounts: 1,
            frames: 1,
            tick: 250,
            titles: false,
            icy: false,
            tls: false,
            accounts: false,
            slow: 0,
            stuck: 0,
            storm: None,
            config: String::new(),
        }
    }
}

/// Bytes a second of one frame every 24 ms.
const RATE: u64 = 16_000;
/// Connections a second that Icecast is known to take.
const GENTLE: u64 = 250;
/// And our own servers, easily.
const BRISK: u64 = 4000;
/// After the last has been answered, before anything is measured: bursts are over.
const SETTLE: Duration = Duration::from_secs(3);
/// So many join first, so that what a mount takes is not counted as a listener's.
const FIRST: usize = 10;
/// How long all connections are down before a storm.
const DOWN: Duration = Duration::from_millis(600);

/// How long a run may take, for the bar.
pub(crate) fn estimate(server: Server, load: &Load, seconds: u64) -> u64 {
    let join = load.listeners as u64 / pace(server, load) + 1;
    let storm = load
        .storm
        .map_or(0, |rate| load.listeners as u64 / rate + 3);
    2 + join + SETTLE.as_secs() + storm + seconds
}

fn pace(server: Server, load: &Load) -> u64 {
    match server {
        Server::Icecast | Server::Nginx => GENTLE,
        Server::Proxy if load.accounts => GENTLE,
        _ => BRISK,
    }
}

/// Runs it once.
pub(crate) fn run(
    runtime: &Runtime,
    server: Server,
    load: &Load,
    seconds: u64,
    progress: &Progress,
) -> Result<Figures> {
    let rig = runtime.block_on(Rig::start(server, load))?;
    let mounts: Arc<[String]> = match load.mounts {
        1 => [String::from("/bench")].into(),
        many => (0..many).map(|index| format!("/bench/{index}")).collect(),
    };
    let sources = Sources::start(rig.source, &mounts, load.frames)?;
    // Longer than any burst: the first listeners must find one.
    progress.pause(Duration::from_millis(1500))?;
    let titles = load.titles.then(|| runtime.spawn(name_titles(rig.source)));
    let crowd = Crowd::new(&sources.diary)?;
    let mut fields = String::new();
    if load.icy {
        fields += "Icy-MetaData: 1\r\n";
    }
    if load.accounts {
        fields += &format!("Authorization: {ACCOUNT}\r\n");
    }
    let group = |count: usize, pace_of: Pace| Group {
        server: rig.listeners,
        tls: rig.tls.clone(),
        mounts: Arc::clone(&mounts),
        count,
        aware: load.storm.is_some(),
        fields: fields.clone(),
        pace: pace_of,
        rate: pace(server, load),
    };
    let first = FIRST.max(load.mounts).min(load.listeners);
    let mut tally = Tally::default();
    crowd.join(&group(first, Pace::Prompt))?;
    arrive(&crowd, first, load, &mut tally, progress)?;
    // These had to wait for the mount itself.
    tally.first_byte.reset();
    let before = Look::at(&rig.processes)?;
    let prompt = load.listeners - first - load.slow - load.stuck;
    let half = RATE * load.frames / 2;
    for (count, pace_of) in [
        (prompt, Pace::Prompt),
        (load.slow, Pace::Slow(half)),
        (load.stuck, Pace::Stuck),
    ] {
        if count > 0 {
            crowd.join(&group(count, pace_of))?;
        }
    }
    arrive(&crowd, load.listeners, load, &mut tally, progress)?;
    progress.pause(SETTLE)?;
    add(&mut tally, &crowd.report()?);
    let mut figures = Figures {
        listeners: load.listeners as u64,
        buffers: load.mounts as u64 * RATE * load.frames,
        first_byte: Quantiles::of(&tally.first_byte),
        ..Figures::default()
    };
    if let Some(rate) = load.storm {
        crowd.come_back(rate, DOWN)?;
        progress.pause(DOWN + Duration::from_millis(100))?;
        let start = Instant::now();
        let mut storm = Tally::default();
        arrive(&crowd, load.listeners, load, &mut storm, progress)?;
        figures.storm_took = start.elapsed().as_secs_f64() + 0.1;
        figures.first_byte = Quantiles::of(&storm.first_byte);
        add(&mut tally, &storm);
    }
    // From here on it is measured.
    let start = Look::at(&rig.processes)?;
    progress.pause(Duration::from_secs(seconds))?;
    let end = Look::at(&rig.processes)?;
    let heard = crowd.report()?;
    add(&mut tally, &heard);
    figures.take(&rig.processes, [&before, &start, &end], &heard);
    figures.failures(&tally);
    figures.held = figures.buffers * sources.since.elapsed().as_secs() / 1024;
    figures.sources_lost = sources.lost();
    if let Some(titles) = titles {
        ensure!(!titles.is_finished(), "Icecast takes no titles");
        titles.abort();
    }
    if tally.sample.is_some() {
        rig.said().iter().for_each(|line| progress.line(line));
    }
    ensure!(heard.bytes > 0, "nobody heard anything: {:?}", tally.sample);
    Ok(figures)
}

/// Ends only if it fails.
async fn name_titles(server: SocketAddr) {
    for number in 0_u64.. {
        let title = format!("Somebody - Song number {number}");
        match metadata::set_title(server, "/bench", &title).await {
            Ok(answer) if answer.head.status == 200 => {}
            _ => return,
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Waits until all that are coming have been answered, one way or the other.
fn arrive(
    crowd: &Crowd,
    count: usize,
    load: &Load,
    tally: &mut Tally,
    progress: &Progress,
) -> Result<()> {
    let limit = Duration::from_secs(60 + count as u64 / GENTLE);
    let start = Instant::now();
    loop {
        let now = crowd.report()?;
        let there = now.waiting == 0;
        add(tally, &now);
        if there {
            return Ok(());
        }
        ensure!(
            start.elapsed() < limit,
            "{} of {} listeners are still waiting after {limit:?}: {:?} ({load:?})",
            now.waiting,
            count,
            tally.sample
        );
        progress
            .pause(Duration::from_millis(50))
            .context("waiting for listeners")?;
    }
}

/// Sums, but not of how many are there.
fn add(all: &mut Tally, more: &Tally) {
    (all.hearing, all.waiting) = (0, 0);
    all.add(more);
}
