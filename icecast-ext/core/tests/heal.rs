//! The healing rule: a burst continues a buffer only if that is proven.

use std::time::Duration;

use icecast_ext_core::heal::{Evidence, PROBE, Unproven, continues};
use proptest::prelude::*;

const RATE: u64 = 16_000;

/// Bytes that never repeat.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut bytes: Vec<u8> = (0..len.div_ceil(8))
        .flat_map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        })
        .collect();
    bytes.truncate(len);
    bytes
}

/// The time in which `bytes` are played.
fn time(bytes: usize) -> Duration {
    Duration::from_secs_f64(bytes as f64 / RATE as f64)
}

/// A pull that was cut at `cut` and came back with `[from, to)`.
fn pull(stream: &[u8], cut: usize, from: usize, to: usize) -> Evidence<'_> {
    Evidence {
        tail: &stream[cut.saturating_sub(128_000)..cut],
        burst: &stream[from..to],
        elapsed: time(to - cut),
        rate: Some(RATE),
    }
}

#[test]
fn a_burst_that_overlaps_goes_on_after_the_last_byte() {
    let stream = noise(1, 400_000);
    let evidence = pull(&stream, 200_000, 170_000, 236_000);
    assert_eq!(continues(&evidence), Ok(30_000));
}

#[test]
fn live_bytes_after_the_burst_change_nothing() {
    let stream = noise(1, 400_000);
    let evidence = pull(&stream, 200_000, 170_000, 400_000);
    assert_eq!(continues(&evidence), Ok(30_000));
}

#[test]
fn a_burst_that_begins_before_the_buffer_is_compared_as_far_as_it_reaches() {
    let stream = noise(2, 100_000);
    let mut evidence = pull(&stream, 50_000, 10_000, 60_000);
    evidence.tail = &stream[48_000..50_000];
    assert_eq!(continues(&evidence), Ok(40_000));
    evidence.tail = &stream[50_000 - PROBE..50_000];
    assert_eq!(continues(&evidence), Ok(40_000));
}

#[test]
fn a_burst_that_begins_with_the_probe_overlaps() {
    let stream = noise(3, 100_000);
    let evidence = pull(&stream, 50_000, 50_000 - PROBE, 60_000);
    assert_eq!(continues(&evidence), Ok(PROBE));
}

#[test]
fn a_burst_that_begins_within_the_probe_does_not() {
    let stream = noise(3, 100_000);
    let evidence = pull(&stream, 50_000, 50_001 - PROBE, 60_000);
    assert_eq!(continues(&evidence), Err(Unproven::Absent));
}

#[test]
fn a_short_buffer_proves_nothing() {
    let stream = noise(4, 5000);
    let mut evidence = pull(&stream, 2000, 0, 5000);
    evidence.tail = &stream[2001 - PROBE..2000];
    assert_eq!(continues(&evidence), Err(Unproven::TooLittle));
    evidence.tail = &[];
    assert_eq!(continues(&evidence), Err(Unproven::TooLittle));
}

#[test]
fn silence_is_ambiguous_even_where_its_copies_overlap() {
    let stream = noise(5, 417).repeat(300);
    let evidence = pull(&stream, 60_000, 40_000, 70_000);
    assert_eq!(continues(&evidence), Err(Unproven::Ambiguous));
    // one copy in the burst, others in the buffer
    let evidence = pull(&stream, 60_000, 60_000 - PROBE, 60_100);
    assert_eq!(continues(&evidence), Err(Unproven::Ambiguous));
}

#[test]
fn what_came_within_eight_seconds_is_ambiguous_and_what_came_before_is_not() {
    let loop_of = |seconds: usize| {
        let one = noise(6, seconds * RATE as usize);
        one.repeat(8)
    };
    let stream = loop_of(7);
    let evidence = pull(&stream, 300_000, 280_000, 320_000);
    assert_eq!(continues(&evidence), Err(Unproven::Ambiguous));
    let stream = loop_of(9);
    let evidence = pull(&stream, 300_000, 280_000, 320_000);
    assert_eq!(continues(&evidence), Ok(20_000));
}

#[test]
fn a_later_copy_of_a_jingle_is_told_by_the_clock() {
    let stream = noise(7, 10 * RATE as usize).repeat(4);
    let shift = 10 * RATE as usize;
    let evidence = pull(&stream, 200_000, 180_000 + shift, 220_000 + shift);
    assert_eq!(
        continues(&evidence),
        Err(Unproven::Clock {
            new: 20_000,
            elapsed: time(20_000 + shift)
        })
    );
}

#[test]
fn one_byte_that_differs_before_the_probe_is_enough() {
    let stream = noise(8, 100_000);
    let tail = &stream[..50_000];
    for at in [0, 10_000, 50_000 - PROBE - 20_000 - 1] {
        let mut burst = stream[20_000..60_000].to_vec();
        burst[at] ^= 1;
        let evidence = Evidence {
            tail,
            burst: &burst,
            ..pull(&stream, 50_000, 20_000, 60_000)
        };
        assert_eq!(continues(&evidence), Err(Unproven::Differs), "{at}");
    }
}

#[test]
fn without_a_rate_nothing_is_proven() {
    let stream = noise(9, 100_000);
    let mut evidence = pull(&stream, 50_000, 20_000, 60_000);
    evidence.rate = None;
    assert_eq!(continues(&evidence), Err(Unproven::NoRate));
}

#[test]
fn extreme_rates_and_times_do_not_overflow() {
    let stream = noise(10, 100_000);
    for rate in [0, 1, u64::MAX] {
        for elapsed in [Duration::ZERO, Duration::MAX] {
            let evidence = Evidence {
                rate: Some(rate),
                elapsed,
                ..pull(&stream, 50_000, 20_000, 60_000)
            };
            let _ = continues(&evidence);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 200, ..ProptestConfig::with_cases(128) })]

    /// Jingles, loops and repeated songs of at least the clock's tolerance: what is accepted is the truth.
    #[test]
    fn what_is_accepted_is_the_true_place(
        parts in prop::collection::vec((0_u64..4, 4_usize..40), 2..12),
        cut in 0.0_f64..1.0,
        offline in 0_usize..50_000,
        clock_error in -2_000_i64..2_000,
    ) {
        // Parts of 4.5 to 20 s at 4000 bytes a second, of which some come again.
        let stream: Vec<u8> = parts
            .iter()
            .flat_map(|&(seed, halves)| noise(seed, halves.max(9) * 2000))
            .collect();
        let cut = (cut * stream.len() as f64) as usize;
        let to = (cut + offline).min(stream.len());
        let millis = (to - cut) as i64 / 4 + clock_error;
        let from = to.saturating_sub(16_384);
        let evidence = Evidence {
            elapsed: Duration::from_millis(millis.max(0) as u64),
            rate: Some(4000),
            ..pull(&stream, cut, from, to)
        };
        if let Ok(index) = continues(&evidence) {
            prop_assert_eq!(from + index, cut);
        }
    }

    /// What truly overlaps and does not repeat is found.
    #[test]
    fn what_overlaps_is_accepted(seed in any::<u64>(), cut in 70_000_usize..90_000, new in 0_usize..60_000) {
        let stream = noise(seed, 150_000);
        let from = (cut + new).saturating_sub(65_536);
        let evidence = pull(&stream, cut, from, cut + new);
        prop_assert_eq!(continues(&evidence), Ok(cut - from));
    }
}
