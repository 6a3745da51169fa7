//! What comes in does not, or in pieces, or breaks.

use icecast_ext_tests::faults::{Call, Errno, Rule};
use icecast_ext_tests::heard::Hearing;
use icecast_ext_tests::stage::RATE;
use icecast_ext_tests::tap::Tap;

use crate::scene::{LIVE, SOON, Scene, another, exact};

#[tokio::test]
async fn reads_fail_or_are_short() {
    for error in [Errno::Again, Errno::Short] {
        let scene = Scene::new().await;
        for every in [3, 2] {
            scene
                .faults
                .set(Call::Recv, Rule::every(every, error))
                .unwrap();
            scene.all_resume(4).await;
            scene.undisturbed().await;
            assert!(scene.faults.done(Call::Recv) > 0);
        }
        // A request that comes in pieces of seven bytes.
        scene
            .faults
            .set(Call::Recv, Rule::always(Errno::Short))
            .unwrap();
        scene.resumes().await;
        scene.faults.end(Call::Recv).unwrap();
        scene.unharmed().await;
    }
}

#[tokio::test]
async fn a_source_breaks_and_comes_back() {
    let scene = Scene::new().await;
    let url = scene.icecast.url(LIVE);
    let hearing = Hearing::start(&[url], false).unwrap();
    let from = hearing.joined(SOON).await.offset.get() as usize;
    let aware = Tap::aware(scene.addr(), LIVE).await.unwrap();
    hearing.wait_more(RATE / 2, SOON).await;
    let broken = Rule {
        port: Some(scene.port),
        ..Rule::always(Errno::Reset)
    };
    scene.faults.set(Call::Recv, broken).unwrap();
    aware.wait_end(SOON).await;
    scene.faults.end(Call::Recv).unwrap();
    // What the server had read of it, to the last byte.
    let end = scene.check(&aware).unwrap() as usize;
    let next = another(scene.addr(), LIVE, 2).await;
    hearing.wait_more(end - from + 2 * RATE, SOON).await;
    let heard = hearing.stop();
    let (first, then) = heard.audio.split_at(end - from);
    assert!(first == &scene.source.sent()[from..end]);
    assert!(next.sent().starts_with(then));
    assert!(heard.losses.is_empty(), "{:?}", heard.losses);
    assert_eq!(heard.splices.len(), 1);
    let tap = Tap::aware(scene.addr(), LIVE).await.unwrap();
    tap.wait_len(RATE / 4, SOON).await;
    exact(&tap, &next.sent()).unwrap();
}
