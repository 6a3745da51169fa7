//! Whatever the bytes and however they are split: the same marks, in order, and never a panic.

use icecast_ext_core::codec::{Format, Mark, Tracker, leading_headers};
use proptest::prelude::*;

use super::build::{
    BOS, CLUSTER, CONTINUED, Logical, adts, block, cluster_of, element, endless, mp3, noise,
    webm_headers,
};
use super::offset;

const FORMATS: [Format; 5] = [
    Format::Mpeg,
    Format::Adts,
    Format::Ogg,
    Format::Webm,
    Format::Opaque,
];

/// A stream of the given family, out of parts chosen by `choices`.
fn stream(format: Format, choices: &[u8]) -> Vec<u8> {
    let mut ogg = Logical::new(1);
    let mut bytes = match format {
        Format::Webm => webm_headers(&[2]),
        Format::Ogg => ogg.opus_headers().concat(),
        _ => Vec::new(),
    };
    for (n, &choice) in choices.iter().enumerate() {
        let seed = n as u64;
        let len = 64 + usize::from(choice) * 16;
        if choice % 16 == 15 {
            bytes.extend(noise(seed, len));
            continue;
        }
        bytes.extend(match (format, choice % 8) {
            (Format::Mpeg, _) => mp3(seed, choice % 2 == 0),
            (Format::Adts, _) => adts(seed, len),
            (Format::Ogg, 0) => {
                ogg = Logical::new(ogg.serial + 1);
                ogg.vorbis_headers().concat()
            }
            (Format::Ogg, 1) => ogg.page(0, -1, &[&noise(seed, 255 * 9)], true),
            (Format::Ogg, 2) => ogg.page(CONTINUED, 5, &[&noise(seed, len)], false),
            (Format::Ogg, 3) => Logical::new(99).page(BOS, 0, &[b"odd"], false),
            (Format::Ogg, _) => ogg.data(seed as i64 + 1, len),
            (Format::Webm, 0) => webm_headers(&[1, 2]),
            (Format::Webm, 1) => element(0x1c53_bb6b, &noise(seed, len)),
            (Format::Webm, 2..5) => endless(
                CLUSTER,
                &cluster_of(&[block(1, choice > 99, len), block(2, true, 9)]),
            ),
            (Format::Webm, _) => block(1, choice > 99, len),
            (Format::Opaque, _) => noise(seed, len),
        });
    }
    bytes
}

fn place(mark: &Mark) -> u64 {
    match mark {
        Mark::Sync(at) | Mark::Prelude(at, _) => at.get(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_split_does_not_matter(
        format in prop::sample::select(&FORMATS[..]),
        choices in prop::collection::vec(any::<u8>(), 0..30),
        holes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        splits in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        single in prop::option::of(any::<prop::sample::Index>()),
        from in 0_usize..600,
    ) {
        let mut bytes = stream(format, &choices);
        for (index, flip) in holes {
            if !bytes.is_empty() {
                let at = index.index(bytes.len());
                bytes[at] ^= flip;
            }
        }
        let bytes = bytes.get(from..).unwrap_or_default();
        let mut cuts: Vec<usize> = splits.iter().map(|i| i.index(bytes.len() + 1)).collect();
        if let Some(single) = single {
            let at = single.index(bytes.len() + 1);
            cuts.extend((at..bytes.len()).take(300));
        }
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();

        let mut expected = Vec::new();
        Tracker::new(format, offset(from), None).feed(bytes, &mut expected);
        let mut tracker = Tracker::new(format, offset(from), None);
        let mut marks = Vec::new();
        let mut whole = tracker.whole();
        for pair in cuts.windows(2) {
            tracker.feed(&bytes[pair[0]..pair[1]], &mut marks);
            let fed = offset(from + pair[1]);
            prop_assert!(whole <= tracker.whole() && tracker.whole() <= fed);
            whole = tracker.whole();
            prop_assert!(fed.since(whole).unwrap() <= 65_536);
        }
        prop_assert_eq!(&marks, &expected);
        prop_assert!(marks.is_sorted_by_key(place));
        prop_assert!(marks.iter().all(|m| place(m) >= from as u64));
    }

    /// What is decided about the headers in front stays decided as more comes.
    #[test]
    fn more_bytes_do_not_change_the_leading_headers(
        format in prop::sample::select(&FORMATS[..]),
        choices in prop::collection::vec(any::<u8>(), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let bytes = stream(format, &choices);
        let some = leading_headers(format, &bytes[..cut.index(bytes.len() + 1)]);
        if some.is_some() {
            prop_assert_eq!(some, leading_headers(format, &bytes));
        }
    }
}
