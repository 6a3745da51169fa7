//! Listeners that are told to go, or to go on in another mount.

#![expect(clippy::unwrap_used, reason = "a test says where it fails")]

mod common;

use std::io::Read as _;
use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use common::*;
use icecast_ext_core::buffer::RunStart;
use icecast_ext_core::codec::Format;
use icecast_ext_core::frame::{Decoder, Frame};
use icecast_ext_core::icy::{Deinterleaver, Part};
use icecast_ext_core::plan::Cursor;
use icecast_ext_delivery::{EngineConfig, Kind, MountConfig, Reason};

const WAIT: Duration = Duration::from_secs(10);

#[test]
fn a_kicked_listener_ends_with_a_fin_and_no_other_does() {
    let (engine, ends) = engine(EngineConfig::default());
    let mount = engine.mount("/live", quick());
    let other = engine.mount("/other", quick());
    for mount in [&mount, &other] {
        mount.begin(run(1, 0));
        mount.append(&content(1, 0, 5000), Some(0));
        mount.flush();
    }
    let mut clients: Vec<_> = (0..8)
        .map(|id| {
            let (client, server) = pair();
            let mut admission =
                admission(server, &mount, Cursor::plain(position(1, 0), false, true));
            admission.id = id;
            engine.admit(admission).unwrap();
            client
        })
        .collect();
    engine.kick(&other, 3);
    engine.kick(&mount, 77);
    engine.kick(&mount, 3);
    let ended = ends.recv_timeout(WAIT).unwrap();
    assert_eq!((ended.id, ended.reason), (3, Reason::Kicked));
    let kicked = read_to_end(&mut clients[3]);
    assert_content(1, 0, &kicked, "what was queued");
    mount.append(&content(1, 5000, 100), Some(1));
    for (id, client) in clients.iter_mut().enumerate().filter(|(id, _)| *id != 3) {
        assert_content(1, 0, &read(client, 5100), &format!("listener {id}"));
    }
    assert_eq!(mount.listeners().total(), 7);
    assert!(ends.try_recv().is_err());
}

#[test]
fn a_kick_finds_its_listener_among_many_wherever_it_is() {
    let (engine, ends) = engine(EngineConfig::default());
    let mounts = [engine.mount("/a", quick()), engine.mount("/b", quick())];
    for mount in &mounts {
        mount.begin(run(1, 0));
        mount.append(&content(1, 0, 1000), Some(0));
        mount.flush();
    }
    let many = 300;
    let mut clients: Vec<_> = (0..many)
        .map(|id| {
            let (client, server) = pair();
            let at = Cursor::plain(position(1, 500), false, true);
            let mut admission = admission(server, &mounts[0], at);
            admission.id = id;
            engine.admit(admission).unwrap();
            client
        })
        .collect();
    engine.carry(&mounts[0], &mounts[1], |_| {});
    until("all are in the other one", || {
        mounts[1].listeners().total() == many as usize
    });
    let goes = |id: &u64| id.is_multiple_of(3);
    for id in (0..many).filter(goes) {
        engine.kick(&mounts[0], id + 1); // is there no more
        engine.kick(&mounts[1], id);
        engine.kick(&mounts[1], id); // twice is once
    }
    let mut kicked: Vec<_> = (0..many)
        .filter(goes)
        .map(|_| ends.recv_timeout(WAIT).unwrap())
        .map(|ended| (ended.id, ended.reason))
        .collect();
    kicked.sort_by_key(|(id, _)| *id);
    let told = (0..many).filter(goes).map(|id| (id, Reason::Kicked));
    assert_eq!(kicked, told.collect::<Vec<_>>());
    mounts[1].close();
    for (id, client) in (0..).zip(&mut clients) {
        let got = read_to_end(client);
        assert_content(1, 500, &got[..500], &format!("{id}, before"));
        assert_content(1, 0, &got[500..], &format!("{id}, after"));
    }
    let rest = ends.iter().take((many - many.div_ceil(3)) as usize);
    assert!(
        rest.into_iter()
            .all(|ended| ended.reason == Reason::MountClosed)
    );
}

