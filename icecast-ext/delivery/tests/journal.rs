//! What a mount leaves behind, and what comes back.

#![expect(clippy::unwrap_used, reason = "a test says where it fails")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::*;
use icecast_ext_core::buffer::RunStart;
use icecast_ext_core::codec::Format;
use icecast_ext_delivery::{Error, Journal, Mount, MountConfig};

fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(dir.join("mounts/mlive"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "seg"))
        .collect();
    found.sort();
    found
}

/// All that a timeline says, without the runs' names, which count from the process's start, and without a time that only the
/// bytes before the window's first had.
fn timeline(mount: &Mount) -> String {
    mount.with(|timeline| {
        let runs: Vec<_> = timeline
            .runs()
            .map(|run| {
                let known = run.times.partition_point(|(at, _)| *at <= run.window.first);
                let times: Vec<_> = run.times.iter().skip(known.saturating_sub(1)).collect();
                format!(
                    "{:?}",
                    (
                        (run.epoch, run.window, run.format, run.tick_ms, &run.fields),
                        (&run.titles, times, &run.preludes, &run.syncs),
                        (run.splice, run.ended),
                    )
                )
            })
            .collect();
        runs.join("\n")
    })
}

/// A stream of MPEG frames (144 bytes each) with titles, two epochs and a splice between them.
fn live(mount: &Arc<Mount>, chunks: u64) {
    let frame = |n: u64| {
        let mut frame = vec![0xff, 0xfb, 0x10, 0xc4];
        frame.extend((4..104).map(|i| (n * 31 + i) as u8 & 0x7f));
        frame
    };
    for half in 0..2_u8 {
        mount.begin(RunStart {
            format: Format::Mpeg,
            prelude: (half == 1).then(|| Bytes::from_static(b"prelude")),
            ..run(half + 1, u64::from(half) * 50)
        });
        for n in 0..chunks {
            if n % 7 == 3 {
                mount.title(None, format!("StreamTitle='{half}-{n}';").into());
            }
            let bytes: Vec<u8> = (0..3).flat_map(|i| frame(n * 3 + i)).collect();
            mount.append(
                &bytes,
                Some(1_000_000 + (u64::from(half) * chunks + n) * 250),
            );
            mount.flush();
        }
    }
}

fn config() -> MountConfig {
    MountConfig {
        window: Duration::from_secs(20),
        ..MountConfig::default()
    }
}

#[test]
fn a_timeline_comes_back_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    let mount = Mount::new("/live", config());
    assert_eq!(mount.attach(&journal).edge, None);
    live(&mount, 60);
    let before = (
        timeline(&mount),
        mount.tail(usize::MAX),
        mount.edge_with_pending(),
    );
    let counts = mount.with(|timeline| {
        let counts = timeline
            .runs()
            .map(|run| (run.syncs.len(), run.titles.len(), run.times.len()));
        counts.collect::<Vec<_>>()
    });
    // Titles outlive their bytes.
    assert_eq!(counts, [(6, 9, 21), (18, 9, 60)]);
    drop(mount);
    drop(journal);

    let journal = Journal::open(dir.path()).unwrap();
    let mount = Mount::new("/live", config());
    let loaded = mount.attach(&journal);
    assert_eq!(timeline(&mount), before.0);
    assert!(mount.tail(usize::MAX) == before.1, "other bytes");
    assert_eq!(loaded.edge, before.2);
    assert_eq!(loaded.bytes, mount.held());

    // What follows is recorded too.
    mount.append(&[0xff; 300], Some(2_000_000));
    mount.title(None, "StreamTitle='after';".into());
    mount.end();
    let before = timeline(&mount);
    drop(mount);
    drop(journal);
    let journal = Journal::open(dir.path()).unwrap();
    let mount = Mount::new("/live", config());
    assert_eq!(mount.attach(&journal).edge, None, "the run had ended");
    assert_eq!(timeline(&mount), before);
}

#[test]
fn a_journal_cut_at_any_byte_loads_a_prefix() {
    let dir = tempfile::tempdir().unwrap();
    {
        let journal = Journal::open(dir.path()).unwrap();
        let mount = Mount::new("/live", config());
        mount.attach(&journal);
        for half in 1..3 {
            mount.begin(run(half, 7));
            mount.title(None, "a title".into());
            for n in 0..3 {
                mount.append(&content(half, 7 + n * 10, 10), Some(1_000_000 + n));
                mount.flush();
            }
        }
    }
    let [segment] = &segments(dir.path())[..] else {
        panic!("one segment");
    };
    let whole = fs::read(segment).unwrap();
    let mut edges = Vec::new();
    for len in 0..=whole.len() {
        for old in segments(dir.path()) {
            fs::remove_file(old).unwrap();
        }
        fs::write(segment, &whole[..len]).unwrap();
        let journal = Journal::open(dir.path()).unwrap();
        let mount = Mount::new("/live", config());
        let loaded = mount.attach(&journal);
        assert!(
            edges.last().is_none_or(|(bytes, _)| *bytes <= loaded.bytes),
            "at {len}"
        );
        edges.push((loaded.bytes, timeline(&mount)));
        if let Some(edge) = loaded.edge {
            // It goes on from there, and so does the next start.
            mount.append(b"more", Some(1_002_000));
            mount.end();
            drop(mount);
            drop(journal);
            let journal = Journal::open(dir.path()).unwrap();
            let again = Mount::new("/live", config());
            again.attach(&journal);
            assert!(again.held() >= loaded.bytes, "at {len}");
            let epochs = again.with(|t| t.runs().next_back().map(|run| run.epoch));
            assert_eq!(epochs, Some(edge.epoch), "at {len}");
        }
    }
    edges.dedup();
    assert!(edges.len() >= 6, "{} different prefixes", edges.len());
}

