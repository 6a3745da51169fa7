//! Ogg pages, header groups, chains and multiplexes.

use icecast_ext_core::codec::{Format, Tracker, leading_headers};

use super::build::{BOS, CONTINUED, EOS, Logical, noise};
use super::{marks, marks_from, offset, prelude, sync};

/// An Opus chain of `pages` pages of 2000 bytes: its headers, its pages.
fn opus(serial: u32, pages: usize) -> (Vec<u8>, Vec<Vec<u8>>) {
    let mut stream = Logical::new(serial);
    let headers = stream.opus_headers().concat();
    let mut data: Vec<_> = (1..pages)
        .map(|n| stream.data(960 * n as i64, 2000))
        .collect();
    data.push(stream.page(EOS, 960 * pages as i64, &[&noise(1, 2000)], false));
    (headers, data)
}

#[test]
fn a_chain_starts_with_its_own_headers_which_then_are_the_prelude() {
    let (headers, pages) = opus(1, 3);
    let bytes = [headers.as_slice(), &pages.concat()].concat();
    let (h, p) = (headers.len(), pages[0].len());
    assert_eq!(
        marks(Format::Ogg, &bytes),
        [
            prelude(0, b""),
            sync(0),
            prelude(h, &headers),
            sync(h),
            sync(h + p),
            sync(h + 2 * p),
        ]
    );
    assert_eq!(leading_headers(Format::Ogg, &bytes), Some(h));
    for short in [0, 3, 50, h - 1] {
        assert_eq!(leading_headers(Format::Ogg, &bytes[..short]), None);
    }
    assert_eq!(leading_headers(Format::Ogg, &pages[0]), Some(0));
}

#[test]
fn chains_follow_one_another() {
    let (a, a_pages) = opus(1, 2);
    let mut vorbis = Logical::new(2);
    let b = vorbis.vorbis_headers().concat();
    let b_page = vorbis.data(1024, 500);
    let bytes = [&a, &a_pages.concat(), &b, &b_page]
        .map(|b| b.as_slice())
        .concat();
    let start = a.len() + a_pages.concat().len();
    let out = marks(Format::Ogg, &bytes);
    assert_eq!(
        out[5..],
        [
            prelude(start, b""),
            sync(start),
            prelude(start + b.len(), &b),
            sync(start + b.len()),
        ]
    );
}

#[test]
fn a_relay_that_knows_the_prelude_starts_anywhere() {
    let (headers, pages) = opus(1, 4);
    let bytes = [headers.as_slice(), &pages.concat()].concat();
    let second = headers.len() + pages[0].len();
    for from in [second - 1, second - 1500] {
        let out = marks_from(Format::Ogg, &bytes, from, Some(&headers));
        assert_eq!(
            out,
            [
                sync(second),
                sync(second + 2000 + 35),
                sync(second + 2 * 2035)
            ]
        );
        assert_eq!(marks_from(Format::Ogg, &bytes, from, None), []);
    }
}

#[test]
fn a_page_that_goes_on_with_a_packet_is_no_sync_point() {
    let mut stream = Logical::new(7);
    let headers = stream.opus_headers().concat();
    let open = stream.page(0, -1, &[&noise(1, 255 * 8)], true);
    let rest = stream.page(CONTINUED, 960, &[&noise(2, 2000), &noise(3, 100)], false);
    let next = stream.data(1920, 2000);
    let bytes = [&headers, &open, &rest, &next]
        .map(|b| b.as_slice())
        .concat();
    let (h, after) = (headers.len(), bytes.len() - next.len());
    assert_eq!(
        marks(Format::Ogg, &bytes)[2..],
        [prelude(h, &headers), sync(h), sync(after)]
    );
}

#[test]
fn in_a_multiplex_no_packet_of_another_stream_is_cut() {
    let (mut a, mut b) = (Logical::new(1), Logical::new(2));
    let ([a1, a2], [b1, b2]) = (a.opus_headers(), b.vorbis_headers());
    let headers = [a1, b1, a2, b2].concat();
    let first = a.data(960, 2000);
    let open = b.page(0, -1, &[&noise(1, 255 * 8)], true);
    let between = a.data(1920, 2000);
    let rest = b.page(CONTINUED, 960, &[&noise(2, 2000)], false);
    let last = a.data(2880, 2000);
    let bytes = [&headers, &first, &open, &between, &rest, &last]
        .map(|b| b.as_slice())
        .concat();
    let h = headers.len();
    assert_eq!(
        marks(Format::Ogg, &bytes)[2..],
        [
            prelude(h, &headers),
            sync(h),
            sync(h + first.len()),
            sync(bytes.len() - last.len()),
        ]
    );
    assert_eq!(leading_headers(Format::Ogg, &bytes), Some(h));
}

