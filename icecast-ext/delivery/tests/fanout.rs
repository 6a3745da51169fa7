//! Listeners on real sockets.

#![expect(clippy::unwrap_used, reason = "a test says where it fails")]

mod common;

use std::io::Write as _;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::*;
use icecast_ext_core::address::Session;
use icecast_ext_core::icy::{Deinterleaver, Part};
use icecast_ext_core::plan::Cursor;
use icecast_ext_delivery::{Engine, EngineConfig, Error, Kind, Mount, MountConfig, Reason};

/// Appends `total` bytes of epoch 1 in chunks of any size, over about a second.
fn feed(mount: &Arc<Mount>, from: u64, total: u64) {
    let mut random = Random(total);
    let mut at = from;
    while at < from + total {
        let len = (random.below(9000) + 1).min(from + total - at);
        mount.append(&content(1, at, len), Some(at / 16));
        at += len;
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn two_hundred_listeners_get_every_byte_from_where_they_joined() {
    let (engine, _ends) = engine(EngineConfig::default());
    let mount = engine.mount("/live", quick());
    mount.begin(run(1, 0));
    mount.append(&content(1, 0, 100_000), Some(0));
    mount.flush();
    let total = 1_000_000;
    let whole = Arc::new(content(1, 0, total));
    let writer = {
        let mount = Arc::clone(&mount);
        thread::spawn(move || {
            feed(&mount, 100_000, total - 100_000);
            mount.close();
        })
    };
    let mut random = Random(7);
    let listeners: Vec<_> = (0..200)
        .map(|i| {
            let edge = mount.with(|timeline| timeline.edge()).unwrap().offset.get();
            let from = random.below(edge + 1);
            let (mut client, server) = pair();
            let mut admission =
                admission(server, &mount, Cursor::plain(position(1, from), true, true));
            admission.head = Bytes::from(format!("head {i}\r\n\r\n"));
            let head = admission.head.clone();
            engine.admit(admission).unwrap();
            thread::sleep(Duration::from_millis(random.below(4)));
            let slow = random.below(4) == 0;
            let whole = Arc::clone(&whole);
            thread::spawn(move || {
                let mut got = Vec::new();
                let mut random = Random(i + 1);
                let mut scrap = vec![0; 50_000];
                loop {
                    let len = random.below(scrap.len() as u64) as usize + 1;
                    let n = std::io::Read::read(&mut client, &mut scrap[..len]).unwrap();
                    if n == 0 {
                        break;
                    }
                    got.extend_from_slice(&scrap[..n]);
                    if slow {
                        thread::sleep(Duration::from_millis(random.below(20)));
                    }
                }
                assert!(got.starts_with(&head));
                assert!(got[head.len()..] == whole[from as usize..], "from {from}");
            })
        })
        .collect();
    for listener in listeners {
        listener.join().unwrap();
    }
    writer.join().unwrap();
    until("all are counted out", || {
        mount.listeners().total() == 0 && engine.listeners() == 0
    });
}

#[test]
fn icy_listeners_get_audio_and_titles_apart() {
    let (engine, _ends) = engine(EngineConfig::default());
    let mount = engine.mount("/live", quick());
    mount.begin(run(1, 0));
    mount.append(&content(1, 0, 50_000), Some(0));
    mount.title(None, "StreamTitle='one';".into());
    mount.append(&content(1, 50_000, 50_000), Some(100));
    mount.flush();
    let clients: Vec<_> = [0, 1, 4095, 60_000]
        .into_iter()
        .map(|from| {
            let (client, server) = pair();
            let metaint = NonZeroU32::new(4096).unwrap();
            let mut admission = admission(
                server,
                &mount,
                Cursor::icy(position(1, from), metaint, true, true),
            );
            admission.kind = Kind::Icy;
            engine.admit(admission).unwrap();
            (from, client)
        })
        .collect();
    until("they are counted", || mount.listeners().icy == 4);
    feed(&mount, 100_000, 100_000);
    mount.title(None, "StreamTitle='two';".into());
    feed(&mount, 200_000, 10_000);
    mount.close();
    for (from, mut client) in clients {
        let mut icy = Deinterleaver::new(NonZeroU32::new(4096).unwrap());
        let mut parts = Vec::new();
        icy.feed(read_to_end(&mut client).into(), &mut parts);
        let (mut audio, mut text) = (Vec::new(), Vec::new());
        for part in parts {
            match part {
                Part::Audio(bytes) => audio.extend_from_slice(&bytes),
                Part::Block(bytes) => text.extend_from_slice(&bytes),
            }
        }
        assert_content(1, from, &audio, "icy");
        assert_eq!(from + audio.len() as u64, 210_000);
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text.matches("StreamTitle='one';").count(), 1, "{text}");
        assert_eq!(text.matches("StreamTitle='two';").count(), 1, "{text}");
        assert!(text.contains("StreamAt='200000';"), "{text}");
    }
}

#[test]
fn a_stuck_listener_is_cut_and_a_slow_one_is_not() {
    let (engine, ends) = engine(EngineConfig {
        stuck: Duration::from_millis(400),
        ..EngineConfig::default()
    });
    let mount = engine.mount("/live", quick());
    mount.begin(run(1, 0));
    let whole = Cursor::plain(position(1, 0), true, true);
    let mut good = listen(&engine, &mount, whole);
    let mut slow = listen(&engine, &mount, whole);
    let (stuck, server) = pair();
    let mut admission = admission(server, &mount, whole);
    admission.id = 66;
    engine.admit(admission).unwrap();
    let total = 5_000_000;
    let reader = thread::spawn(move || {
        let got = read_to_end(&mut good);
        assert_content(1, 0, &got, "good");
        got.len()
    });
    let slow = thread::spawn(move || {
        let mut got = Vec::new();
        let mut scrap = vec![0; 400_000];
        loop {
            let n = std::io::Read::read(&mut slow, &mut scrap).unwrap();
            if n == 0 {
                break;
            }
            got.extend_from_slice(&scrap[..n]);
            thread::sleep(Duration::from_millis(60));
        }
        assert_content(1, 0, &got, "slow");
        got.len()
    });
    for at in (0..total).step_by(100_000) {
        mount.append(&content(1, at, 100_000), Some(at / 100));
    }
    mount.flush();
    let ended = ends.recv_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!((ended.id, ended.reason), (66, Reason::Stuck));
    drop(stuck);
    mount.close();
    assert_eq!(reader.join().unwrap() as u64, total);
    assert_eq!(slow.join().unwrap() as u64, total);
}

#[test]
fn stock_listeners_are_carried_across_a_splice_and_aware_ones_end_there() {
    let (engine, ends) = engine(EngineConfig::default());
    let mount = engine.mount("/live", quick());
    mount.begin(run(1, 100));
    mount.append(&content(1, 100, 5000), Some(0));
    mount.flush();
    let mut stock = listen(
        &engine,
        &mount,
        Cursor::plain(position(1, 2000), false, true),
    );
    let mut aware = listen(
        &engine,
        &mount,
        Cursor::plain(position(1, 2000), true, true),
    );
    mount.begin(run(2, 0));
    mount.append(&content(2, 0, 3000), Some(0));
    assert_content(1, 2000, &read_to_end(&mut aware), "aware");
    let ended = ends.recv_timeout(Duration::from_secs(5)).unwrap();
    assert_eq!((ended.reason, ended.audio_bytes), (Reason::Epoch, 3100));
    assert_content(1, 2000, &read(&mut stock, 3100), "stock, before");
    assert_content(2, 0, &read(&mut stock, 3000), "stock, after");
}

#[test]
fn a_listener_is_served_at_once_and_not_at_the_next_tick() {
    let (engine, _ends) = engine(EngineConfig::default());
    let mount = engine.mount(
        "/live",
        MountConfig {
            tick: Duration::from_secs(3600),
            ..MountConfig::default()
        },
    );
    mount.begin(run(1, 0));
    let began = Instant::now();
    mount.append(&content(1, 0, 1000), Some(0));
    let mut early = listen(&engine, &mount, Cursor::plain(position(1, 0), true, true));
    assert_content(1, 0, &read(&mut early, 1000), "the first bytes of a run");
    let mut late = listen(&engine, &mount, Cursor::plain(position(1, 600), true, true));
    assert_content(1, 600, &read(&mut late, 400), "a join");
    assert!(began.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_session_that_comes_back_closes_its_first_connection() {
    let (engine, ends) = engine(EngineConfig::default());
    let mount = engine.mount("/live", quick());
    mount.begin(run(1, 0));
    let session = Session::from_bytes([3; 16]);
    let (_ghost, server) = pair();
    let mut first = admission(server, &mount, Cursor::plain(position(1, 0), true, true));
    first.session = Some(session);
    engine.admit(first).unwrap();
    assert!(!engine.close_session(&mount, Session::from_bytes([4; 16])));
    let other = engine.mount("/other", quick());
    assert!(!engine.close_session(&other, session));
    assert!(engine.close_session(&mount, session));
    assert_eq!(
        ends.recv_timeout(Duration::from_secs(5)).unwrap().reason,
        Reason::Replaced
    );
    assert_eq!(mount.listeners().total(), 0);
    assert!(!engine.close_session(&mount, session));
}

#[test]
fn a_peer_that_hangs_up_is_noticed_and_one_that_talks_is_not_disturbed() {
    let (engine, ends) = engine(EngineConfig::default());
    let mount = engine.mount("/live", quick());
    mount.begin(run(1, 0));
    let mut talks = listen(&engine, &mount, Cursor::plain(position(1, 0), true, true));
    let leaves = listen(&engine, &mount, Cursor::plain(position(1, 0), true, true));
    until("both are in", || mount.listeners().plain == 2);
    for _ in 0..100 {
        talks.write_all(&[7; 10_000]).unwrap();
    }
    drop(leaves);
    assert_eq!(
        ends.recv_timeout(Duration::from_secs(5)).unwrap().reason,
        Reason::PeerClosed
    );
    mount.append(&content(1, 0, 1000), Some(0));
    assert_content(1, 0, &read(&mut talks, 1000), "talks");
    talks.write_all(&[7; 10_000]).unwrap();
    mount.close();
    assert_eq!(
        read_to_end(&mut talks),
        b"",
        "a FIN, not an RST, though input was waiting"
    );
}

#[test]
fn a_position_that_has_left_the_window_ends_the_response() {
    let (engine, ends) = engine(EngineConfig::default());
    let mount = engine.mount(
        "/live",
        MountConfig {
            cap: 10_000,
            ..quick()
        },
    );
    mount.begin(run(1, 0));
    for at in (0..100_000).step_by(1000) {
        mount.append(&content(1, at, 1000), Some(at));
        mount.flush();
    }
    assert!(mount.held() <= 11_000);
    let mut client = listen(&engine, &mount, Cursor::plain(position(1, 5), true, true));
    assert_eq!(read_to_end(&mut client), b"");
    assert_eq!(
        ends.recv_timeout(Duration::from_secs(5)).unwrap().reason,
        Reason::Evicted
    );
}

#[test]
fn shutting_down_drains_those_who_read_and_cuts_those_who_do_not() {
    let (engine, ends) = engine(EngineConfig::default());
    let mount = engine.mount("/live", quick());
    mount.begin(run(1, 0));
    mount.append(&content(1, 0, 8_000_000), Some(0));
    mount.flush();
    let mut reads = listen(&engine, &mount, Cursor::plain(position(1, 0), true, true));
    let sleeps = listen(&engine, &mount, Cursor::plain(position(1, 0), true, true));
    mount.append(&content(1, 8_000_000, 10), Some(1));
    let reader = thread::spawn(move || read_to_end(&mut reads));
    engine.shutdown(Duration::from_millis(500));
    let got = reader.join().unwrap();
    assert_eq!(got.len(), 8_000_010, "unpublished bytes too");
    assert_content(1, 0, &got, "drained");
    drop(sleeps);
    let reasons: Vec<_> = ends.try_iter().map(|ended| ended.reason).collect();
    assert_eq!(reasons, [Reason::Shutdown, Reason::Shutdown]);
    let (_client, server) = pair();
    let refused = engine.admit(admission(
        server,
        &mount,
        Cursor::plain(position(1, 0), true, true),
    ));
    assert!(matches!(refused, Err(Error::ShutDown)));
}

#[test]
fn a_thousand_mounts_are_published_by_one_thread() {
    let engine = Engine::start(EngineConfig::default(), |_| {}).unwrap();
    let mounts: Vec<_> = (0..1000)
        .map(|i| engine.mount(&format!("/{i}"), quick()))
        .collect();
    for mount in &mounts {
        mount.begin(run(1, 0));
        mount.append(&content(1, 0, 100), Some(0));
    }
    until("all are published", || {
        mounts.iter().all(|mount| mount.held() == 100)
    });
}
