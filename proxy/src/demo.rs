//! `icecast-ext demo`: an origin, two relays, and a listener that is cut all the time. Nothing but this executable is needed.
//!
//! ```text
//! source ──▶ origin ─┬─▶ relay 1 ─▶ cutter ─┬─▶ ear ─▶ judge
//!                    └─▶ relay 2 ─▶ cutter ─┘
//! ```

mod board;
mod content;
mod cutter;
mod ear;
mod judge;
mod node;
pub(crate) mod screen;
mod source;
mod titles;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use board::{Board, Shared};
use content::Noise;
use cutter::Cutter;
use ear::Ear;
use judge::Verdict;
use node::Node;
use source::Source;

const MOUNT: &str = "/demo.mp3";
/// Until the listener has heard its first bytes.
const WARM_UP: Duration = Duration::from_secs(10);
/// Between a relay's start and the next kill.
const KILL_EVERY: Duration = Duration::from_millis(2500);
/// How long a killed relay is dead.
const DEAD: Duration = Duration::from_millis(2500);
/// At the end, for the last bytes to come through.
const SETTLE: Duration = Duration::from_secs(10);
/// Audio after the last title: a title is shown with the next ICY block, which is 16000 bytes off at most.
const CODA: Duration = Duration::from_secs(1);
/// Any port that is free.
const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Flags of `demo`.
#[derive(Debug, Default, Clone, clap::Args)]
pub struct Options {
    /// How long the cutting and killing goes on
    #[arg(long, default_value_t = 40, value_name = "N", value_parser = clap::value_parser!(u64).range(6..=3600))]
    pub seconds: u64,
    /// Keep the logs of the servers in this directory
    #[arg(long, value_name = "DIR")]
    pub logs: Option<PathBuf>,
    /// Flip one bit between relay and listener, to see that it is found
    #[arg(long, hide = true)]
    pub spoil: bool,
}

/// When the source's parts are to end.
#[derive(Debug, Default)]
struct Ends {
    titles: CancellationToken,
    audio: CancellationToken,
}

/// Runs the demonstration; false if a byte was lost, repeated or wrong, or if nothing was shown.
pub async fn run(options: Options) -> anyhow::Result<bool> {
    if let Some(dir) = &options.logs {
        std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    }
    let names = ["origin", "relay 1", "relay 2"];
    let board = Shared::new(Board {
        length: Duration::from_secs(options.seconds),
        nodes: names
            .map(|name| board::Node {
                name,
                ..board::Node::default()
            })
            .into(),
        ..Board::default()
    });
    let verdict = tokio::select! {
        played = play(&options, &board) => played?,
        _ = tokio::signal::ctrl_c() => bail!("stopped before the end"),
    };
    let board = board.lock().clone();
    screen::conclude(&board, &verdict);
    Ok(board.complaints().is_empty())
}

/// The whole play. Whoever drops it ends every process that it started.
async fn play(options: &Options, board: &Shared) -> anyhow::Result<Verdict> {
    let seed: [u8; 16] = crate::random()?;
    let logs = options.logs.as_deref();
    let password: String = seed.iter().map(|byte| format!("{byte:02x}")).collect();
    let serve = |index, address, arguments: Vec<String>| {
        Node::new(index, address, arguments, logs, board.clone())
    };

    let mut origin = serve(0, ANY, vec!["--source-password".into(), password.clone()]);
    origin.start().await?;
    let wires = [TcpListener::bind(ANY).await?, TcpListener::bind(ANY).await?];
    let mut bases = Vec::new();
    for wire in &wires {
        bases.push(format!("http://{}", wire.local_addr()?));
    }
    let mut relays = Vec::new();
    for index in 1..=wires.len() {
        // Each relay tells its listeners of the other, by the address behind which the cutter sits.
        let arguments = [
            "--upstream",
            &format!("http://{}", origin.address()),
            "--relay",
            &bases[wires.len() - index],
        ];
        let mut relay = serve(index, ANY, arguments.map(str::to_owned).into());
        relay.start().await?;
        relays.push(relay);
    }
    let urls: Vec<String> = bases.iter().map(|base| format!("{base}{MOUNT}")).collect();

    let source = Source {
        origin: origin.address(),
        mount: MOUNT,
        password,
    };
    let stream = source.connect().await?;
    let cutter = Cutter::new(board.clone());
    let addresses = [relays[0].address(), relays[1].address()];
    let ends = Ends::default();
    let mut ear = Ear::default();
    // Told of one relay; of the other it learns.
    let listener = ear::open(&urls[0])?;
    let dice = Noise(u64::from_le_bytes(*seed.first_chunk().context("a seed")?));
    tokio::select! {
        ended = source.send(stream, &ends.audio, board) => ended?,
        ended = source.title(&ends.titles, board) => ended?,
        ended = cutter.forward(&wires[0], addresses[0]) => ended?,
        ended = cutter.forward(&wires[1], addresses[1]) => ended?,
        ended = ear.listen(listener, &urls, board) => ended?,
        () = screen::show(board) => {}
        ended = direct(&mut relays, &mut origin, (&cutter, dice, options.spoil), &ends, board) => ended?,
    }
    let (sent, newest) = {
        let board = board.lock();
        (board.sent, board.titles_set)
    };
    let verdict = ear.judge.finish(sent);
    let mut board = board.lock();
    board.score = verdict.score.clone();
    board.hashes_differ = verdict.received != verdict.sent;
    board.titles_missing = ear.titles.missing(newest);
    Ok(verdict)
}

/// Cuts and kills until the time is over; then lets everything come through.
async fn direct(
    relays: &mut [Node],
    origin: &mut Node,
    (cutter, dice, spoil): (&Cutter, Noise, bool),
    ends: &Ends,
    board: &Shared,
) -> anyhow::Result<()> {
    wait(WARM_UP, || board.lock().score.verified > 0)
        .await
        .context("the listener hears nothing from the relays")?;
    if spoil {
        cutter.spoil();
    }
    let begun = Instant::now();
    let length = board.lock().length;
    tokio::select! {
        () = cutter.run(dice) => {}
        ended = kill(relays, origin) => ended?,
        () = clock(begun, board) => {}
        () = tokio::time::sleep(length) => {}
    }
    board.lock().elapsed = length;
    cutter.stop();
    for relay in relays.iter_mut().filter(|relay| !relay.is_up()) {
        relay.start().await?;
    }
    ends.titles.cancel();
    tokio::time::sleep(CODA).await;
    ends.audio.cancel();
    // Two beats, so that the source has seen it.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let settled = wait(SETTLE, || {
        let board = board.lock();
        board.place >= board.sent && board.titles_seen > 0
    });
    // If it does not, the judge says what is missing.
    let _ = settled.await;
    origin.check()
}

/// Kills the relays in turn, and starts each again.
async fn kill(relays: &mut [Node], origin: &mut Node) -> anyhow::Result<()> {
    for turn in 0.. {
        tokio::time::sleep(KILL_EVERY).await;
        origin.check()?;
        let turn = turn % relays.len();
        for relay in relays.iter_mut() {
            relay.check()?;
        }
        relays[turn].kill().await?;
        tokio::time::sleep(DEAD).await;
        relays[turn].start().await?;
    }
    Ok(())
}

async fn clock(begun: Instant, board: &Shared) {
    loop {
        board.lock().elapsed = begun.elapsed();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until it is so.
async fn wait(limit: Duration, mut so: impl FnMut() -> bool) -> anyhow::Result<()> {
    let deadline = Instant::now() + limit;
    while !so() {
        if Instant::now() > deadline {
            bail!("waited {} s for it", limit.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
