//! The form itself (R-VORBIS-1 to 5).

use icecast_ext_core::codec::{CELL, Canonical};
use proptest::prelude::*;

use super::build::{
    CONTINUED, EOS, Logical, Packet, header_pages, headers, packets, pages, read, unpack,
};
use super::{canonical, finished};

fn kinds() -> impl Strategy<Value = Vec<(bool, usize)>> {
    prop::collection::vec((any::<bool>(), 1_usize..900), 1..120)
}

/// A chain in pages of so many segments.
fn stream(serial: u32, comment: u64, packets: &[Packet], sizes: &[usize]) -> Vec<Vec<u8>> {
    let mut stream = Logical::new(serial);
    let mut out = header_pages(&mut stream, &headers(comment));
    let mut sizes = sizes.iter().cycle();
    out.extend(pages(&mut stream, packets, || *sizes.next().expect("some")));
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn neither_pages_nor_reads_matter(
        kinds in kinds(),
        one in prop::collection::vec(1_usize..60, 1..8),
        other in prop::collection::vec(1_usize..60, 1..8),
        reads in prop::collection::vec(1_usize..3000, 1..8),
    ) {
        let packets = packets(1, &kinds);
        let expected = canonical(&stream(7, 1, &packets, &one).concat());
        let bytes = stream(8, 1, &packets, &other).concat();
        let (mut canonical, mut out, mut at) = (Canonical::default(), Vec::new(), 0);
        for len in reads.iter().cycle() {
            let end = (at + len).min(bytes.len());
            canonical.feed(&bytes[at..end], &mut out);
            at = end;
            if at == bytes.len() {
                break;
            }
        }
        prop_assert_eq!(&out, &expected);
        prop_assert_eq!(canonical.holes(), 0);

        // All packets are there, each in its cell.
        let read = read(&out);
        let unpacked = unpack(&read);
        prop_assert_eq!(&unpacked[..3], &headers(1));
        let bytes: Vec<_> = packets.iter().map(|p| p.bytes.clone()).collect();
        prop_assert_eq!(&unpacked[3..], &bytes);
        for (n, page) in read.iter().enumerate() {
            prop_assert_eq!(page.sequence as usize, n);
            prop_assert_eq!(page.serial, read[0].serial);
            if n > 1 {
                prop_assert_eq!(page.granule / CELL, n as i64 - 2);
            }
        }
        let last = read.last().expect("a page");
        prop_assert_eq!((last.granule, last.flags), (packets[packets.len() - 1].ends, EOS));
    }

    #[test]
    fn a_joiner_gets_the_headers_and_the_cells_that_it_has_whole(
        kinds in kinds(),
        one in prop::collection::vec(1_usize..20, 1..8),
        other in prop::collection::vec(1_usize..20, 1..8),
        from in any::<prop::sample::Index>(),
    ) {
        let packets = packets(2, &kinds);
        let whole = read(&canonical(&stream(7, 1, &packets, &one).concat()));
        let mut pages = stream(8, 1, &packets, &other);
        let from = 3 + from.index(pages.len() - 2);
        pages.drain(2..from.min(pages.len()));
        let mut rest = Canonical::default();
        let mut out = Vec::new();
        rest.feed(&pages.concat(), &mut out);
        prop_assert_eq!(rest.holes(), 0);
        let joined = read(&out);
        prop_assert_eq!(&joined[..2], &whole[..2]);
        prop_assert!(whole.ends_with(&joined[2..]));
        // No more is left out than the cell that was cut; a page that begins with a part of a packet does not say which that is.
        let first = joined.get(2).map_or(i64::MAX, |page| page.granule / CELL);
        let seen = pages.get(2).map(|page| read(page).remove(0));
        if let Some(seen) = seen.filter(|page| page.granule >= 0) {
            let cut = seen.granule / CELL + i64::from(seen.flags & CONTINUED);
            let lost = whole.iter().skip(2).filter(|page| {
                let cell = page.granule / CELL;
                cell > cut && cell < first
            });
            prop_assert_eq!(lost.count(), 0);
        }
    }
}

#[test]
fn the_serial_number_is_that_of_the_headers() {
    use sha2::Digest as _;
    let some = packets(1, &[(true, 300); 30]);
    for comment in [1, 2] {
        let sum = sha2::Sha256::digest(headers(comment).concat());
        let pages = read(&canonical(&stream(99, comment, &some, &[9]).concat()));
        assert_eq!(pages[0].serial.to_le_bytes(), sum[..4]);
    }
}

/// A decoder takes a chain with the serial number of the one before for its continuation.
#[test]
fn equal_headers_in_a_row_have_other_serial_numbers() {
    let some = packets(1, &[(true, 300); 30]);
    let chain = |serial| stream(serial, 1, &some, &[9]).concat();
    let pages = read(&canonical(&[chain(1), chain(2), chain(3)].concat()));
    let begin = pages.iter().filter(|page| page.flags & 2 != 0);
    let serials: Vec<u32> = begin.map(|page| page.serial).collect();
    let other = serials[0].wrapping_add(1);
    assert_eq!(serials, [serials[0], other, serials[0]]);
}

#[test]
fn a_cell_with_too_many_segments_takes_more_pages() {
    // 64 packets in each cell, of 8 segments each.
    let some = packets(1, &[(false, 2000); 300]);
    let pages = read(&canonical(&stream(1, 1, &some, &[200]).concat()));
    assert!(pages.iter().all(|page| page.lacing.len() <= 255));
    let sequences = pages.iter().map(|page| page.sequence as usize);
    assert!(sequences.eq(0..pages.len()));
    assert!(pages.len() > 2 + 8, "{}", pages.len());
    assert_eq!(unpack(&pages).len(), 303);
}

/// A server that stops in the middle of a chain, and one that goes on with another.
#[test]
fn the_last_cell_of_a_chain_comes_whenever_that_ends() {
    let some = packets(1, &[(true, 300); 30]);
    let mut cut = stream(1, 1, &some, &[9]);
    cut.pop();
    let before = canonical(&cut.concat());
    let ended = finished(&cut.concat());
    assert!(ended.starts_with(&before) && ended.len() > before.len());
    let next = stream(2, 2, &some, &[9]).concat();
    let both = canonical(&[cut.concat(), next.clone()].concat());
    assert_eq!(both, [ended.clone(), canonical(&next)].concat());
    assert_eq!(read(&ended).last().expect("a page").flags, 0);
}

#[test]
fn it_comes_as_soon_as_the_next_cell_has_begun() {
    let some = packets(1, &[(true, 300); 60]);
    let (mut canonical, mut out) = (Canonical::default(), Vec::new());
    for page in stream(1, 1, &some, &[2]) {
        let granule = read(&page)[0].granule;
        canonical.feed(&page, &mut out);
        let written = read(&out).last().map_or(0, |page| page.granule);
        assert!(written >= granule - CELL - 2048, "{written} of {granule}");
    }
}
