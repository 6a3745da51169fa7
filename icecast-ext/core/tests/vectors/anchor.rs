//! `anchor.json`

use std::time::Duration;

use icecast_ext_core::anchor::{Chunk, Chunker, Collector, Evidence, Index, Place, Unproven};
use icecast_ext_core::field::Proof;
use icecast_ext_spec::vector::anchor::{Anchors, Asked, Found, Parsed, Said, Stretch};
use icecast_ext_spec::vector::{self, Error};
use sha2::{Digest, Sha256};

use super::all;

fn stream(file: &Anchors, name: &str) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::new();
    for stretch in &file.contents[name] {
        match *stretch {
            Stretch::Noise { noise, octets } => {
                let end = out.len() + size(octets);
                let block = |counter: u64| [noise.to_be_bytes(), counter.to_be_bytes()].concat();
                out.extend((0..octets.div_ceil(32)).flat_map(|n| Sha256::digest(block(n))));
                out.truncate(end);
            }
            Stretch::Run { octet, octets } => out.resize(out.len() + size(octets), octet),
            Stretch::Again { again, octets } => {
                (size(again)..size(again + octets)).for_each(|at| out.push(out[at]));
            }
        }
    }
    out
}

fn size(octets: u64) -> usize {
    usize::try_from(octets).expect("a vector is small")
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn named(chunks: &[Chunk]) -> Vec<(String, u32)> {
    let name = |chunk: &Chunk| (hex(&chunk.id.0), chunk.len);
    chunks.iter().map(name).collect()
}

#[test]
fn gear() {
    let file = vector::anchors().expect("anchor.json");
    all(&file.gear, |octet, expect| {
        (Ok(hex(&Sha256::digest([*octet])[..8])), expect.clone())
    });
}

#[test]
fn chunks() {
    let file = vector::anchors().expect("anchor.json");
    all(&file.chunks, |part, expect| {
        let stream = stream(&file, &part.content);
        let bytes = &stream[size(part.from)..size(part.to)];
        // In splits of all kinds: what comes out is the same.
        let mut found: Vec<_> = [1, 7, 1400, bytes.len().max(1)]
            .into_iter()
            .map(|split| {
                let (mut chunker, mut cuts) = (Chunker::new(part.from), Vec::new());
                for bytes in bytes.chunks(split) {
                    chunker.feed(bytes, |cut| cuts.push((cut.end, named(cut.chunks))));
                }
                cuts
            })
            .collect();
        found.dedup();
        assert_eq!(found.len(), 1, "{part:?}");
        (Ok(found.remove(0)), expect.clone())
    });
}

#[test]
fn evidence() {
    let file = vector::anchors().expect("anchor.json");
    all(&file.evidence, |client, expect| {
        let stream = stream(&file, &client.content);
        let mut collector = Collector::default();
        for bytes in stream[size(client.from)..size(client.to)].chunks(1000) {
            collector.feed(bytes, Duration::ZERO);
        }
        let [age, lag] = [client.age_ms, client.lag_ms].map(Duration::from_millis);
        let field = collector.evidence(age, lag);
        let field = field.map(|evidence| evidence.encode());
        (Ok(Said { field }), expect.clone())
    });
}

fn parsed(evidence: &Evidence) -> Parsed {
    let [age_ms, lag_ms] = [evidence.age, evidence.lag].map(|time| time.as_millis());
    Parsed {
        tail: evidence.tail,
        age_ms: u64::try_from(age_ms).expect("a vector's times are short"),
        lag_ms: u64::try_from(lag_ms).expect("a vector's times are short"),
        sum: hex(&evidence.sum.0),
        chunks: named(&evidence.chunks),
    }
}

#[test]
fn field() {
    let file = vector::anchors().expect("anchor.json");
    all(&file.field, |value, expect| {
        let evidence = Evidence::parse(value.as_bytes());
        if let Ok(evidence) = &evidence {
            assert_eq!(
                Evidence::parse(evidence.encode().as_bytes()).as_ref(),
                Ok(evidence)
            );
        }
        let evidence = evidence.map(|evidence| parsed(&evidence));
        (evidence.map_err(|_| Error::BadRequest), expect.clone())
    });
}

#[test]
fn place() {
    let file = vector::anchors().expect("anchor.json");
    all(&file.place, |asked, expect| {
        (
            Ok(sought(&stream(&file, &asked.content), asked)),
            expect.clone(),
        )
    });
}

#[test]
fn proof() {
    let file = vector::anchors().expect("anchor.json");
    all(&file.proof, |value, expect| {
        // A reason that is not known here is dropped.
        let known = |why: &String| Unproven::named(why).is_some();
        let expect = expect.clone().map(|said| vector::anchor::Proof {
            why: said.why.filter(known),
            ..said
        });
        let proof = Proof::parse(value.as_bytes()).map(|proof| match proof {
            Proof::Anchor => vector::anchor::Proof {
                anchor: true,
                alias: false,
                why: None,
            },
            Proof::Alias => vector::anchor::Proof {
                anchor: false,
                alias: true,
                why: None,
            },
            Proof::None { why } => vector::anchor::Proof {
                anchor: false,
                alias: false,
                why: why.map(|why| why.to_string()),
            },
        });
        (proof.map_err(|_| Error::Malformed), expect)
    });
}

fn sought(stream: &[u8], asked: &Asked) -> Found {
    let mut index = Index::new(asked.begins, Duration::from_millis(asked.s_ms));
    let mut edge = asked.begins;
    for (from, octets, every, times) in &asked.arrivals {
        for n in 0..*times {
            let bytes = &stream[size(edge)..size(edge + octets)];
            index.push(bytes, Duration::from_millis(from + every * n));
            edge += octets;
        }
    }
    let first = asked.first.unwrap_or(asked.begins);
    index.evict(first);
    let held = |from: u64, len: u64| {
        let held = first <= from && from + len <= edge;
        held.then(|| &stream[size(from)..size(from + len)])
            .into_iter()
    };
    let evidence = Evidence::parse(asked.evidence.as_bytes()).expect("evidence");
    match index.find(&evidence, Duration::from_millis(asked.asked_ms), held) {
        Ok(Place::Held(at)) => Found::At(at),
        Ok(Place::Ahead(at)) => Found::Ahead(at),
        Err(why) => Found::Miss(why.to_string()),
    }
}
