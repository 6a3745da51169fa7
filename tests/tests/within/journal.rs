//! With a state directory, a crash of the server loses nobody's place.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_still_has_what_it_had() {
    let (mut icecast, source) = start("", "state = \"{dir}/state\"\n").await;
    let tap = ask(&icecast, "live").await;
    let place = tap.head.place().unwrap();
    tap.wait_len(5 * RATE, SOON).await;
    let truth = source.truth();
    icecast.kill();
    tap.wait_end(SOON).await;
    let before = truth.lock().unwrap().clone();
    drop(source);
    icecast.restart().await.unwrap();
    let source = noise(icecast.addr(), "/live.mp3", 7).await.unwrap();
    icecast.wait_mount("/live.mp3").await;
    // Cut a second before the crash, say: what is held of that comes first, byte for byte.
    let at = tap.len() - RATE;
    let back = ask(&icecast, &place.resume(at as u64)).await;
    let there = back.head.place().unwrap();
    assert_eq!(
        (&there.epoch, there.offset),
        (&place.epoch, place.offset + at as u64)
    );
    back.wait_end(SOON).await;
    is_at_its_place(&back, &before);
    // Then the stream begins anew: what was sent and not journalled nobody knows (R-SPLICE-1).
    let next = ask(&icecast, &there.resume(back.len() as u64)).await;
    assert!(!next.head.place().unwrap().spliced);
    next.wait_len(RATE, SOON).await;
    is_at_its_place(&next, &source.sent());
}
