//! Links that break, servers that die: who notices, who loses what, and who is told.

use std::time::Duration;

use icecast_ext_tests::cutter::{Cutter, How};
use icecast_ext_tests::encoder::{Encoder, Format, Setup};
use icecast_ext_tests::heard::Hearing;
use icecast_ext_tests::icecast::{self, Icecast};
use icecast_ext_tests::proxy::{self, Proxy};
use icecast_ext_tests::stage::{RATE, Stage, noise};
use icecast_ext_tests::tap::{End, Tap};
use icecast_ext_tests::truth::{find, judge};
use icecast_ext_tests::wait::wait_for;
use tokio::task::JoinSet;

const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_of_the_upstream_link_is_noticed_by_none_of_200_listeners() {
    let icecast = Icecast::start().await.unwrap();
    let encoder = Encoder::start(icecast.addr(), "/live.mp3", Setup::new(Format::Mp3)).unwrap();
    icecast.wait_mount("/live.mp3").await;
    let link = Cutter::to(icecast.addr()).await.unwrap();
    let proxy = Proxy::start(link.front(0)).await.unwrap();
    let first = Tap::aware(proxy.addr(), "/live.mp3").await.unwrap();
    let epoch = first.head.place().unwrap().epoch;

    let mut joins = JoinSet::new();
    for i in 0..200 {
        let addr = proxy.addr();
        joins.spawn(async move {
            // Every fourth one with titles.
            let fields: &[_] = if i % 4 == 0 {
                &[("Icy-MetaData", "1")]
            } else {
                &[]
            };
            Tap::open(addr, "/live.mp3", fields).await
        });
    }
    let mut listeners = vec![first];
    while let Some(tap) = joins.join_next().await {
        listeners.push(tap.unwrap().unwrap());
    }
    // The clock of the healing rule wants a rate that it has seen for a while.
    listeners[0].wait_len(150_000, SOON).await;
    for (millis, how) in [(100, How::Reset), (500, How::Fin), (1000, How::Reset)] {
        let pulls = link.accepted();
        link.cut_for(how, Duration::from_millis(millis)).await;
        wait_for("a new pull", SOON, || link.accepted() > pulls).await;
        listeners[0].wait_more(64_000, SOON).await;
        let now = Tap::aware(proxy.addr(), "/live.mp3").await.unwrap();
        assert_eq!(
            now.head.place().unwrap().epoch,
            epoch,
            "after {millis} ms, {how:?}"
        );
    }
    let ended: Vec<_> = listeners.iter().map(Tap::ended).collect();
    let heard: Vec<_> = listeners.iter().map(Tap::audio).collect();
    let sent = encoder.sent_by_now().await.unwrap();
    assert_eq!(ended, vec![None; 201], "somebody was disconnected");
    let mut edges = Vec::new();
    for (i, audio) in heard.iter().enumerate() {
        assert!(
            audio.len() > 300_000,
            "listener {i} has {} bytes",
            audio.len()
        );
        let at = find(&sent, audio).unwrap_or_else(|| panic!("listener {i} heard something else"));
        edges.push(at + audio.len());
    }
    let (least, most) = (edges.iter().min().unwrap(), edges.iter().max().unwrap());
    assert!(most - least < 32_000, "somebody lags: {least}..{most}");
}

