//! Every format, at every relay, from any byte on: headers of codecs count, too.

use super::*;
use icecast_ext_tests::chance::Chance;
use icecast_ext_tests::encoder::{Encoder, Format, Setup};
use tokio::task::JoinSet;

/// What is compared of each answer.
const PART: usize = 20_000;

#[tokio::test(flavor = "multi_thread")]
async fn every_format_goes_on_at_any_byte_at_either_relay() {
    let icecast = Icecast::start().await.unwrap();
    let mut encoders = Vec::new();
    for (seed, format) in (90..).zip(Format::ALL) {
        let setup = Setup {
            seed,
            ..Setup::new(format)
        };
        encoders.push(Encoder::start(icecast.addr(), format.mount(), setup).unwrap());
        icecast.wait_mount(format.mount()).await;
    }
    let full = |upstream| proxy::Setup {
        // All of this comes from one address.
        config:
            "stock-players = \"full\"\n[limits]\njoins-per-second = 0\nresumes-per-second = 0\n"
                .into(),
        ..proxy::Setup::before(upstream)
    };
    let minter = Proxy::with(full(icecast.addr())).await.unwrap();
    let relay = Proxy::with(full(minter.addr())).await.unwrap();
    let relays = [minter.addr(), relay.addr()];
    let mut checks = JoinSet::new();
    let mut chance = Chance::seeded("formats");
    for format in Format::ALL {
        checks.spawn(check(format, relays, chance.fork()));
    }
    while let Some(checked) = checks.join_next().await {
        checked.unwrap();
    }
}

async fn check(format: Format, relays: [SocketAddr; 2], mut chance: Chance) {
    let mount = format.mount();
    // Until a join is no longer the stream's own beginning, at either.
    for addr in relays {
        wait_until("headers in front of a join", SOON, async || {
            let tap = PLAIN.ask(addr, mount, Some("bytes=0-"), &[]).await;
            let late = tap.head.place().is_some_and(|place| place.offset > 0);
            (late && tap.head.status == 200).then_some(())
        })
        .await;
    }
    let join = PLAIN.ask(relays[0], mount, Some("bytes=0-"), &[]).await;
    let anchor = cookie(&join.head).unwrap_or_else(|| panic!("{format:?}: {:?}", join.head));
    let prelude = join.head.place().unwrap().prelude;
    assert_eq!(prelude > 0, !format.is_raw(), "{format:?}");
    join.wait_len(prelude + 80_000, SOON).await;
    let whole = join.body();
    let mut places = vec![1, prelude / 2, prelude, prelude + 1];
    for _ in 0..4 {
        places.push(chance.range(1, 50_000) as usize);
    }
    for n in places.into_iter().filter(|n| *n > 0) {
        for addr in relays {
            let asks = format!("bytes={n}-");
            let back = PLAIN
                .ask(addr, mount, Some(&asks), &[("Cookie", &anchor)])
                .await;
            assert_eq!(back.head.status, 206, "{format:?} at {n}: {:?}", back.head);
            back.wait_len(PART, SOON).await;
            let same = back.body()[..PART] == whole[n..n + PART];
            assert!(
                same,
                "{format:?} at {n} of {addr}, after a prelude of {prelude}"
            );
        }
    }
}
