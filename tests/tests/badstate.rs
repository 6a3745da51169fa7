//! A state directory that is torn, locked, or somebody else's.

use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use icecast_ext_tests::http::Place;
use icecast_ext_tests::proxy::{self, binary};
use icecast_ext_tests::stage::{RATE, Stage};
use icecast_ext_tests::tap::Tap;
use icecast_ext_tests::truth::find;
use icecast_ext_tests::wait::{wait_for, wait_until};
use icecast_ext_tests::{icecast, port};

const SOON: Duration = Duration::from_secs(15);

/// A burst of 8 s, so that a slow restart still overlaps.
async fn stage() -> Stage {
    let server = icecast::Setup {
        burst: 8 * RATE,
        ..icecast::Setup::default()
    };
    let stage = Stage::proxied(server, |upstream| proxy::Setup {
        state: true,
        ..proxy::Setup::before(upstream)
    });
    let stage = stage.await.expect("the stage is set");
    stage.bystander.wait_more(3 * RATE, SOON).await;
    stage
}

/// Every file of the journal, the newest last.
fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).expect("a directory").flatten() {
            let path = entry.path();
            if path.is_dir() {
                dirs.push(path);
            } else if std::fs::read(&path).is_ok_and(|bytes| bytes.starts_with(b"ICXJ")) {
                found.push(path);
            }
        }
    }
    found.sort_by_key(|path| {
        std::fs::metadata(path)
            .and_then(|meta| meta.modified())
            .ok()
    });
    found
}

/// Kills the proxy, does something to its journal, and starts it again. Then: the place, what was heard, and the answer
/// to who resumes there.
async fn restarted(stage: &mut Stage, mutilate: impl FnOnce(&Path)) -> (Place, Vec<u8>, Tap) {
    let state = stage.proxy.state();
    let written = || {
        segments(&state)
            .iter()
            .filter_map(|path| std::fs::metadata(path).ok())
            .map(|m| m.len())
            .sum()
    };
    let heard = stage.bystander.len() as u64;
    wait_for("the journal", SOON, || {
        let written: u64 = written();
        written > heard
    })
    .await;
    stage.proxy.kill();
    stage.bystander.wait_end(SOON).await;
    mutilate(&state);
    stage
        .proxy
        .restart()
        .await
        .expect("it starts in spite of its journal");
    let place = stage.bystander.head.place().expect("a place");
    let heard = stage.bystander.audio();
    let ask = place.resume(heard.len() as u64);
    let resumed = wait_until("an answer", SOON, async || {
        let tap = stage.ask("/live.mp3", &ask).await.ok()?;
        (tap.head.status == 200).then_some(tap)
    });
    let resumed = resumed.await;
    resumed.wait_len(2 * RATE, SOON).await;
    assert!(
        stage.proxy.runs() && !stage.proxy.log().contains("panicked"),
        "{}",
        stage.proxy.log()
    );
    (place, heard, resumed)
}

/// Never a wrong byte: the answer is exact, or it says that it is not.
fn honest(stage: &Stage, place: &Place, heard: &[u8], resumed: &Tap) {
    let sent = stage.source.sent();
    let at = resumed.head.place().expect("a place");
    let got = resumed.audio();
    if at.epoch == place.epoch {
        let whole =
            find(&sent, heard).expect("what was heard was sent") as i64 - place.offset as i64;
        let start = (whole + at.offset as i64) as usize;
        assert_eq!(
            find(&sent[start..], &got),
            Some(0),
            "other bytes than the place says"
        );
    } else {
        assert!(!at.spliced && at.lost.is_none(), "{at:?}");
        assert!(find(&sent, &got).is_some());
    }
}

fn shorten(path: &Path, by: u64) {
    let file = std::fs::File::options()
        .write(true)
        .open(path)
        .expect("a file");
    let len = file.metadata().expect("a length").len();
    file.set_len(len.saturating_sub(by)).expect("shorter");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_journal_continues_the_epoch() {
    let mut stage = stage().await;
    let (place, heard, resumed) = restarted(&mut stage, |_| ()).await;
    let at = resumed.head.place().unwrap();
    assert_eq!(
        (&at.epoch, at.offset),
        (&place.epoch, place.offset + heard.len() as u64)
    );
    honest(&stage, &place, &heard, &resumed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_journal_loses_its_tail_and_says_so() {
    let mut stage = stage().await;
    let (place, heard, resumed) = restarted(&mut stage, |state| {
        let last = segments(state).pop().expect("a segment");
        shorten(&last, 777);
    })
    .await;
    honest(&stage, &place, &heard, &resumed);
    assert_eq!(
        resumed.head.place().unwrap().epoch,
        place.epoch,
        "what is left still overlaps"
    );
    assert!(stage.proxy.log().contains("torn"), "{}", stage.proxy.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_ends_the_journal_there() {
    let mut stage = stage().await;
    let (place, heard, resumed) = restarted(&mut stage, |state| {
        for path in segments(state) {
            let file = std::fs::File::options()
                .read(true)
                .write(true)
                .open(&path)
                .expect("a file");
            let middle = file.metadata().expect("a length").len() / 2;
            let mut byte = [0];
            file.read_exact_at(&mut byte, middle).expect("a byte");
            file.write_all_at(&[byte[0] ^ 1], middle).expect("another");
        }
    })
    .await;
    honest(&stage, &place, &heard, &resumed);
    assert!(stage.proxy.log().contains("torn"), "{}", stage.proxy.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_of_another_version_is_set_aside() {
    let mut stage = stage().await;
    let (place, heard, resumed) = restarted(&mut stage, |state| {
        for path in segments(state) {
            let file = std::fs::File::options()
                .write(true)
                .open(path)
                .expect("a file");
            file.write_all_at(&[0x7f, 0xff], 4).expect("a version");
        }
    })
    .await;
    honest(&stage, &place, &heard, &resumed);
    assert_ne!(resumed.head.place().unwrap().epoch, place.epoch);
    assert!(
        stage.proxy.log().contains("set aside"),
        "{}",
        stage.proxy.log()
    );
    let kept = segments(&stage.proxy.state());
    let kept = kept
        .iter()
        .filter(|path| std::fs::read(path).is_ok_and(|bytes| bytes[4..6] == [0x7f, 0xff]));
    assert!(kept.count() > 0, "it was thrown away");
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_in_the_state_directory_is_no_obstacle() {
    let mut stage = stage().await;
    let (place, heard, resumed) = restarted(&mut stage, |state| {
        for path in segments(state) {
            std::fs::write(path.with_extension("swp"), b"garbage").expect("a file");
            std::fs::write(path, b"ICXJ").expect("a file");
        }
        std::fs::write(state.join("stray"), b"").expect("a file");
        std::fs::create_dir(state.join("empty")).expect("a directory");
    })
    .await;
    honest(&stage, &place, &heard, &resumed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_directory_in_use_is_refused() {
    let stage = stage().await;
    let state = stage.proxy.state().display().to_string();
    let mut second = Command::new("timeout");
    second.args(["--signal=KILL", "20"]).arg(binary());
    second.args([
        "serve",
        "--listen",
        &port::free().to_string(),
        "--state",
        &state,
    ]);
    second.args(["--upstream", &stage.icecast.url("")]);
    let out = second.output().unwrap();
    let said = [out.stdout, out.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(
        matches!(out.status.code(), Some(1..=2)),
        "{}: {said}",
        out.status
    );
    assert!(said.contains(&state), "it does not say which: {said}");
    assert!(
        said.contains(&stage.proxy.id().unwrap().to_string()),
        "it does not say who has it: {said}"
    );
    stage.unharmed().await;
}
