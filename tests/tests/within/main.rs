//! An Icecast with the module speaks the extension, at its own port: what the proxy does, it does.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot be had fails the test"
)]

use std::time::Duration;

use icecast_ext_tests::icecast::{self, Icecast};
use icecast_ext_tests::module::Module;
use icecast_ext_tests::source::Streaming;
use icecast_ext_tests::stage::{RATE, noise};
use icecast_ext_tests::tap::Tap;
use icecast_ext_tests::truth::find;

mod journal;
mod moves;
mod players;
mod positions;
mod tls;

const SOON: Duration = Duration::from_secs(20);

fn setup(more: &str, config: &str) -> icecast::Setup {
    icecast::Setup {
        more: more.to_owned(),
        module: Some(Module {
            config: config.to_owned(),
        }),
        ..icecast::Setup::default()
    }
}

/// An Icecast with the module, and a source whose content never repeats.
async fn start(more: &str, config: &str) -> (Icecast, Streaming) {
    let icecast = Icecast::with(setup(more, config)).await.unwrap();
    let source = noise(icecast.addr(), "/live.mp3", 1).await.unwrap();
    icecast.wait_mount("/live.mp3").await;
    (icecast, source)
}

/// An aware answer at that position, or wherever `resume` says.
async fn ask(icecast: &Icecast, resume: &str) -> Tap {
    Tap::open(icecast.addr(), "/live.mp3", &[("Resume-Offset", resume)])
        .await
        .unwrap()
}

/// What an answer holds is the source's, from the byte that it says on.
fn is_at_its_place(tap: &Tap, sent: &[u8]) {
    let place = tap.head.place().unwrap();
    let audio = tap.audio();
    let from = usize::try_from(place.offset).unwrap();
    assert!(!audio.is_empty());
    assert!(
        sent[from..].starts_with(&audio),
        "{} bytes that are not those from {from} on, but {:?}",
        audio.len(),
        find(sent, &audio)
    );
}