/// The tick that the feed's FORMAT says.
fn told(socket: &mut std::net::TcpStream) -> u32 {
    let mut decoder = Decoder::default();
    let mut frames = Vec::new();
    let mut scrap = [0; 100];
    while frames.is_empty() {
        let n = socket.read(&mut scrap).unwrap();
        assert!(n > 0, "a FORMAT is first");
        let bytes = Bytes::copy_from_slice(&scrap[..n]);
        decoder.feed(bytes, &mut frames).unwrap();
    }
    match &frames[0] {
        Frame::Format { tick_ms, .. } => *tick_ms,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_slower_tick_ends_the_relays_that_were_told_a_quicker_one_and_nobody_else() {
    let (engine, ends) = engine(EngineConfig::default());
    let mount = engine.mount("/live", quick());
    mount.begin(run(1, 0));
    mount.append(&content(1, 0, 5000), Some(0));
    mount.flush();
    let mut listener = listen(&engine, &mount, Cursor::plain(position(1, 0), true, true));
    let relay = |id| {
        let (client, server) = pair();
        let mut admission = admission(server, &mount, Cursor::feed(position(1, 0)));
        (admission.id, admission.kind) = (id, Kind::Feed);
        engine.admit(admission).unwrap();
        client
    };
    let tick = |ms| MountConfig {
        tick: Duration::from_millis(ms),
        ..quick()
    };
    let mut first = relay(1);
    assert_eq!(told(&mut first), 20);
    mount.reconfigure(tick(10));
    mount.reconfigure(tick(300));
    let ended = ends.recv_timeout(WAIT).unwrap();
    assert_eq!((ended.id, ended.reason), (1, Reason::Moved));
    assert_eq!(told(&mut relay(2)), 300, "where the first one was, too");
    // A quicker one is within what they were told.
    let mut third = relay(3);
    assert_eq!(told(&mut third), 300);
    mount.reconfigure(tick(20));
    assert_eq!(told(&mut relay(4)), 20);
    mount.append(&content(1, 5000, 100), Some(1));
    assert_content(1, 0, &read(&mut listener, 5100), "the listener");
    mount.close();
    read_to_end(&mut third);
}

#[test]
fn carried_listeners_go_on_in_the_other_mount_and_the_rest_stay_or_end() {
    let (engine, ends) = engine(EngineConfig::default());
    let from = engine.mount("/from", quick());
    let to = engine.mount(
        "/to",
        MountConfig {
            burst: 1000,
            ..quick()
        },
    );
    let webm = engine.mount("/webm", quick());
    from.begin(run(1, 0));
    to.begin(RunStart {
        prelude: Some("headers".into()),
        ..run(2, 0)
    });
    webm.begin(RunStart {
        format: Format::Webm,
        ..run(3, 0)
    });
    for (mount, n) in [(&from, 1), (&to, 2), (&webm, 3)] {
        mount.append(&content(n, 0, 5000), Some(0));
        mount.flush();
    }
    let at = position(1, 4000);
    let metaint = NonZeroU32::new(3000).unwrap();
    let mut clients = Vec::new();
    for (id, kind, cursor) in [
        (0, Kind::Plain, Cursor::plain(at, false, true)),
        (1, Kind::Icy, Cursor::icy(at, metaint, false, true)),
        (2, Kind::Plain, Cursor::plain(at, true, true)),
        (3, Kind::Feed, Cursor::feed(at)),
        (4, Kind::Plain, Cursor::plain(at, false, false)),
    ] {
        let (client, server) = pair();
        let mut admission = admission(server, &from, cursor);
        (admission.id, admission.kind) = (id, kind);
        engine.admit(admission).unwrap();
        clients.push(client);
    }
    for client in &mut clients[..3] {
        assert_content(1, 4000, &read(client, 1000), "before");
    }
    // Another format takes nobody; a mount that holds nothing neither.
    engine.carry(&from, &webm, |_| panic!("another format"));
    engine.carry(&from, &engine.mount("/empty", quick()), |_| {
        panic!("nothing there")
    });
    let (moved, carried) = std::sync::mpsc::channel();
    engine.carry(&from, &to, move |id| moved.send(id).unwrap());
    let mut gone: Vec<_> = (0..2)
        .map(|_| ends.recv_timeout(WAIT).unwrap())
        .map(|ended| (ended.id, ended.reason))
        .collect();
    gone.sort_by_key(|(id, _)| *id);
    assert_eq!(gone, [(2, Reason::Moved), (3, Reason::Moved)]);
    assert_eq!(carried.iter().collect::<Vec<_>>(), [0]);
    assert_eq!(read(&mut clients[0], 7), b"headers");
    assert_content(2, 4000, &read(&mut clients[0], 1000), "carried");
    until("counts follow", || {
        (to.listeners().plain, from.listeners().total()) == (1, 2)
    });
    // A prelude has no place between ICY blocks, so that one stays, and so does a decoder that does not go on.
    from.append(&content(1, 5000, 500), Some(1));
    to.append(&content(2, 5000, 500), Some(1));
    assert_content(2, 5000, &read(&mut clients[0], 500), "goes on there");
    assert_content(1, 5000, &read(&mut clients[1], 500), "ICY stays");
    assert_content(1, 4000, &read(&mut clients[4], 1500), "stays");
    assert_eq!(read_to_end(&mut clients[2]), b"");
}

#[test]
fn an_icy_phase_goes_on_across_mounts() {
    let (engine, _ends) = engine(EngineConfig::default());
    let (from, to) = (engine.mount("/from", quick()), engine.mount("/to", quick()));
    for (mount, n) in [(&from, 1), (&to, 2)] {
        mount.begin(run(n, 0));
        mount.append(&content(n, 0, 1000), Some(0));
        mount.title(None, format!("StreamTitle='{n}';").into());
        mount.append(&content(n, 1000, 1000), Some(1));
        mount.flush();
    }
    let metaint = NonZeroU32::new(700).unwrap();
    let (mut client, server) = pair();
    let mut admission = admission(
        server,
        &from,
        Cursor::icy(position(1, 1000), metaint, false, true),
    );
    admission.kind = Kind::Icy;
    engine.admit(admission).unwrap();
    until("it has heard the first mount", || {
        let mut scrap = [0; 1001];
        client.peek(&mut scrap).unwrap() == 1001
    });
    engine.carry(&from, &to, |_| {});
    until("it is in the second", || to.listeners().icy == 1);
    to.close();
    let mut icy = Deinterleaver::new(metaint);
    let mut parts = Vec::new();
    icy.feed(read_to_end(&mut client).into(), &mut parts);
    let (mut audio, mut titles) = (Vec::new(), Vec::new());
    for part in parts {
        match part {
            Part::Audio(bytes) => audio.extend_from_slice(&bytes),
            Part::Block(text) => titles.push(String::from_utf8(text.to_vec()).unwrap()),
        }
    }
    assert_content(1, 1000, &audio[..1000], "the first mount");
    assert_content(2, 0, &audio[1000..], "the second");
    assert_eq!(titles, ["StreamTitle='1';", "StreamTitle='2';"]);
}

#[test]
fn an_engine_that_retires_sends_what_is_held_and_keeps_those_who_cannot_resume() {
    let (engine, ends) = engine(EngineConfig::default());
    let mount = engine.mount("/live", quick());
    mount.begin(run(1, 0));
    mount.append(&content(1, 0, 5000), Some(0));
    mount.flush();
    let mut clients = Vec::new();
    for (id, kind, cursor) in [
        (0, Kind::Plain, Cursor::plain(position(1, 0), true, true)),
        (1, Kind::Feed, Cursor::feed(position(1, 0))),
        (2, Kind::Plain, Cursor::plain(position(1, 0), false, true)),
    ] {
        let (client, server) = pair();
        let mut admission = admission(server, &mount, cursor);
        (admission.id, admission.kind) = (id, kind);
        engine.admit(admission).unwrap();
        clients.push(client);
    }
    engine.retire(false);
    let mut gone: Vec<_> = (0..2)
        .map(|_| ends.recv_timeout(WAIT).unwrap())
        .map(|ended| (ended.id, ended.reason))
        .collect();
    gone.sort_by_key(|(id, _)| *id);
    assert_eq!(gone, [(0, Reason::Shutdown), (1, Reason::Shutdown)]);
    let all = read_to_end(&mut clients[0]);
    assert_eq!(all.len(), 5000);
    assert_content(1, 0, &all, "what was held");
    mount.append(&content(1, 5000, 500), Some(1));
    assert_content(1, 0, &read(&mut clients[2], 5500), "a stock player");
    assert!(ends.try_recv().is_err());
}
