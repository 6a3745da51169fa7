//! What the server says itself (pages, refusals, an intro before the stream) does not go out, or in pieces. The loops' own sends meet
//! what real networks do: resets, and peers that take nothing.

use icecast_ext_tests::chance::Chance;
use icecast_ext_tests::faults::{Call, Errno, Rule};
use icecast_ext_tests::http::{Answer, get, raw, request};
use icecast_ext_tests::icecast::Setup;
use icecast_ext_tests::stage::RATE;
use icecast_ext_tests::tap::Tap;
use icecast_ext_tests::truth::find;
use icecast_ext_tests::wait::wait_until;
use tokio::net::TcpStream;

use crate::scene::{LIVE, SOON, Scene, another};

const INTRO: &str = "/intro.mp3";

/// Its listeners hear so many bytes before the stream.
async fn with_intro() -> (Scene, Vec<u8>) {
    let intro = Chance::new(9).bytes(50_000);
    let scene = Scene::with(Setup {
        more: format!(
            "<mount type=\"normal\"><mount-name>{INTRO}</mount-name><intro>/intro.bin</intro></mount>"
        ),
        files: vec![("web/intro.bin".to_owned(), intro.clone())],
        ..Setup::default()
    });
    (scene.await, intro)
}

/// A page that is the same each time.
async fn page(scene: &Scene) -> Option<Answer> {
    let answer = get(scene.addr(), "/server_version.xsl", &[]).await.ok()?;
    (answer.head.status == 200).then_some(answer)
}

#[tokio::test]
async fn what_the_server_says_itself_is_whole() {
    let (scene, intro) = with_intro().await;
    let source = another(scene.addr(), INTRO, 2).await;
    scene.icecast.wait_mount(INTRO).await;
    let whole = page(&scene).await.expect("a page").body;
    for error in [Errno::Again, Errno::Short] {
        for every in [2, 3] {
            scene
                .faults
                .set(Call::Send, Rule::every(every, error))
                .unwrap();
            let text = page(&scene).await.expect("a page").body;
            assert_eq!(text, whole, "{error:?}");
            let missing = get(scene.addr(), "/missing", &[]).await.unwrap();
            assert_eq!(missing.head.status, 404);
            for fields in [&[][..], &[("Icy-MetaData", "1")]] {
                let tap = Tap::open(scene.addr(), INTRO, fields).await.unwrap();
                tap.wait_len(intro.len() + RATE, SOON).await;
                let heard = tap.audio();
                let (first, then) = heard.split_at(intro.len());
                assert!(first == intro, "{error:?} {every} {fields:?}");
                assert!(
                    find(&source.sent(), then).is_some(),
                    "{error:?} {every} {fields:?}"
                );
            }
            assert!(scene.faults.done(Call::Send) > 0);
        }
    }
    scene.faults.end(Call::Send).unwrap();
    drop(source);
    scene.unharmed().await;
}

#[tokio::test]
async fn answers_of_ours_are_whole() {
    let scene = Scene::new().await;
    scene
        .faults
        .set(Call::Send, Rule::always(Errno::Short))
        .unwrap();
    let addr = scene.addr();
    let head = raw(addr, &request("HEAD", LIVE, addr, &[])).await.unwrap();
    assert_eq!((head.head.status, head.body.len()), (200, 0));
    assert!(head.head.place().is_some());
    let options = [
        ("Origin", "http://a"),
        ("Access-Control-Request-Method", "GET"),
    ];
    let options = raw(addr, &request("OPTIONS", LIVE, addr, &options))
        .await
        .unwrap();
    assert!(options.head.get("Access-Control-Allow-Origin").is_some());
    let miss = "1;epoch=\"AAAAAAAAAAAAAAAAAAAAAA\";miss=fail";
    let refused = get(addr, LIVE, &[("Resume-Offset", miss)]).await.unwrap();
    assert_eq!(refused.head.status, 412);
    assert!(scene.faults.done(Call::Send) > 0);
    scene.faults.end(Call::Send).unwrap();
    scene.unharmed().await;
}

#[tokio::test]
async fn one_connection_breaks_and_no_other() {
    let (scene, intro) = with_intro().await;
    let source = another(scene.addr(), INTRO, 2).await;
    scene.icecast.wait_mount(INTRO).await;
    for error in [Errno::Pipe, Errno::Reset] {
        let socket = TcpStream::connect(scene.addr()).await.unwrap();
        let rule = Rule {
            port: Some(socket.local_addr().unwrap().port()),
            skip: 4,
            ..Rule::always(error)
        };
        scene.faults.set(Call::Send, rule).unwrap();
        let tap = Tap::on(socket, &request("GET", INTRO, scene.addr(), &[]))
            .await
            .unwrap();
        tap.wait_end(SOON).await;
        let heard = tap.body();
        assert!(heard.len() < intro.len() && intro.starts_with(&heard));
        scene.resumes().await;
        scene.faults.end(Call::Send).unwrap();
    }
    drop(source);
    scene.unharmed().await;
}

#[tokio::test]
async fn peers_reset_or_take_nothing() {
    let scene = Scene::with(Setup {
        queue: 131_072,
        ..Setup::default()
    });
    let scene = scene.await;
    // Whoever takes nothing holds a descriptor until it is cut.
    let mut stuck = Vec::new();
    for _ in 0..5 {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut socket = socket.connect(scene.addr()).await.unwrap();
        let ask = request("GET", LIVE, scene.addr(), &[]);
        tokio::io::AsyncWriteExt::write_all(&mut socket, &ask)
            .await
            .unwrap();
        stuck.push(socket);
    }
    scene.all_resume(10).await;
    scene.undisturbed().await;
    let ended = wait_until("they are cut", SOON, async || {
        let log = scene.icecast.read("module.log");
        (log.matches("reason=Stuck").count() >= stuck.len()).then_some(())
    });
    ended.await;
    scene.unharmed().await;
}
