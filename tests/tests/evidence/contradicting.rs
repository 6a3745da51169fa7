//! Evidence that is well-formed and cannot be true: a miss, with its reason, and never a byte that was not asked for.

use std::net::SocketAddr;
use std::time::Duration;

use icecast_ext_core::anchor::{Chunk, ChunkId, Evidence, MAX_CHUNKS, Sum};
use icecast_ext_tests::icecast;
use icecast_ext_tests::stage::{RATE, Stage};
use icecast_ext_tests::tap::Tap;
use icecast_ext_tests::truth::find;

use super::witness::Witness;
use super::{HEARD, SOON, UNKNOWN, answer, unlimited};

const HOUR: Duration = Duration::from_secs(3600);

/// What `Stream-Proof` says to this if only the exact byte would do.
async fn verdict(addr: SocketAddr, mount: &str, evidence: &Evidence) -> (u16, String) {
    let (resume, evidence) = (format!("{UNKNOWN};miss=fail"), evidence.encode());
    let fields = [
        ("Resume-Offset", resume.as_str()),
        ("Resume-Anchor", evidence.as_str()),
    ];
    let (head, text) = answer(addr, mount, &fields).await;
    let proof = head.get("Stream-Proof").unwrap_or_default().to_owned();
    assert!(!text.is_empty(), "it says nothing: {head:?}");
    (head.status, proof)
}

fn with(evidence: &Evidence, change: impl FnOnce(&mut Evidence)) -> Evidence {
    let mut other = evidence.clone();
    change(&mut other);
    other
}

#[tokio::test(flavor = "multi_thread")]
async fn what_contradicts_itself_is_a_miss_that_says_why() {
    let stage = Stage::proxied(icecast::Setup::default(), unlimited)
        .await
        .unwrap();
    let addr = stage.proxy.addr();
    let witness = Witness::start(addr, "/live.mp3").await;
    let _other = Tap::aware(addr, "/other.mp3").await.unwrap();
    witness.hear(HEARD).await;

    let (real, _) = witness.evidence();
    assert!(real.chunks.len() >= 5, "{real:?}");
    let last = real.chunks.len() - 1;
    let invented = Chunk {
        id: ChunkId([7; 12]),
        len: 5000,
    };
    let cases = [
        (
            "differs",
            "the tail's hash",
            with(&real, |it| it.sum = Sum([0; 16])),
        ),
        (
            "differs",
            "a byte more of tail",
            with(&real, |it| it.tail += 1),
        ),
        ("differs", "no tail", with(&real, |it| it.tail = 0)),
        (
            "differs",
            "backwards",
            with(&real, |it| it.chunks.reverse()),
        ),
        (
            "differs",
            "two that change places",
            with(&real, |it| it.chunks.swap(1, 2)),
        ),
        (
            "differs",
            "lengths",
            with(&real, |it| it.chunks[1].len += 1),
        ),
        (
            "differs",
            "one that comes last",
            with(&real, |it| it.chunks[1..].rotate_left(1)),
        ),
        (
            "differs",
            "an invented one",
            with(&real, |it| it.chunks[1] = invented),
        ),
        (
            "differs",
            "one name for all",
            with(&real, |it| it.chunks = vec![it.chunks[0]; MAX_CHUNKS]),
        ),
        (
            "differs",
            "the longest of chunks",
            with(&real, |it| {
                it.chunks
                    .iter_mut()
                    .skip(1)
                    .for_each(|chunk| chunk.len = u32::MAX);
            }),
        ),
        (
            "unknown",
            "nothing but invented ones",
            with(&real, |it| it.chunks = vec![invented; MAX_CHUNKS]),
        ),
        (
            "short",
            "the newest alone",
            with(&real, |it| it.chunks.truncate(1)),
        ),
        (
            "short",
            "the oldest alone",
            with(&real, |it| {
                // As if what came after it had no cuts, for as far as a tail goes.
                it.chunks.drain(..last);
            }),
        ),
        (
            "elsewhere",
            "heard an hour ago",
            with(&real, |it| it.age = HOUR),
        ),
        (
            "elsewhere",
            "an hour behind",
            with(&real, |it| it.lag = HOUR),
        ),
        (
            "elsewhere",
            "before all times",
            with(&real, |it| {
                it.age = Duration::from_millis(999_999_999_999_999);
                it.lag = it.age;
            }),
        ),
    ];
    for (why, what, evidence) in &cases {
        let (status, proof) = verdict(addr, "/live.mp3", evidence).await;
        // Which of them is seen first depends on where the chunks happen to end.
        let allowed = match *what {
            "the oldest alone" | "backwards" => ["none;why=short", "none;why=elsewhere"],
            "the longest of chunks" => ["none;why=short"; 2],
            _ => [""; 2],
        };
        let expected = format!("none;why={why}");
        assert!(
            status == 412 && (proof == expected || allowed.contains(&proof.as_str())),
            "{what}: {status} {proof}"
        );
    }
    // Of another mount, all of it true.
    let (status, proof) = verdict(addr, "/other.mp3", &real).await;
    assert_eq!((status, proof.as_str()), (412, "none;why=unknown"));

    // Who takes what there is joins as if nothing had been said.
    let lies = with(&real, |it| it.sum = Sum([0; 16])).encode();
    let fields = [("Resume-Offset", UNKNOWN), ("Resume-Anchor", lies.as_str())];
    let tap = Tap::open(addr, "/live.mp3", &fields).await.unwrap();
    assert_eq!(tap.head.status, 200);
    assert_eq!(tap.head.get("Stream-Proof"), Some("none;why=differs"));
    tap.wait_len(RATE, SOON).await;
    assert!(find(&stage.source.sent(), &tap.audio()).is_some());

    // And the truth leads to the very next byte.
    let (real, heard) = witness.evidence();
    let real = real.encode();
    let fields = [("Resume-Offset", UNKNOWN), ("Resume-Anchor", real.as_str())];
    let tap = Tap::open(addr, "/live.mp3", &fields).await.unwrap();
    assert_eq!(
        tap.head.get("Stream-Proof"),
        Some("anchor"),
        "{:?}",
        tap.head
    );
    tap.wait_len(RATE, SOON).await;
    let sent = stage.source.sent();
    let at = find(&sent, &heard).unwrap() + heard.len();
    let next = tap.audio();
    assert!(sent[at..].starts_with(&next), "not the next byte");
    stage.unharmed().await;
}