/// The upstream dies and comes back, the encoder reconnects: stock listeners stay, aware ones follow the splice.
async fn survives_a_restart(format: Format) {
    let mut icecast = Icecast::start().await.expect("icecast starts");
    let mount = format.mount();
    let setup = |seed| Setup {
        seed,
        ..Setup::new(format)
    };
    let first = Encoder::start(icecast.addr(), mount, setup(1)).expect("an encoder");
    icecast.wait_mount(mount).await;
    let direct = Tap::open(icecast.addr(), mount, &[])
        .await
        .expect("icecast answers");
    let proxy = Proxy::start(icecast.addr())
        .await
        .expect("the proxy starts");
    let relay = Proxy::start(proxy.addr()).await.expect("a relay starts");
    let plain = Tap::open(relay.addr(), mount, &[])
        .await
        .expect("an answer");
    let uncut = Tap::aware(proxy.addr(), mount).await.expect("an answer");
    let hearing = Hearing::start(&[relay.url(mount), proxy.url(mount)], false).expect("a client");
    let joined = hearing.joined(SOON).await;
    hearing.wait_more(100_000, SOON).await;

    icecast.kill();
    drop(first);
    direct.wait_end(SOON).await;
    icecast.restart().await.expect("icecast starts again");
    let second = Encoder::start(icecast.addr(), mount, setup(2)).expect("an encoder");
    icecast.wait_mount(mount).await;
    let again = Tap::open(icecast.addr(), mount, &[])
        .await
        .expect("icecast answers");

    let splices = || hearing.heard().splices.len();
    wait_for(&format!("{format:?}: the splice"), SOON, || splices() > 0).await;
    hearing.wait_more(60_000, SOON).await;
    let heard = hearing.stop();
    assert!(heard.losses.is_empty(), "{format:?}: {:?}", heard.losses);
    let (at, from, to) = heard.splices[0];
    assert_eq!(
        (from.epoch, from.offset.get()),
        (joined.epoch, joined.offset.get() + at as u64)
    );

    // The minter's own listener was ended exactly there.
    assert_eq!(uncut.wait_end(SOON).await, End::Fin);
    let start = uncut.head.place().expect("a place").offset;
    assert_eq!(
        start + uncut.audio().len() as u64,
        from.offset.get(),
        "{format:?}"
    );

    // What was heard: a slice of the first life, then one of the second from the place that the splice names.
    let before = direct.body();
    assert!(
        find(&before, &heard.audio[..at]).is_some(),
        "{format:?}: before the splice"
    );
    let after = second_life(format, &again, &second);
    let mine = &heard.audio[at..];
    again.wait_more(60_000, SOON).await;
    assert!(
        find(&after, &mine[..40_000]).is_some(),
        "{format:?}: after the splice"
    );
    assert!(to.epoch != from.epoch);

    // The stock listener is still there, with the same bytes; carried across, Ogg gets its new headers.
    plain.wait_more(30_000, SOON).await;
    assert_eq!(plain.ended(), None, "{format:?}");
    let body = plain.body();
    let tail = &mine[mine.len() - 20_000..];
    assert!(find(&before, &body[8192..60_000]).is_some(), "{format:?}");
    wait_for("the stock listener's new bytes", SOON, || {
        find(&plain.body(), tail).is_some()
    })
    .await;
}