#[test]
fn video_is_joined_at_key_frames() {
    let (mut video, mut audio) = (Logical::new(1), Logical::new(2));
    let v1 = video.page(BOS, 0, &[b"\x80theora\x03\x02\x01"], false);
    let [a1, a2] = audio.opus_headers();
    let v2 = video.page(0, 0, &[b"\x81theora", b"\x82theora"], false);
    let headers = [v1, a1, v2, a2].concat();
    let mut frame = |first: u8| {
        let packet = [&[first][..], &noise(1, 2000)].concat();
        video.page(0, 64, &[&packet], false)
    };
    let parts = [
        frame(0x40),
        audio.data(960, 2000),
        frame(0x00),
        audio.data(1920, 2000),
        frame(0x7f),
    ];
    let bytes = [headers.as_slice(), &parts.concat()].concat();
    let h = headers.len();
    let key = h + parts[0].len() + parts[1].len();
    assert_eq!(
        marks(Format::Ogg, &bytes)[2..],
        [prelude(h, &headers), sync(key)]
    );
}

#[test]
fn headers_of_an_unknown_codec_end_where_time_begins() {
    let mut stream = Logical::new(3);
    let headers = [
        stream.page(BOS, 0, &[b"whatever"], false),
        stream.page(0, 0, &[b"more of it"], false),
    ]
    .concat();
    let data = stream.data(1, 1500);
    let bytes = [headers.as_slice(), &data].concat();
    let h = headers.len();
    assert_eq!(leading_headers(Format::Ogg, &bytes[..h]), None);
    assert_eq!(leading_headers(Format::Ogg, &bytes), Some(h));
    assert_eq!(
        marks(Format::Ogg, &bytes)[2..],
        [prelude(h, &headers), sync(h)]
    );
}

#[test]
fn flac_says_how_many_headers_it_has_and_skeleton_ends_its_own() {
    let (mut skeleton, mut flac) = (Logical::new(1), Logical::new(2));
    let s1 = skeleton.page(BOS, 0, &[b"fishead\0\x04"], false);
    let f1 = flac.page(BOS, 0, &[b"\x7fFLAC\x01\0\0\x02fLaC"], false);
    let s2 = skeleton.page(0, 0, &[b"fisbone\0"], false);
    let f2 = flac.page(0, 0, &[b"\x04comment"], false);
    let f3 = flac.page(0, 0, &[b"\x86picture"], false);
    let s3 = skeleton.page(EOS, 0, &[b""], false);
    let headers = [s1, f1, s2, f2, f3, s3].concat();
    let data = flac.data(4096, 1500);
    let bytes = [headers.as_slice(), &data].concat();
    let h = headers.len();
    assert_eq!(leading_headers(Format::Ogg, &bytes[..h]), Some(h));
    assert_eq!(
        marks(Format::Ogg, &bytes)[2..],
        [prelude(h, &headers), sync(h)]
    );
}

#[test]
fn a_page_with_a_wrong_checksum_is_neither_header_nor_sync_point() {
    let (headers, pages) = opus(1, 4);
    let (h, p) = (headers.len(), pages[0].len());
    let mut bytes = [headers.as_slice(), &pages.concat()].concat();
    bytes[h + p + 100] ^= 1;
    assert_eq!(
        marks(Format::Ogg, &bytes)[3..],
        [sync(h), sync(h + 2 * p), sync(h + 3 * p)]
    );
    bytes[60] ^= 1;
    assert_eq!(marks(Format::Ogg, &bytes), [prelude(0, b""), sync(0)]);
    assert_eq!(leading_headers(Format::Ogg, &bytes), Some(0));
    bytes[30] ^= 1;
    assert_eq!(marks(Format::Ogg, &bytes), []);
    assert_eq!(leading_headers(Format::Ogg, &bytes), Some(0));
}

#[test]
fn headers_without_end_are_not_kept() {
    let mut stream = Logical::new(1);
    let mut bytes = stream.page(BOS, 0, &[b"whatever"], false);
    for _ in 0..30 {
        bytes.extend(stream.page(0, 0, &[&noise(1, 60_000)], false));
    }
    bytes.extend(stream.data(1, 2000));
    assert_eq!(marks(Format::Ogg, &bytes), [prelude(0, b""), sync(0)]);
    assert_eq!(leading_headers(Format::Ogg, &bytes), Some(0));
}

#[test]
fn an_unfinished_page_is_not_whole() {
    let (headers, pages) = opus(1, 4);
    let (h, p) = (headers.len(), pages[0].len());
    let bytes = [headers.as_slice(), &pages.concat()].concat();
    let mut tracker = Tracker::new(Format::Ogg, offset(0), None);
    let mut out = Vec::new();
    tracker.feed(&bytes[..h + p + 1], &mut out);
    assert_eq!(tracker.whole(), offset(h + p));
    tracker.feed(&bytes[h + p + 1..h + 2 * p - 1], &mut out);
    assert_eq!(tracker.whole(), offset(h + p));
    tracker.feed(&bytes[h + 2 * p - 1..h + 2 * p], &mut out);
    assert_eq!(tracker.whole(), offset(h + 2 * p));
}
