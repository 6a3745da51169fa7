//! Every format that an encoder makes, as a listener who comes late gets it.

use futures_util::future::join_all;
use icecast_ext_tests::encoder::{self, Encoder, Format};
use icecast_ext_tests::truth::{decode_errors, find, whole_units};

use super::*;

/// Headers, and the frames that every listener begins with.
const START: usize = 20_000;

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_late_hears_the_same() {
    twice("formats", async |run| {
        let icecast = run.icecast("").await;
        let all = join_all(Format::ALL.map(|format| listen(&icecast, format))).await;
        let mut seen = Seen::new();
        for (format, (head, what)) in Format::ALL.iter().zip(all) {
            seen.is(format!("{format:?}: head"), head);
            seen.is(format!("{format:?}"), what);
        }
        seen.in_short(format!(
            "{} formats, whole and decodable",
            Format::ALL.len()
        ));
        run.end(icecast, seen)
    })
    .await;
}

async fn listen(icecast: &Icecast, format: Format) -> (String, String) {
    let mount = format.mount();
    let setup = encoder::Setup {
        speed: 2.0,
        ..encoder::Setup::new(format)
    };
    let encoder = Encoder::start(icecast.addr(), mount, setup).unwrap();
    icecast.wait_mount(mount).await;
    let first = hear(icecast, mount).await;
    first.wait_len(60_000, SOON).await;
    let late = hear(icecast, mount).await;
    late.wait_len(120_000, 2 * SOON).await;
    let (all, part) = (first.body(), late.body());
    let same = find(&all, &part[START..100_000]).is_some();
    let file = encoder.dir().join("heard");
    std::fs::write(&file, whole_units(format, &part)).unwrap();
    let errors = match format.is_raw() {
        // He begins somewhere in a frame.
        true => String::new(),
        false => decode_errors(&file),
    };
    (
        seen::live(&late.head),
        format!("the same: {same}; {errors}"),
    )
}
