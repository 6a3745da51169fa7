//! What is not Vorbis alone stays what it is; what is broken never becomes something else (R-VORBIS-6, R-VORBIS-7).

use icecast_ext_core::codec::{CELL, Canonical};
use proptest::prelude::*;

use super::build::{
    BOS, Logical, Packet, Read, header_pages, headers, noise, packets, pages, read,
};
use super::canonical;

fn some() -> Vec<Packet> {
    let kinds: Vec<_> = (0..90).map(|n| (n % 7 != 3, 200 + n % 50)).collect();
    packets(3, &kinds)
}

fn stream(segments: usize) -> Vec<Vec<u8>> {
    let mut stream = Logical::new(77);
    let mut out = header_pages(&mut stream, &headers(1));
    out.extend(pages(&mut stream, &some(), || segments));
    out
}

/// Of pages of audio, the cells.
fn cells(pages: &[Read]) -> Vec<i64> {
    pages[2..].iter().map(|page| page.granule / CELL).collect()
}

#[test]
fn a_missing_page_costs_the_cells_that_it_had_a_part_in() {
    for segments in [1, 3, 8, 30] {
        let whole = read(&canonical(&stream(segments).concat()));
        for gone in 2..stream(segments).len() - 1 {
            let mut rest = stream(segments);
            let missing = read(&rest.remove(gone)).remove(0);
            let (mut canonical, mut out) = (Canonical::default(), Vec::new());
            canonical.feed(&rest.concat(), &mut out);
            let left = read(&out);
            assert!(
                left.iter().all(|page| whole.contains(page)),
                "{segments}: {gone}"
            );
            let (left, whole) = (cells(&left), cells(&whole));
            let lost: Vec<_> = whole.iter().filter(|cell| !left.contains(cell)).collect();
            assert!(!lost.is_empty(), "{segments}: {gone}");
            if gone > 2 {
                assert_eq!(canonical.holes(), 1);
                let span = 2 + missing.lacing.len() as i64 * 1024 / CELL + 1;
                assert!(lost.len() as i64 <= span, "{segments}: {gone}: {lost:?}");
            }
        }
    }
}

#[test]
fn numbers_that_skip_are_no_hole_if_no_sample_is_missing() {
    let mut numbered = Logical::new(77);
    let mut out = header_pages(&mut numbered, &headers(1));
    for packet in some() {
        numbered.page(0, 0, &[b"not sent"], false);
        out.push(numbered.page(0, packet.ends, &[&packet.bytes], false));
    }
    let (mut canonical, mut bytes) = (Canonical::default(), Vec::new());
    canonical.feed(&out.concat(), &mut bytes);
    assert_eq!(canonical.holes(), 0);
    let whole = read(&super::canonical(&stream(3).concat()));
    let left = read(&bytes);
    // It looks like a join, and it has no end.
    assert_eq!(left[2..], whole[3..whole.len() - 1]);
}

/// A source that begins to count anew without a new chain is still heard.
#[test]
fn granule_positions_that_go_back_cost_no_packet() {
    for hole in [false, true] {
        let mut stream = Logical::new(77);
        let mut out = header_pages(&mut stream, &headers(1));
        let end = some().last().expect("some").ends;
        for round in 0..2 {
            for packet in some() {
                out.push(stream.page(0, packet.ends, &[&packet.bytes], false));
            }
            if hole && round == 0 {
                stream.page(0, 0, &[b"not sent"], false);
            }
        }
        let pages = read(&canonical(&out.concat()));
        let last = pages.last().expect("some").granule;
        assert!(last > 2 * end - 2 * CELL, "{last} of {}", 2 * end);
        assert!(pages.is_sorted_by_key(|page| page.sequence));
    }
}

#[test]
fn other_streams_stay_as_they_are() {
    let mut opus = Logical::new(5);
    let opus = [opus.opus_headers().concat(), opus.data(960, 500)].concat();
    let (mut one, mut two) = (Logical::new(1), Logical::new(2));
    let vorbis = header_pages(&mut one, &headers(1));
    let other = two.page(BOS, 0, &[b"fishead\0 and so on"], false);
    let audio = one.data(5000, 300);
    let beside = [&vorbis[0], &other, &vorbis[1], &audio].map(Vec::as_slice);
    let mut odd = stream(3);
    odd[1] = {
        let mut stream = Logical::new(77);
        stream.page(BOS, 0, &[&headers(1)[0]], false);
        stream.page(0, 0, &[b"\x03vorbis", b"\x05vorbis without modes"], false)
    };
    let headless = stream(3)[2..].concat();
    for bytes in [
        opus.clone(),
        beside.concat(),
        odd.concat(),
        headless,
        noise(1, 70_000),
    ] {
        assert!(canonical(&bytes) == bytes);
        // After a chain of Vorbis as well, but for its beginning.
        let chain = stream(3).concat();
        if bytes.starts_with(b"OggS") && bytes[5] & BOS != 0 {
            let both = canonical(&[chain.clone(), bytes.clone()].concat());
            assert!(both == [canonical(&chain), bytes].concat());
        }
    }
}

#[test]
fn what_lies_between_pages_is_left_out() {
    let pages = stream(3);
    let mut bytes = pages[..4].concat();
    bytes.extend(noise(3, 1000));
    bytes.extend(pages[4..].concat());
    assert_eq!(canonical(&bytes), canonical(&pages.concat()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn garbage_is_the_same_however_it_is_split(
        segments in 1_usize..40,
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        removed in prop::option::of((any::<prop::sample::Index>(), 1_usize..5000)),
        resealed in any::<bool>(),
        reads in prop::collection::vec(1_usize..3000, 1..8),
    ) {
        let mut bytes = stream(segments).concat();
        for (index, flip) in flips {
            let at = index.index(bytes.len());
            bytes[at] ^= flip;
        }
        if let Some((at, len)) = removed {
            let at = at.index(bytes.len());
            bytes.drain(at..(at + len).min(bytes.len()));
        }
        if resealed {
            bytes = seal(&bytes);
        }
        let expected = canonical(&bytes);
        let (mut split, mut out, mut at) = (Canonical::default(), Vec::new(), 0);
        for len in reads.iter().cycle() {
            let end = (at + len).min(bytes.len());
            split.feed(&bytes[at..end], &mut out);
            at = end;
            if at == bytes.len() {
                break;
            }
        }
        prop_assert_eq!(&out, &expected);
        split.finish(&mut out);
    }
}

/// Gives each page the checksum that fits what has been done to it: what its fields say is believed then.
fn seal(bytes: &[u8]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    let starts: Vec<_> = memchr::memmem::find_iter(bytes, b"OggS").collect();
    for start in starts {
        let page = &mut out[start..];
        let Some(&segments) = page.get(26) else {
            continue;
        };
        let table = 27 + usize::from(segments);
        let Some(lacing) = page.get(27..table) else {
            continue;
        };
        let len = table + lacing.iter().map(|&n| usize::from(n)).sum::<usize>();
        let Some(page) = page.get_mut(..len) else {
            continue;
        };
        page[22..26].fill(0);
        let sum = page.iter().fold(0, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte) << 24, |crc: u32, _| {
                crc << 1 ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 }
            })
        });
        page[22..26].copy_from_slice(&sum.to_le_bytes());
    }
    out
}
