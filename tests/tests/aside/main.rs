//! When the module stands aside: the server, or whatever program it was loaded into, runs as if it were not there, and one line
//! says why.

mod children;
mod descriptors;
mod object;
mod other;

use std::time::Duration;

use icecast_ext_tests::icecast::{Icecast, Setup};
use icecast_ext_tests::module::Module;
use icecast_ext_tests::stage::{RATE, noise};
use icecast_ext_tests::tap::Tap;
use icecast_ext_tests::truth::find;

const SOON: Duration = Duration::from_secs(15);
/// Where the module's log goes, if nothing speaks against it.
const LOG: &str = "log = \"{dir}/module.log\"\n";

/// An Icecast whose module is told this.
fn told(config: &str) -> Setup {
    Setup {
        module: Some(Module {
            config: config.to_owned(),
        }),
        ..Setup::default()
    }
}

/// The lines that say why it stands aside, wherever they are.
fn reasons(icecast: &Icecast) -> Vec<String> {
    let all = icecast.output() + &icecast.read("module.log");
    let lines = all.lines().filter(|line| line.contains("stands aside"));
    lines.map(str::to_owned).collect()
}

/// A listener hears what the source sends, and of no place in it; one line says `why`.
async fn is_stock(icecast: &Icecast, why: &str) {
    let reasons = reasons(icecast);
    assert!(
        reasons.len() == 1 && reasons[0].contains(why),
        "{why}: {reasons:?}"
    );
    let source = noise(icecast.addr(), "/live.mp3", 1)
        .await
        .expect("a source");
    icecast.wait_mount("/live.mp3").await;
    let tap = Tap::aware(icecast.addr(), "/live.mp3")
        .await
        .expect("an answer");
    assert_eq!((tap.head.status, tap.head.place()), (200, None), "{why}");
    tap.wait_len(RATE / 2, SOON).await;
    assert!(find(&source.sent(), &tap.body()).is_some(), "{why}");
}

/// A listener is told its place, and hears what the source sent from there on.
async fn is_at_work(icecast: &Icecast) {
    let source = noise(icecast.addr(), "/live.mp3", 1)
        .await
        .expect("a source");
    icecast.wait_mount("/live.mp3").await;
    let tap = Tap::aware(icecast.addr(), "/live.mp3")
        .await
        .expect("an answer");
    let place = tap.head.place().expect("a place");
    let resume = place.resume(1000);
    let further = [("Resume-Offset", resume.as_str())];
    let further = Tap::open(icecast.addr(), "/live.mp3", &further)
        .await
        .expect("an answer");
    for (tap, offset) in [(tap, place.offset), (further, place.offset + 1000)] {
        assert_eq!(tap.head.place().map(|place| place.offset), Some(offset));
        tap.wait_len(RATE / 2, SOON).await;
        let body = tap.body();
        assert_eq!(source.sent()[offset as usize..][..body.len()], body);
    }
}

#[tokio::test]
async fn a_configuration_that_cannot_be_used_is_said_and_the_server_is_stock() {
    let cases = [
        ("windw = 3\n", "windw"),
        ("window = 0\n", "write 1 to 86400"),
        ("window = \n", "module.toml: line 2"),
        ("log-level = \"icecast_ext_preload=loud\"\n", "log-level"),
    ];
    for (config, why) in cases {
        let icecast = Icecast::with(told(&format!("{LOG}{config}")))
            .await
            .unwrap();
        is_stock(&icecast, why).await;
    }
}

#[tokio::test]
async fn so_is_one_that_cannot_be_read() {
    for path in ["/nonexistent/module.toml", "/proc/self/mem", "/etc"] {
        let setup = Setup {
            environment: vec![format!("ICECAST_EXT_CONFIG={path}")],
            ..told("")
        };
        let icecast = Icecast::with(setup).await.unwrap();
        is_stock(&icecast, path).await;
    }
}

#[tokio::test]
async fn so_is_a_log_that_cannot_be_written() {
    for log in ["/nonexistent/module.log", "/etc/icecast2", "/proc/version"] {
        let icecast = Icecast::with(told(&format!("log = \"{log}\"\n")))
            .await
            .unwrap();
        is_stock(&icecast, "name a file that can be written").await;
    }
}

#[tokio::test]
async fn a_second_module_leaves_the_stream_to_the_first() {
    let scratch = icecast_ext_tests::child::Scratch::new("second").unwrap();
    let object = icecast_ext_tests::module::shared_object().unwrap();
    let second = scratch.file("another_name.so");
    std::fs::copy(object, &second).unwrap();
    let setup = Setup {
        preload: vec![second],
        ..told(LOG)
    };
    let icecast = Icecast::with(setup).await.unwrap();
    let reasons = reasons(&icecast);
    assert!(
        reasons.len() == 1 && reasons[0].contains("is loaded already"),
        "{reasons:?}"
    );
    is_at_work(&icecast).await;
}
