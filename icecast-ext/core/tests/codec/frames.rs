//! MPEG audio and ADTS.

use icecast_ext_core::codec::{Format, Tracker};

use super::build::{adts, mp3, noise};
use super::{marks, marks_from, offset, sync};

/// Twenty frames, and where they begin.
fn stream() -> (Vec<u8>, Vec<usize>) {
    let mut bytes = Vec::new();
    let mut starts = Vec::new();
    for n in 0..20 {
        starts.push(bytes.len());
        bytes.extend(mp3(n, n % 3 == 0));
    }
    (bytes, starts)
}

#[test]
fn sync_points_are_frames_at_least_a_kilobyte_apart() {
    let (bytes, starts) = stream();
    let expected: Vec<_> = starts.iter().step_by(3).map(|&at| sync(at)).collect();
    assert_eq!(marks(Format::Mpeg, &bytes), expected);
}

#[test]
fn a_start_inside_a_frame_is_in_step_from_the_next_one() {
    let (bytes, starts) = stream();
    for from in [1, 3, 200, starts[1] - 1] {
        let out = marks_from(Format::Mpeg, &bytes, from, None);
        assert_eq!(out[0], sync(starts[1]), "from {from}");
    }
}

#[test]
fn two_frames_are_not_enough_to_believe_in_them() {
    let (bytes, starts) = stream();
    assert_eq!(marks(Format::Mpeg, &bytes[..starts[2] + 6]), []);
    assert_ne!(marks(Format::Mpeg, &bytes[..starts[2] + 7]), []);
}

#[test]
fn tags_and_garbage_between_frames_are_passed_over() {
    let (bytes, starts) = stream();
    let tag = [b"ID3\x04\0\0\0\0\x0f\x50".as_slice(), &noise(9, 2000)].concat();
    let broken = [&bytes[..starts[6] - 100], &tag, &bytes[starts[6]..]].concat();
    let out = marks(Format::Mpeg, &broken);
    let moved = tag.len() - 100;
    let expected: Vec<_> = [0, 3]
        .map(|n| starts[n])
        .into_iter()
        .chain([6, 9, 12, 15, 18].map(|n| starts[n] + moved))
        .map(sync)
        .collect();
    assert_eq!(out, expected);
    assert_eq!(
        marks(Format::Mpeg, &[&tag, bytes.as_slice()].concat())[0],
        sync(tag.len())
    );
}

#[test]
fn a_change_of_the_sample_rate_is_a_new_beginning() {
    let (bytes, _) = stream();
    // 48 kHz: 384 bytes
    let mut frame = vec![0xff, 0xfb, 0x94, 0x64];
    frame.extend(noise(3, 380));
    let out = marks(Format::Mpeg, &[bytes.as_slice(), &frame.repeat(4)].concat());
    assert!(out.contains(&sync(bytes.len() + 384)), "{out:?}");
}

#[test]
fn adts_frames_are_followed_by_their_length() {
    let mut bytes = Vec::new();
    let mut starts = Vec::new();
    for n in 0..12 {
        starts.push(bytes.len());
        bytes.extend(adts(n, 300 + 61 * n as usize));
    }
    let out = marks(Format::Adts, &bytes);
    assert_eq!(out[..2], [sync(0), sync(starts[3])][..]);
    assert_eq!(
        marks_from(Format::Adts, &bytes, 5, None)[0],
        sync(starts[1])
    );
    // A source that calls it audio/mpeg is served as well.
    assert_eq!(marks(Format::Mpeg, &bytes), out);
}

#[test]
fn free_format_and_noise_have_no_sync_points() {
    let mut frame = vec![0xff, 0xfb, 0x00, 0x64];
    frame.extend(noise(3, 413));
    assert_eq!(marks(Format::Mpeg, &frame.repeat(10)), []);
    assert_eq!(marks(Format::Mpeg, &noise(4, 500_000)), []);
    assert_eq!(marks(Format::Mpeg, &[0xff; 100_000]), []);
}

#[test]
fn an_unfinished_frame_is_not_whole() {
    let (bytes, starts) = stream();
    let mut tracker = Tracker::new(Format::Mpeg, offset(0), None);
    let mut out = Vec::new();
    tracker.feed(&bytes[..10], &mut out);
    assert_eq!(tracker.whole(), offset(10), "not in step yet");
    tracker.feed(&bytes[10..starts[5] + 3], &mut out);
    assert_eq!(tracker.whole(), offset(starts[5]));
    tracker.feed(&bytes[starts[5] + 3..starts[6]], &mut out);
    assert_eq!(tracker.whole(), offset(starts[6]));
    tracker.feed(b"garbage", &mut out);
    assert_eq!(tracker.whole(), offset(starts[6] + 7));
}
