//! Evidence that is made to cost: the work for it is bounded, and whoever listens meanwhile misses nothing.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use icecast_ext_core::anchor::{Chunk, ChunkId, Evidence, MAX_CHUNKS, MAX_TAIL, Sum};
use icecast_ext_tests::chance::Frames;
use icecast_ext_tests::icecast;
use icecast_ext_tests::proxy::Proxy;
use icecast_ext_tests::source::{Method, Source, Streaming};
use icecast_ext_tests::stage::{RATE, Stage};
use tokio::task::JoinSet;

use super::witness::{Witness, with_long_tail};
use super::{HEARD, UNKNOWN, answer, unlimited};

const LOOP: &str = "/loop.mp3";
/// Seconds until the same bytes come again: as many places for each name as the clock allows, and all of them are compared.
const AGAIN: usize = 4;
/// Seconds until the bytes come that a held request speaks of.
const AHEAD: usize = 6;
/// Of one kind.
const REQUESTS: usize = 1500;
const AT_ONCE: usize = 24;
/// Processor time that one request may cost more than one without evidence. It is about a fifth of that.
const MOST: Duration = Duration::from_micros(2500);

/// The same seconds over and over.
async fn looped(addr: SocketAddr) -> Streaming {
    let source = Source::accepted(addr, LOOP, Method::Put).await.unwrap();
    let piece = Frames::new(9).take(AGAIN * RATE);
    source.stream(RATE, move |at, len| {
        let round = piece.iter().cycle().skip(at % piece.len());
        round.take(len).copied().collect()
    })
}

/// Processor time of a process so far, from the kernel's books.
fn spent(proxy: &Proxy) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", proxy.id().unwrap())).unwrap();
    let (_, rest) = stat.rsplit_once(") ").unwrap();
    let fields: Vec<&str> = rest.split(' ').collect();
    // utime and stime, in hundredths of a second.
    let ticks = |n: usize| fields[n].parse::<u64>().unwrap();
    Duration::from_millis(10 * (ticks(11) + ticks(12)))
}

/// What a flood cost.
#[derive(Debug)]
struct Cost {
    /// Processor time of each request.
    each: Duration,
    /// How often it was answered what.
    said: BTreeMap<String, usize>,
}

/// Asks many times at once; nothing is proven to anybody.
async fn flood(proxy: &Proxy, evidence: Option<&Evidence>) -> Cost {
    let (addr, before) = (proxy.addr(), spent(proxy));
    let mut crowd = JoinSet::new();
    for _ in 0..AT_ONCE {
        let evidence = evidence.map(Evidence::encode);
        crowd.spawn(async move {
            let resume = format!("{UNKNOWN};miss=fail");
            let mut said = Vec::new();
            for _ in 0..REQUESTS / AT_ONCE {
                let mut fields = vec![("Resume-Offset", resume.as_str())];
                let shown = evidence.as_deref();
                fields.extend(shown.map(|evidence| ("Resume-Anchor", evidence)));
                let (head, _) = answer(addr, LOOP, &fields).await;
                assert_eq!(head.status, 412, "{head:?}");
                said.push(head.get("Stream-Proof").unwrap_or_default().to_owned());
            }
            said
        });
    }
    let mut said = BTreeMap::new();
    while let Some(done) = crowd.join_next().await {
        for proof in done.unwrap() {
            assert_eq!(
                proof.starts_with("none;why="),
                evidence.is_some(),
                "{proof}"
            );
            *said.entry(proof).or_default() += 1;
        }
    }
    let each = (spent(proxy) - before) / (REQUESTS / AT_ONCE * AT_ONCE) as u32;
    Cost { each, said }
}

/// As [`flood`], of requests that are held: each says that other bytes are to come than will come.
async fn held(proxy: &Proxy, evidence: &Evidence, count: usize) -> (Duration, Duration) {
    let (addr, before, began) = (proxy.addr(), spent(proxy), Instant::now());
    let mut crowd = JoinSet::new();
    for n in 0..count {
        let mut ahead = evidence.clone();
        let id = ChunkId([n as u8; 12]);
        let len = u32::try_from(AHEAD * RATE).unwrap();
        ahead.chunks.insert(0, Chunk { id, len });
        ahead.chunks.truncate(MAX_CHUNKS);
        crowd.spawn(async move {
            let (resume, ahead) = (format!("{UNKNOWN};miss=fail"), ahead.encode());
            let fields = [
                ("Resume-Offset", resume.as_str()),
                ("Resume-Anchor", ahead.as_str()),
            ];
            let (head, _) = answer(addr, "/live.mp3", &fields).await;
            assert_eq!(head.status, 412, "{head:?}");
            let proof = head.get("Stream-Proof").unwrap_or_default();
            // It was held until the bytes came, and then they were others.
            assert_eq!(proof, "none;why=differs");
        });
    }
    while let Some(done) = crowd.join_next().await {
        done.unwrap();
    }
    let time = began.elapsed();
    assert!(time > Duration::from_secs(AHEAD as u64 - 2), "{time:?}");
    (spent(proxy) - before, time)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_to_cost_costs_little_and_nobody_else_anything() {
    let stage = Stage::proxied(icecast::Setup::default(), unlimited)
        .await
        .unwrap();
    let source = looped(stage.icecast.addr()).await;
    stage.icecast.wait_mount(LOOP).await;
    let addr = stage.proxy.addr();
    let looping = Witness::start(addr, LOOP).await;
    let live = Witness::start(addr, "/live.mp3").await;
    looping.hear(HEARD).await;

    let quiet = flood(&stage.proxy, None).await;
    // Every place that the clock allows agrees.
    let many = flood(&stage.proxy, Some(&looping.evidence().0)).await;
    // Each of them but for the bytes after the newest cut: those are hashed at every place that has come.
    let mut long = with_long_tail(looping.evidence().0, MAX_TAIL);
    long.sum = Sum([0; 16]);
    assert!(long.tail > MAX_TAIL / 4, "{}", long.tail);
    let hashed = flood(&stage.proxy, Some(&long)).await;
    // Names that stand everywhere, in an order in which they stand nowhere.
    let mut mixed = looping.evidence().0;
    let all = mixed.chunks.clone();
    mixed.chunks = (0..MAX_CHUNKS).map(|n| all[n * 7 % all.len()]).collect();
    let mixed = flood(&stage.proxy, Some(&mixed)).await;
    eprintln!("a request's processor time without evidence: {quiet:?}");
    for (what, costly) in [
        ("agrees", &many),
        ("is hashed", &hashed),
        ("is in disorder", &mixed),
    ] {
        let Cost { each, said } = costly;
        eprintln!("with evidence that {what}: {each:?}, {said:?}");
        assert!(costly.each < quiet.each + MOST, "{costly:?} and {quiet:?}");
    }

    let (spent, time) = held(&stage.proxy, &live.evidence().0, 300).await;
    eprintln!("300 held for {time:?}: {spent:?} of processor time");
    assert!(spent < time, "{spent:?} in {time:?}");

    // Nobody is behind: what the source had sent by now is here.
    for (witness, source) in [(&live, &stage.source), (&looping, &source)] {
        let sent = source.sent();
        witness.has(&sent[sent.len() - RATE / 4..]).await;
        let (_, heard) = witness.evidence();
        let sent = source.sent();
        let at = icecast_ext_tests::truth::find(&sent, &heard);
        assert!(at.is_some(), "it heard something else");
    }
    stage.unharmed().await;
}
