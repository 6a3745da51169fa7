//! Every way to say where to start, and every answer to it.

use icecast_ext_tests::http;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn who_was_cut_goes_on_with_the_next_byte() {
    let (icecast, source) = start("", "").await;
    let first = ask(&icecast, "live").await;
    let place = first.head.place().unwrap();
    assert!(place.session.is_some());
    first.wait_len(2 * RATE, SOON).await;
    is_at_its_place(&first, &source.sent());
    for further in [0, 1, 1000, 50_000] {
        let again = ask(&icecast, &place.resume(further)).await;
        let there = again.head.place().unwrap();
        assert_eq!((there.offset, there.prelude), (place.offset + further, 0));
        again.wait_len(RATE, SOON).await;
        is_at_its_place(&again, &source.sent());
    }
    // By query, for those who cannot set a field; the server has never heard of it.
    let target = format!("/live.mp3?_resume={}.{}", place.epoch, place.offset + 5);
    let by_query = Tap::open(icecast.addr(), &target, &[]).await.unwrap();
    assert_eq!(by_query.head.place().unwrap().offset, place.offset + 5);
    let access = std::fs::read_to_string(icecast.file("access.log")).unwrap();
    assert!(!access.contains("_resume"), "{access}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_ahead_is_waited_for_and_what_is_gone_is_said() {
    let (icecast, source) = start("", "window = 3\n").await;
    let tap = ask(&icecast, "live").await;
    let place = tap.head.place().unwrap();
    tap.wait_len(RATE, SOON).await;
    let edge = tap.len() as u64;
    let soon = ask(&icecast, &place.resume(edge + RATE as u64)).await;
    assert_eq!(soon.head.status, 200);
    assert_eq!(
        soon.head.place().unwrap().offset,
        place.offset + edge + RATE as u64
    );
    soon.wait_len(RATE, SOON).await;
    is_at_its_place(&soon, &source.sent());
    let far = ask(&icecast, &place.resume(edge + 60 * RATE as u64)).await;
    assert_eq!(far.head.status, 412);
    assert!(far.head.get("Stream-Window").is_some());
    // More than a window later.
    tap.wait_more(6 * RATE, SOON).await;
    let oldest = ask(&icecast, &place.resume(0)).await;
    let there = oldest.head.place().unwrap();
    assert_eq!(there.lost, Some(there.offset - place.offset));
    oldest.wait_len(RATE, SOON).await;
    is_at_its_place(&oldest, &source.sent());
    let fail = ask(&icecast, &format!("{};miss=fail", place.resume(0))).await;
    assert_eq!(fail.head.status, 412);
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_pages_on_other_sites_and_mistakes_are_answered() {
    let (icecast, source) = start("", "relays = [\"http://other.example:8000\"]\n").await;
    let addr = icecast.addr();
    let head = http::raw(addr, &http::request("HEAD", "/live.mp3", addr, &[])).await;
    let head = head.unwrap();
    assert_eq!((head.head.status, head.body.len()), (200, 0));
    assert!(head.head.place().is_some());
    assert_eq!(
        head.head.get("Link"),
        Some("<http://other.example:8000/live.mp3>; rel=duplicate")
    );
    let options = http::raw(addr, &http::request("OPTIONS", "/live.mp3", addr, &[])).await;
    let options = options.unwrap();
    assert_eq!(options.head.status, 204);
    let allowed = options.head.get("Access-Control-Allow-Headers").unwrap();
    assert!(allowed.contains("Resume-Offset"), "{allowed}");
    let wrong = ask(&icecast, "yesterday").await;
    assert_eq!(wrong.head.status, 400);
    // Of what is no stream the field says nothing.
    let fields = [("Resume-Offset", "yesterday")];
    let page = http::get(addr, "/status-json.xsl", &fields).await.unwrap();
    assert_eq!(page.head.status, 200);
    let nowhere = http::get(addr, "/nowhere", &fields).await.unwrap();
    assert_eq!(nowhere.head.status, 404);
    let shifted = Tap::open(addr, "/live.mp3?_shift=1", &[]).await.unwrap();
    shifted.wait_len(RATE, SOON).await;
    is_at_its_place(&shifted, &source.sent());
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_that_ask_are_read_strictly_and_all_others_by_the_server() {
    let (icecast, source) = start("", "").await;
    let addr = icecast.addr();
    let long = |len: usize| format!("X: {}\r\n", "x".repeat(len));
    let live = "Resume-Offset: live\r\n";
    for (first, fields, status) in [
        ("GET /live.mp3 HTTP/1.1", format!("{live}{live}"), 400),
        ("GET /live.mp3 HTTP/9.9", live.to_owned(), 400),
        ("get /live.mp3 HTTP/1.1", live.to_owned(), 400),
        ("GET /./live.mp3 HTTP/1.1", live.to_owned(), 400),
        ("GET /./live.mp3?_shift=1 HTTP/1.1", String::new(), 400),
        ("GET /live.mp3 HTTP/1.1", live.replace("\r\n", "\n"), 400),
        // Icecast reads 4095 bytes, the protocol has 8192.
        (
            "GET /live.mp3 HTTP/1.1",
            live.to_owned() + &long(5_000),
            431,
        ),
        (
            "GET /live.mp3 HTTP/1.1",
            live.to_owned() + &long(9_000),
            431,
        ),
        (
            "GET /live.mp3 HTTP/1.1",
            live.to_owned() + &"X: y\r\n".repeat(65),
            431,
        ),
    ] {
        let head = format!("{first}\r\n{fields}\r\n");
        let shown = &head[..head.len().min(70)];
        let answer = http::raw(addr, head.as_bytes()).await;
        let answer = answer.unwrap_or_else(|error| panic!("{shown:?}: {error}"));
        assert_eq!(answer.head.status, status, "{shown:?}");
        assert!(!answer.body.is_empty(), "{shown:?}: no text says why");
    }
    // Who asks for nothing gets what the server makes of it.
    let lenient = b"GET /live.mp3 HTTP/9.9\nHost: a\n\n";
    let lenient = Tap::raw(addr, lenient).await.unwrap();
    assert_eq!(lenient.head.status, 200);
    lenient.wait_len(RATE, SOON).await;
    assert!(find(&source.sent(), &lenient.body()).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_competes_with_his_own_dead_connection() {
    let one = "<mount type=\"normal\"><mount-name>/live.mp3</mount-name><max-listeners>1</max-listeners></mount>";
    let (icecast, source) = start(one, "").await;
    let first = ask(&icecast, "live").await;
    first.wait_len(RATE, SOON).await;
    let place = first.head.place().unwrap();
    let stranger = ask(&icecast, "live").await;
    assert_eq!(stranger.head.status, 403);
    // The first connection is still there, as far as the server knows.
    let session = place.session.as_ref().unwrap();
    let back = format!("{};session=\"{session}\"", place.resume(100));
    let back = ask(&icecast, &back).await;
    assert_eq!(back.head.status, 200);
    back.wait_len(RATE, SOON).await;
    is_at_its_place(&back, &source.sent());
    first.wait_end(SOON).await;
}