#[test]
fn damage_in_the_middle_costs_what_came_before_it() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        let journal = Journal::open(dir.path()).unwrap();
        let mount = Mount::new("/live", config());
        let loaded = mount.attach(&journal);
        match loaded.edge {
            None => live(&mount, 3),
            Some(_) => {
                for _ in 0..3 {
                    mount.append(&[1; 500], Some(1_010_000));
                    mount.flush();
                }
            }
        }
    }
    let files = segments(dir.path());
    assert_eq!(files.len(), 3);
    let middle = &files[1];
    let mut bytes = fs::read(middle).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(middle, bytes).unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    let mount = Mount::new("/live", config());
    let loaded = mount.attach(&journal);
    assert_eq!(loaded.bytes, 1500, "the last segment");
    assert_eq!(mount.tail(9999), [1; 1500]);
    assert!(!middle.exists());
}

#[test]
fn another_version_and_foreign_files_are_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let mounts = dir.path().join("mounts/mlive");
    fs::create_dir_all(&mounts).unwrap();
    fs::write(mounts.join("000000000001.seg"), b"ICXJ\0\x63whatever").unwrap();
    fs::write(mounts.join("000000000002.seg"), b"not a journal at all").unwrap();
    fs::write(mounts.join("000000000003.seg"), b"ICX").unwrap();
    fs::write(mounts.join("notes.txt"), b"mine").unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    let mount = Mount::new("/live", config());
    assert_eq!(mount.attach(&journal).bytes, 0);
    assert!(mounts.join("000000000001.seg.aside").exists());
    assert!(mounts.join("000000000002.seg.aside").exists());
    assert!(
        !mounts.join("000000000003.seg").exists(),
        "one that was being made"
    );
    assert!(mounts.join("notes.txt").exists());
    live(&mount, 3);
    journal.sync();
    assert_eq!(segments(dir.path()).len(), 1);
}

#[test]
fn a_locked_directory_names_its_holder() {
    let dir = tempfile::tempdir().unwrap();
    let held = Journal::open(dir.path()).unwrap();
    match Journal::open(dir.path()) {
        Err(Error::Locked { pid, .. }) => assert_eq!(pid, std::process::id().to_string()),
        other => panic!("{other:?}"),
    }
    drop(held);
    Journal::open(dir.path()).unwrap();
}

#[test]
fn segments_whose_bytes_have_left_the_window_are_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    let mount = Mount::new(
        "/live",
        MountConfig {
            cap: 1 << 20,
            window: Duration::from_millis(400),
            ..MountConfig::default()
        },
    );
    mount.attach(&journal);
    mount.begin(run(1, 0));
    let mut most = 0;
    // The clock of the bytes makes the window; the process's clock, a quarter of the window, makes segments.
    for n in 0..100 {
        mount.append(&content(1, n * 1000, 1000), Some(n * 10));
        mount.flush();
        std::thread::sleep(Duration::from_millis(10));
        journal.sync();
        most = most.max(segments(dir.path()).len());
    }
    assert!((3..10).contains(&most), "{most} segments");
    let before = (timeline(&mount), mount.tail(usize::MAX));
    drop(mount);
    drop(journal);
    let journal = Journal::open(dir.path()).unwrap();
    let mount = Mount::new(
        "/live",
        MountConfig {
            cap: 1 << 20,
            window: Duration::from_millis(400),
            ..MountConfig::default()
        },
    );
    mount.attach(&journal);
    assert_eq!(timeline(&mount), before.0);
    assert!(mount.tail(usize::MAX) == before.1, "other bytes");
}

#[test]
fn a_mount_goes_on_when_its_journal_cannot_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    fs::write(dir.path().join("mounts"), b"in the way").unwrap();
    let mount = Mount::new("/live", config());
    mount.attach(&journal);
    live(&mount, 5);
    journal.sync();
    assert!(mount.held() > 0);
}

#[test]
fn a_mount_is_remembered_while_somebody_may_want_it_and_then_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    let mount = Mount::new("/live", MountConfig::default());
    mount.attach(&journal);
    live(&mount, 3);
    journal.sync();
    assert_eq!(journal.mounts(Duration::from_secs(3600)), ["/live"]);
    assert!(!segments(dir.path()).is_empty());
    until("a moment later", || {
        journal.mounts(Duration::ZERO).is_empty()
    });
    assert!(!dir.path().join("mounts/mlive").exists());
}
