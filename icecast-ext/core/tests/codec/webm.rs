//! WebM: documents, clusters, key frames.

use icecast_ext_core::codec::{Format, leading_headers};

use super::build::{CLUSTER, block, cluster_of, element, endless, noise, webm_headers};
use super::{marks, marks_from, prelude, sync};

#[test]
fn clusters_of_known_and_unknown_size_are_sync_points() {
    let headers = webm_headers(&[2]);
    let body = cluster_of(&[block(1, true, 700), block(1, true, 30)]);
    let clusters = [
        endless(CLUSTER, &body),
        element(CLUSTER, &body),
        element(0x1c53_bb6b, &noise(1, 90)),
        endless(CLUSTER, &body),
    ];
    let bytes = [headers.as_slice(), &clusters.concat()].concat();
    let h = headers.len();
    let c = clusters[0].len();
    let last = bytes.len() - c;
    assert_eq!(
        marks(Format::Webm, &bytes),
        [
            prelude(0, b""),
            sync(0),
            prelude(h, &headers),
            sync(h),
            sync(h + c),
            sync(last),
        ]
    );
    assert_eq!(leading_headers(Format::Webm, &bytes), Some(h));
    for short in [0, 3, 20, h - 1, h + 3] {
        assert_eq!(
            leading_headers(Format::Webm, &bytes[..short]),
            None,
            "{short}"
        );
    }
    assert_eq!(leading_headers(Format::Webm, &bytes[h..]), Some(0));
}

#[test]
fn a_relay_that_knows_the_prelude_starts_inside_a_cluster() {
    let headers = webm_headers(&[2]);
    // The id of a cluster inside a frame is not one.
    let trap = element(
        0xa3,
        &[
            &[0x81, 0, 0, 0x80][..],
            b"\x1f\x43\xb6\x75\xff\xa3\x84....",
            &[0; 500],
        ]
        .concat(),
    );
    let cluster = endless(CLUSTER, &cluster_of(&[block(1, true, 700), trap]));
    let bytes = [headers.as_slice(), &cluster.repeat(3)].concat();
    let h = headers.len();
    for from in [h + 1, h + 3, h + 400, h + cluster.len() - 1] {
        let expected = [sync(h + cluster.len()), sync(h + 2 * cluster.len())];
        assert_eq!(
            marks_from(Format::Webm, &bytes, from, Some(&headers)),
            expected
        );
        assert_eq!(marks_from(Format::Webm, &bytes, from, None), []);
    }
}

#[test]
fn a_cluster_that_begins_without_a_key_frame_is_no_sync_point() {
    let headers = webm_headers(&[1, 2]);
    let cluster = |key| {
        endless(
            CLUSTER,
            &cluster_of(&[block(2, true, 90), block(1, key, 2000), block(1, true, 100)]),
        )
    };
    let clusters = [cluster(false), cluster(true), cluster(false), cluster(true)];
    let bytes = [headers.as_slice(), &clusters.concat()].concat();
    let (h, c) = (headers.len(), clusters[0].len());
    assert_eq!(
        marks(Format::Webm, &bytes)[2..],
        [prelude(h, &headers), sync(h + c), sync(h + 3 * c)]
    );
}

#[test]
fn a_new_document_inside_an_unfinished_frame_starts_anew() {
    let (a, b) = (webm_headers(&[2]), webm_headers(&[2, 2]));
    let cluster = endless(CLUSTER, &cluster_of(&[block(1, true, 3000)]));
    let cut = &cluster[..1500];
    let bytes = [a.as_slice(), cut, &b, &cluster].concat();
    let start = a.len() + cut.len();
    assert_eq!(
        marks(Format::Webm, &bytes)[4..],
        [
            prelude(start, b""),
            sync(start),
            prelude(start + b.len(), &b),
            sync(start + b.len()),
        ]
    );
}

#[test]
fn garbage_is_passed_over() {
    let headers = webm_headers(&[2]);
    let cluster = endless(CLUSTER, &cluster_of(&[block(1, true, 3000)]));
    let junk = noise(4, 5000);
    let bytes = [&headers, &cluster, &junk, &cluster]
        .map(|b| b.as_slice())
        .concat();
    let h = headers.len();
    assert_eq!(
        marks(Format::Webm, &bytes)[3..],
        [sync(h), sync(bytes.len() - cluster.len())]
    );
}

#[test]
fn headers_without_end_are_not_kept() {
    let mut bytes = webm_headers(&[2]);
    for _ in 0..30 {
        bytes.extend(element(0x1254_c367, &noise(1, 50_000)));
    }
    bytes.extend(endless(CLUSTER, &cluster_of(&[block(1, true, 3000)])));
    assert_eq!(marks(Format::Webm, &bytes), [prelude(0, b""), sync(0)]);
    assert_eq!(leading_headers(Format::Webm, &bytes), Some(0));
}
