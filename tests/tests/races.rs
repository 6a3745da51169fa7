//! Moves between relays: away from one that takes connections and never answers, past one that fails often, and whenever the listener
//! is told to (R-CLIENT-12 to R-CLIENT-18).
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use icecast_ext_client::{Event, Listener, Outcome, Proven};
use icecast_ext_core::address::Position;
use icecast_ext_tests::child::{As, Child, Scratch};
use icecast_ext_tests::cutter::{Cutter, How};
use icecast_ext_tests::heard::{Heard, Hearing};
use icecast_ext_tests::icecast::PASSWORD;
use icecast_ext_tests::proxy::{self, Proxy};
use icecast_ext_tests::source::Streaming;
use icecast_ext_tests::stage::{RATE, noise};
use icecast_ext_tests::tap::Tap;
use icecast_ext_tests::wait::{wait_for, wait_until};
use tokio::net::TcpListener;

const SOON: Duration = Duration::from_secs(15);
const MOUNT: &str = "/live.mp3";

/// A minter with a source, and two relays of it.
struct Tree {
    source: Streaming,
    relays: [Proxy; 2],
    _origin: Proxy,
}

impl Tree {
    async fn grow(seed: u64) -> Self {
        let setup = proxy::Setup {
            flags: vec!["--source-password".to_owned(), PASSWORD.to_owned()],
            ..proxy::Setup::default()
        };
        let origin = Proxy::with(setup).await.unwrap();
        let source = noise(origin.addr(), MOUNT, seed).await.unwrap();
        let relays = [
            Proxy::start(origin.addr()).await.unwrap(),
            Proxy::start(origin.addr()).await.unwrap(),
        ];
        for relay in &relays {
            wait_until("the mount", SOON, async || {
                let tap = Tap::aware(relay.addr(), MOUNT).await.ok()?;
                (tap.head.status == 200).then_some(())
            })
            .await;
        }
        Self {
            source,
            relays,
            _origin: origin,
        }
    }

    fn addrs(&self) -> [SocketAddr; 2] {
        [self.relays[0].addr(), self.relays[1].addr()]
    }

    /// What was heard from `joined` on is what the source has sent from there on.
    fn exact(&self, joined: Position, audio: &[u8]) {
        let at = usize::try_from(joined.offset.get()).unwrap();
        let sent = self.source.sent();
        assert!(sent[at..].starts_with(audio), "from {joined} on");
    }
}

fn urls(cutter: &Cutter, fronts: &[usize]) -> Vec<String> {
    let url = |front: &usize| format!("http://{}{MOUNT}", cutter.front(*front));
    fronts.iter().map(url).collect()
}

