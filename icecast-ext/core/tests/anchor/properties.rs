//! What holds for any stream, any client and any evidence.

use std::time::Duration;

use icecast_ext_core::anchor::{
    Chunk, ChunkId, Chunker, Collector, Evidence, Index, MAX_CHUNKS, Place, Sum, Unproven, WARM_UP,
};
use icecast_ext_core::field::{MAX_RESUME_ANCHOR, Proof};
use proptest::prelude::*;

use crate::station::Dice;

/// Bytes a second.
const RATE: usize = 16_000;
const TICK: Duration = Duration::from_millis(250);

/// Cuts, and the chunks that end there.
fn cuts(stream: &[u8], from: usize) -> Vec<(u64, Vec<Chunk>)> {
    let mut out = Vec::new();
    Chunker::new(from as u64).feed(&stream[from..], |cut| {
        out.push((cut.end, cut.chunks.to_vec()));
    });
    out
}

/// Something new, or what was there so many bytes ago; of such a length.
fn stretches() -> impl Strategy<Value = Vec<(bool, usize, usize)>> {
    let len = prop_oneof![100..5_000_usize, 5_000..120_000_usize];
    prop::collection::vec((any::<bool>(), 1..120_000_usize, len), 4..14)
}

fn stream(seed: u64, stretches: &[(bool, usize, usize)]) -> Vec<u8> {
    let mut dice = Dice::new(seed);
    let mut out = dice.noise(20_000);
    for (new, back, len) in stretches {
        if *new {
            out.extend(dice.noise(*len));
        } else {
            let from = out.len().saturating_sub(*back);
            (from..from + len).for_each(|at| out.push(out[at]));
        }
    }
    out
}

/// A relay that held `stream` from `from` on as it came.
fn relay(stream: &[u8], from: usize, skew: Duration) -> (Index, Duration) {
    let mut index = Index::new(from as u64, skew);
    let mut now = Duration::ZERO;
    for bytes in stream[from..].chunks(RATE / 4) {
        index.push(bytes, now);
        now += TICK;
    }
    (index, now)
}

