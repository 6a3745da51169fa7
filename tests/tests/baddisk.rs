//! A state directory that fills up, is read-only, or has gone: streams go on, and the journal comes back.

use std::path::{Path, PathBuf};
use std::time::Duration;

use icecast_ext_tests::disk::Disk;
use icecast_ext_tests::icecast;
use icecast_ext_tests::proxy;
use icecast_ext_tests::stage::{RATE, Stage};
use icecast_ext_tests::truth::find;
use icecast_ext_tests::wait::{wait_for, wait_until};

const SOON: Duration = Duration::from_secs(20);
const BROKEN: &str = "the state directory cannot be written";
const MENDED: &str = "the journal is written again";

/// A proxy with its state here, and a burst of 8 s, so that a slow restart still overlaps.
async fn stage(state: &Path) -> Stage {
    let server = icecast::Setup {
        burst: 8 * RATE,
        ..icecast::Setup::default()
    };
    let flags = ["--state".to_owned(), state.display().to_string()];
    let stage = Stage::proxied(server, |upstream| proxy::Setup {
        flags: flags.to_vec(),
        ..proxy::Setup::before(upstream)
    });
    stage.await.expect("the stage is set")
}

fn segments(state: &Path) -> Vec<PathBuf> {
    let mounts = std::fs::read_dir(state.join("mounts"));
    let files = mounts.into_iter().flatten().flatten().flat_map(|mount| {
        let files = std::fs::read_dir(mount.path());
        files
            .into_iter()
            .flatten()
            .flatten()
            .map(|file| file.path())
    });
    files.collect()
}

fn written(state: &Path) -> u64 {
    let sizes = segments(state)
        .into_iter()
        .filter_map(|path| std::fs::metadata(path).ok());
    sizes.map(|about| about.len()).sum()
}

async fn says(stage: &Stage, line: &str, times: usize) {
    wait_for(line, SOON, || {
        stage.proxy.log().matches(line).count() >= times
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fills_up_costs_no_listener_a_byte_and_the_journal_comes_back() {
    let disk = Disk::new(8192).unwrap();
    let mut stage = stage(disk.path()).await;
    wait_for("a journal", SOON, || written(disk.path()) > RATE as u64).await;
    disk.fill().unwrap();
    says(&stage, BROKEN, 1).await;
    let log = stage.proxy.log();
    assert!(log.contains("free some space"), "{log}");
    stage.bystander.wait_more(3 * RATE, SOON).await;
    assert_eq!(stage.bystander.ended(), None);
    disk.free().unwrap();
    says(&stage, MENDED, 1).await;
    // Both mounts write again, and what is written is of use.
    let before = written(disk.path());
    wait_for("more of it", SOON, || {
        written(disk.path()) > before + 4 * RATE as u64
    })
    .await;
    stage.proxy.kill();
    stage.bystander.wait_end(SOON).await;
    let place = stage.bystander.head.place().expect("a place");
    let heard = stage.bystander.audio();
    stage.proxy.restart().await.unwrap();
    let ask = place.resume(heard.len() as u64);
    let resumed = wait_until("an answer", SOON, async || {
        let tap = stage.ask("/live.mp3", &ask).await.ok()?;
        (tap.head.status == 200).then_some(tap)
    })
    .await;
    let at = resumed.head.place().expect("a place");
    assert_eq!(
        (&at.epoch, at.offset),
        (&place.epoch, place.offset + heard.len() as u64)
    );
    resumed.wait_len(2 * RATE, SOON).await;
    let all = [heard, resumed.audio()].concat();
    assert!(
        find(&stage.source.sent(), &all).is_some(),
        "every byte once"
    );
    assert!(!stage.proxy.log().contains("panicked"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_directory_is_taken_up_when_it_can_be_written_and_made_again_when_it_has_gone() {
    let disk = Disk::new(8192).unwrap();
    disk.read_only(true).unwrap();
    let state = disk.path().join("state");
    let stage = stage(&state).await;
    let log = stage.proxy.log();
    assert!(log.contains(BROKEN) && log.contains("remount it"), "{log}");
    disk.read_only(false).unwrap();
    says(&stage, MENDED, 1).await;
    wait_for("a journal", SOON, || written(&state) > RATE as u64).await;

    std::fs::remove_dir_all(&state).unwrap();
    says(&stage, MENDED, 2).await;
    wait_for("a journal", SOON, || written(&state) > RATE as u64).await;
    assert!(state.join("lock").exists());
    stage.unharmed().await;
}
