//! Aware listeners whom the server moves: they are told, and ask again.

use icecast_ext_tests::tap::End;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn who_counts_hears_its_stream_to_the_end_and_then_asks_for_what_comes_instead() {
    let mounts = "<mount type=\"normal\"><mount-name>/live.mp3</mount-name><fallback-mount>/other.mp3</fallback-mount>\
                  <fallback-override>1</fallback-override></mount>";
    let icecast = Icecast::with(setup(mounts, "")).await.unwrap();
    let other = noise(icecast.addr(), "/other.mp3", 2).await.unwrap();
    icecast.wait_mount("/other.mp3").await;
    let source = noise(icecast.addr(), "/live.mp3", 1).await.unwrap();
    icecast.wait_mount("/live.mp3").await;
    let tap = ask(&icecast, "live").await;
    let place = tap.head.place().unwrap();
    tap.wait_len(3 * RATE, SOON).await;
    let sent = source.truth();
    drop(source);
    assert_eq!(tap.wait_end(SOON).await, End::Fin);
    let sent = sent.lock().unwrap().clone();
    is_at_its_place(&tap, &sent);
    // Icecast's blocks: what does not fill the last one nobody hears, with the module or without.
    let end = place.offset as usize + tap.len();
    assert_eq!(end % 1400, 0, "its last block");
    // Its position is nobody's now: it is told so, and goes on live.
    let resume = place.resume(tap.len() as u64);
    let next = ask(&icecast, &resume).await;
    let there = next.head.place().unwrap();
    assert_ne!(there.epoch, place.epoch);
    assert_eq!(there.lost, None);
    next.wait_len(RATE, SOON).await;
    is_at_its_place(&next, &other.sent());
    // One that was cut before gets the rest of its own stream first.
    let back = tap.len() as u64 - 50_000;
    let late = ask(&icecast, &place.resume(back)).await;
    assert_eq!(late.head.place().unwrap().epoch, place.epoch);
    assert_eq!(late.wait_end(SOON).await, End::Fin);
    assert_eq!(late.len(), 50_000);
    is_at_its_place(&late, &sent);
    // The source comes back, and its listeners are called back.
    let again = noise(icecast.addr(), "/live.mp3", 3).await.unwrap();
    assert_eq!(next.wait_end(SOON).await, End::Fin);
    is_at_its_place(&next, &other.sent());
    let resume = there.resume(next.len() as u64);
    let home = ask(&icecast, &resume).await;
    home.wait_len(RATE, SOON).await;
    is_at_its_place(&home, &again.sent());
}