/// What the second encoder sent; where a server rebuilds the stream, what the server made of it.
fn second_life(format: Format, direct: &Tap, encoder: &Encoder) -> Vec<u8> {
    if format.is_raw() {
        encoder.sent().expect("a file")
    } else {
        direct.body()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mp3_listeners_survive_a_restart_of_icecast() {
    survives_a_restart(Format::Mp3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aac_listeners_survive_a_restart_of_icecast() {
    survives_a_restart(Format::Aac).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ogg_listeners_survive_a_restart_of_icecast() {
    survives_a_restart(Format::Opus).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_is_killed_and_restarted_loses_nothing() {
    let server = icecast::Setup {
        burst: 4 * RATE,
        ..icecast::Setup::default()
    };
    let stage = Stage::proxied(server, |upstream| proxy::Setup {
        state: true,
        ..proxy::Setup::before(upstream)
    });
    let mut stage = stage.await.unwrap();
    let relay = Proxy::start(stage.proxy.addr()).await.unwrap();
    let near = Hearing::start(&[stage.proxy.url("/live.mp3")], false).unwrap();
    let far = Hearing::start(&[relay.url("/live.mp3")], false).unwrap();
    let stock = Tap::open(relay.addr(), "/live.mp3", &[]).await.unwrap();
    let (one, two) = (near.joined(SOON).await, far.joined(SOON).await);
    assert_eq!(one.epoch, two.epoch);
    for round in 1..=3 {
        near.wait_more(4 * RATE, SOON).await;
        let icecast = Tap::open(stage.icecast.addr(), "/live.mp3", &[])
            .await
            .unwrap();
        icecast.wait_len(4 * RATE, SOON).await;
        let died = std::time::Instant::now();
        stage.proxy.kill();
        // Icecast goes on for a while without us.
        icecast.wait_more(RATE * round / 2, SOON).await;
        stage.proxy.restart().await.unwrap();
        assert!(
            died.elapsed() < Duration::from_secs(2),
            "too slow to prove anything"
        );
        near.wait_more(2 * RATE, SOON).await;
        far.wait_more(2 * RATE, SOON).await;
        let now = Tap::aware(stage.proxy.addr(), "/live.mp3").await.unwrap();
        assert_eq!(
            now.head.place().unwrap().epoch,
            one.epoch.to_string(),
            "round {round}"
        );
    }
    stock.wait_more(RATE, SOON).await;
    assert_eq!(
        stock.ended(),
        None,
        "a listener of the relay was disconnected"
    );
    let (near, far) = (near.stop(), far.stop());
    let sent = stage.source.sent();
    for (who, heard) in [("near", &near), ("far", &far)] {
        assert!(
            heard.losses.is_empty() && heard.splices.is_empty(),
            "{who}: {:?} {:?}",
            heard.losses,
            heard.splices
        );
        let at = find(&sent, &heard.audio[..4096]).unwrap();
        assert!(judge(&sent, at, &heard.audio).is_exact(), "{who}");
    }
    assert!(near.cuts >= 3);
    assert!(find(&sent, &stock.body()).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_longer_than_the_window_is_told_to_the_byte() {
    let stage = Stage::proxied(icecast::Setup::default(), |upstream| proxy::Setup {
        flags: ["--window", "4"].map(str::to_owned).to_vec(),
        ..proxy::Setup::before(upstream)
    });
    let stage = stage.await.unwrap();
    let wire = Cutter::to(stage.proxy.addr()).await.unwrap();
    let url = format!("http://{}/live.mp3", wire.front(0));
    let hearing = Hearing::start(&[url], false).unwrap();
    let joined = hearing.joined(SOON).await;
    hearing.wait_more(2 * RATE, SOON).await;
    wire.cut(How::Reset);
    stage.bystander.wait_more(9 * RATE, SOON).await;
    wire.mend();
    hearing.wait_more(3 * RATE, SOON).await;
    let heard = hearing.stop();
    let [(at, loss)] = heard.losses.as_slice() else {
        panic!("{:?}", heard.losses);
    };
    let lost = loss.bytes.expect("the number of bytes") as usize;
    assert!(lost > 2 * RATE, "{loss:?}");

    // The bystander, who was not cut, has every byte: before the loss, in it, and after it.
    let start = stage.bystander.head.place().unwrap().offset;
    let index = (joined.offset.get() - start) as usize;
    stage.bystander.wait_more(RATE, SOON).await;
    let whole = stage.bystander.audio();
    assert_eq!(heard.audio[..*at], whole[index..index + at]);
    let after = &heard.audio[*at..];
    let next = index + at + lost;
    assert_eq!(
        *after,
        whole[next..next + after.len()],
        "the byte after the loss is another"
    );

    // Any client is told the same, who was cut just there.
    let place = stage.bystander.head.place().unwrap();
    let old = stage.ask("/live.mp3", &place.resume(0)).await.unwrap();
    let at = old.head.place().unwrap();
    assert_eq!(at.lost, Some(at.offset - place.offset), "{at:?}");
    let refused = stage
        .ask("/live.mp3", &(place.resume(0) + ";miss=fail"))
        .await
        .unwrap();
    assert_eq!(refused.head.status, 412);
    let live = stage
        .ask("/live.mp3", &(place.resume(0) + ";miss=live"))
        .await
        .unwrap();
    let live = live.head.place().unwrap();
    assert_eq!(live.lost, Some(live.offset - place.offset));
    assert!(live.offset >= at.offset);
    stage.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loss_across_a_splice_is_counted_to_the_byte() {
    let mut icecast = Icecast::start().await.unwrap();
    let source = noise(icecast.addr(), "/live.mp3", 1).await.unwrap();
    icecast.wait_mount("/live.mp3").await;
    let flags = ["--window", "4"].map(str::to_owned).to_vec();
    let proxy = Proxy::with(proxy::Setup {
        flags,
        ..proxy::Setup::before(icecast.addr())
    });
    let proxy = proxy.await.unwrap();
    let uncut = Hearing::start(&[proxy.url("/live.mp3")], false).unwrap();
    let joined = uncut.joined(SOON).await;
    uncut.wait_more(3 * RATE, SOON).await;
    // Somebody is cut here, and comes back when an epoch and more has gone by.
    let before = uncut.len();
    icecast.kill();
    drop(source);
    icecast.restart().await.unwrap();
    let _source = noise(icecast.addr(), "/live.mp3", 2).await.unwrap();
    wait_for("the splice", SOON, || !uncut.heard().splices.is_empty()).await;
    uncut.wait_more(9 * RATE, SOON).await;
    let asked = joined.offset.get() + before as u64;
    let ask = format!("{asked};epoch=\"{}\"", joined.epoch);
    let back = Tap::open(proxy.addr(), "/live.mp3", &[("Resume-Offset", &ask)])
        .await
        .unwrap();
    back.wait_len(RATE, SOON).await;
    uncut.wait_more(2 * RATE, SOON).await;
    let place = back.head.place().unwrap();
    let lost = place.lost.expect("the number of bytes lost") as usize;
    let heard = uncut.stop();
    let got = &back.audio()[..RATE];
    assert_eq!(
        heard.audio[before + lost..][..RATE],
        *got,
        "the next byte is another"
    );
}