fn evidence() -> impl Strategy<Value = Evidence> {
    let chunk = (any::<[u8; 12]>(), 1024..=u32::MAX);
    let chunk = chunk.prop_map(|(id, len)| Chunk {
        id: ChunkId(id),
        len,
    });
    let chunks = prop::collection::vec(chunk, 1..=MAX_CHUNKS);
    let ms = prop_oneof![0..10_000_u64, 0..=999_999_999_999_u64];
    (ms.clone(), ms, 0..=65_536_u32, any::<[u8; 16]>(), chunks).prop_map(
        |(age, lag, tail, sum, chunks)| Evidence {
            age: Duration::from_millis(age),
            lag: Duration::from_millis(lag),
            tail,
            sum: Sum(sum),
            chunks,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 300, ..ProptestConfig::with_cases(256) })]

    /// Within the clock's bound, what is accepted is the true place; the request is held no longer than needed.
    #[test]
    fn what_is_accepted_is_the_true_place(
        seed in any::<u64>(),
        stretches in stretches(),
        begins in 0.0..0.5_f64,
        joined in 0.0..0.7_f64,
        cut in 0.5..1.0_f64,
        away in 0..40_u32,
        error in -750..=750_i64,
    ) {
        let skew = Duration::from_secs(1);
        let stream = stream(seed, &stretches);
        let at = |share: f64| (share * stream.len() as f64) as usize;
        let (begins, joined, cut) = (at(begins), at(joined), at(cut));
        let (index, _) = relay(&stream, begins, skew);
        let mut client = Collector::default();
        client.feed(&stream[joined.min(cut)..cut], Duration::ZERO);
        // When the relay got the last byte that the client has; a tick is as exact as it can be.
        let came = TICK * u32::try_from(cut.saturating_sub(begins) / (RATE / 4)).unwrap();
        let asked = came + TICK * away;
        let age = (asked - came).as_millis() as i64 + error;
        if let Some(evidence) = client.evidence(Duration::from_millis(age.max(0).unsigned_abs()), Duration::ZERO)
            && age >= 0 && cut >= begins
        {
            let held = |from: u64, len: u64| {
                (begins as u64 <= from).then(|| &stream[from as usize..(from + len) as usize]).into_iter()
            };
            match index.find(&evidence, asked, held) {
                Ok(Place::Held(place)) => prop_assert_eq!(place, cut as u64),
                Ok(Place::Ahead(place)) => prop_assert!(place > stream.len() as u64),
                Err(_) => {}
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 300, ..ProptestConfig::with_cases(32) })]

    #[test]
    fn cuts_and_names_are_the_same_wherever_one_begins(
        seed in any::<u64>(),
        stretches in stretches(),
        from in 0.0..0.9_f64,
    ) {
        let stream = stream(seed, &stretches);
        let from = (from * stream.len() as f64) as usize;
        let (all, late) = (cuts(&stream, 0), cuts(&stream, from));
        let trusted = |end: u64| end >= from as u64 + WARM_UP;
        let ends = |cuts: &[(u64, Vec<Chunk>)]| -> Vec<u64> {
            cuts.iter().map(|(end, _)| *end).filter(|end| trusted(*end)).collect()
        };
        prop_assert_eq!(ends(&all), ends(&late));
        for (end, chunks) in late {
            let (_, same) = all.iter().find(|(at, _)| *at == end).unwrap();
            prop_assert_eq!(&same[..chunks.len()], &chunks[..]);
            // What is not known there began before.
            if let Some(longer) = same.get(chunks.len()) {
                prop_assert!(!trusted(end - u64::from(longer.len)));
            }
        }
    }

    /// Also one whose bytes are cut as often as can be.
    #[test]
    fn an_index_has_its_share_and_no_more(seed in any::<u64>(), period in 1_024..6_000_usize, window in 1..5_usize) {
        let window = window << 20;
        let stream = Dice::new(seed).noise(period).repeat(2 * window / period + 1);
        let mut index = Index::new(0, Duration::from_secs(10));
        let (mut at, mut now) = (0, Duration::ZERO);
        for bytes in stream.chunks(RATE) {
            index.push(bytes, now);
            (at, now) = (at + bytes.len(), now + Duration::from_secs(1));
            index.evict(at.saturating_sub(window) as u64);
            let share = (at.min(window) / 50).max(64 << 10);
            prop_assert!(index.size() <= share + (4 << 10), "{} of {at}, {window}", index.size());
        }
    }

    #[test]
    fn evidence_reads_as_written(evidence in evidence()) {
        let field = evidence.encode();
        prop_assert!(field.len() <= MAX_RESUME_ANCHOR, "{}", field.len());
        prop_assert_eq!(Evidence::parse(field.as_bytes()), Ok(evidence));
    }

    #[test]
    fn no_value_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), text in r#"[0-9;,=:<>"'a-z._ ?\\()-]{0,80}"#) {
        for value in [&bytes[..], text.as_bytes()] {
            let _ = (Evidence::parse(value), Proof::parse(value));
        }
    }

    /// Names that are held, with lengths, tails and times that are not theirs.
    #[test]
    fn no_evidence_is_believed_without_bytes(
        mut evidence in evidence(),
        picks in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), MAX_CHUNKS),
        asked in prop_oneof![0..400_000_u64, any::<u64>()],
        seed in 0..4_u64,
    ) {
        let stream = stream(seed, &[(true, 1, 300_000), (false, 50_000, 400_000)]);
        let (index, _) = relay(&stream, 0, Duration::from_secs(1));
        let known: Vec<Chunk> = cuts(&stream, 0).into_iter().flat_map(|(_, chunks)| chunks).collect();
        for (chunk, (pick, own)) in evidence.chunks.iter_mut().zip(picks) {
            let picked = pick.get(&known);
            *chunk = Chunk { len: if own { picked.len } else { chunk.len }, ..*picked };
        }
        let held = |from: u64, len: u64| {
            let (from, to) = (from as usize, (from + len) as usize);
            stream.get(from..to).into_iter()
        };
        let found = index.find(&evidence, Duration::from_millis(asked), held);
        // The sum is one that no bytes have.
        prop_assert!(!matches!(found, Ok(Place::Held(_))), "{:?}", found);
    }
}

#[test]
fn a_proof_reads_as_written() {
    let reasons = Unproven::ALL.into_iter().map(Some).chain([None]);
    let none = reasons.map(|why| Proof::None { why });
    for proof in none.chain([Proof::Anchor, Proof::Alias]) {
        assert_eq!(Proof::parse(proof.encode().as_bytes()), Ok(proof));
    }
    let repeats = Proof::None {
        why: Some(Unproven::Repeats),
    };
    assert_eq!(repeats.encode(), "none;why=repeats");
    // A reason that nobody has heard of yet is none.
    assert_eq!(Proof::parse(b"none;why=new"), Ok(Proof::None { why: None }));
    for bad in [
        "",
        "clock",
        "\"anchor\"",
        "none;why=1",
        "anchor, anchor",
        "1",
    ] {
        assert!(Proof::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}