fn lossless(tree: &Tree, joined: Position, heard: &Heard) {
    assert!(heard.losses.is_empty(), "{:?}", heard.losses);
    assert!(heard.notes.is_empty(), "{:?}", heard.notes);
    tree.exact(joined, &heard.audio);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_takes_connections_and_never_answers_costs_less_than_a_second() {
    let mut tree = Tree::grow(40).await;
    let cutter = Cutter::planned(&tree.addrs(), |_| None).await.unwrap();
    let hearing = Hearing::start(&urls(&cutter, &[0, 1]), false).unwrap();
    let joined = hearing.joined(SOON).await;
    hearing.wait_more(2 * RATE, SOON).await;
    for (frozen, moves) in [(0, 1), (1, 2)] {
        // Its kernel takes connections as before.
        tree.relays[frozen].signal("STOP").unwrap();
        cutter.cut_now(How::Reset);
        wait_for("a move", SOON, || hearing.heard().moved.len() == moves).await;
        tree.relays[frozen].signal("CONT").unwrap();
        hearing.wait_more(2 * RATE, SOON).await;
    }
    let heard = hearing.stop();
    lossless(&tree, joined, &heard);
    for (n, moved) in heard.moved.iter().enumerate() {
        assert_eq!(moved.to, urls(&cutter, &[1 - n])[0]);
        assert_eq!(moved.proof, Some(Proven::Offset));
        let took = moved.took;
        assert!(
            took >= Duration::from_millis(300) && took < Duration::from_secs(1),
            "{took:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_failed_is_asked_last_though_it_was_given_first() {
    let mut tree = Tree::grow(41).await;
    let cutter = Cutter::planned(&tree.addrs(), |_| None).await.unwrap();
    // It closes each connection.
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut places = vec![format!("http://{}{MOUNT}", dead.local_addr().unwrap())];
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let closes = tokio::spawn(async move {
        while dead.accept().await.is_ok() {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    places.extend(urls(&cutter, &[0, 1]));
    let hearing = Hearing::start(&places, false).unwrap();
    let joined = hearing.joined(SOON).await;
    hearing.wait_more(2 * RATE, SOON).await;
    let before = asked.load(Ordering::SeqCst);
    assert!(before > 0, "it was given first");
    tree.relays[0].signal("STOP").unwrap();
    cutter.cut_now(How::Reset);
    wait_for("a move", SOON, || hearing.heard().moved.len() == 1).await;
    tree.relays[0].signal("CONT").unwrap();
    hearing.wait_more(2 * RATE, SOON).await;
    let heard = hearing.stop();
    lossless(&tree, joined, &heard);
    assert_eq!(heard.moved[0].to, places[2]);
    assert_eq!(asked.load(Ordering::SeqCst), before, "it was not asked");
    closes.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_is_told_to_move_moves_without_a_gap() {
    let tree = Tree::grow(42).await;
    let url = |n: usize| tree.relays[n].url(MOUNT);
    let mut listener = Listener::builder([url(0)]).open().unwrap();
    let (mut joined, mut audio, mut gap) = (None, Vec::new(), Duration::ZERO);
    let (mut moves, mut proven) = (0, Vec::new());
    let mut last: Option<Instant> = None;
    while proven.len() < 8 || audio.len() < 11 * RATE {
        match listener.next().await.unwrap() {
            Event::Joined { at, .. } => joined = at,
            Event::Audio(bytes) => {
                audio.extend_from_slice(&bytes);
                let since = last.replace(Instant::now());
                gap = gap.max(since.map_or(Duration::ZERO, |since| since.elapsed()));
            }
            Event::Moved(moved) => proven.push(moved.proof),
            other => panic!("{other:?}"),
        }
        if moves < 8 && audio.len() > (moves + 2) * RATE {
            moves += 1;
            let outcome = match moves {
                1 => listener.move_to(&url(1)).await.unwrap(),
                _ => listener.move_on().await.unwrap(),
            };
            let Outcome::Moved(moved) = outcome else {
                panic!("{outcome:?}");
            };
            assert_eq!((moved.from, moved.to), (url(1 - moves % 2), url(moves % 2)));
        }
    }
    tree.exact(joined.unwrap(), &audio);
    assert_eq!(proven, [Some(Proven::Offset); 8]);
    assert_eq!(listener.stats().cuts, 0);
    // The time that the moves took is in it.
    assert!(gap < Duration::from_secs(1), "{gap:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_says_from_where_to_where_and_what_proved_it() {
    let mut tree = Tree::grow(43).await;
    let scratch = Scratch::new("moves").unwrap();
    let [log, out] = ["log", "out"].map(|name| scratch.file(name));
    let urls = [0, 1].map(|n| tree.relays[n].url(MOUNT));
    let mut command = vec![proxy::binary().display().to_string(), "listen".to_owned()];
    command.extend(urls.clone());
    command.extend(["--output".to_owned(), out.display().to_string()]);
    let mut listen = Child::start(As::Me, &command, &log).unwrap();
    let heard = || std::fs::metadata(&out).map_or(0, |file| file.len());
    wait_for("two seconds", SOON, || heard() > 2 * RATE as u64).await;
    tree.relays[0].kill();
    let moved = format!("moved from {} to {} after ", urls[0], urls[1]);
    wait_for("a move", SOON, || {
        let said = listen.output();
        said.contains(&moved) && said.contains(" ms: proven by offset\n")
    })
    .await;
    listen.signal("TERM").unwrap();
    wait_for("its end", SOON, || !listen.runs()).await;
    let said = listen.output();
    assert!(said.contains("1 moves (1 offset; "), "{said}");
}
