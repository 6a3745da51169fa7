//! All back buffers together stay within their limit, and a listener's mount is the last to shrink.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::*;
use icecast_ext_core::plan::Cursor;
use icecast_ext_delivery::{EngineConfig, MountConfig};

#[test]
fn a_mount_without_listeners_shrinks_and_one_with_a_listener_does_not() {
    let (engine, _ends) = engine(EngineConfig {
        memory: 1 << 20,
        ..EngineConfig::default()
    });
    let busy = engine.mount("/busy", quick());
    let idle = engine.mount("/idle", quick());
    busy.begin(run(1, 0));
    idle.begin(run(2, 0));
    let mut listener = listen(&engine, &busy, Cursor::plain(position(1, 0), true, true));
    for at in (0..800).map(|n| n * 1000) {
        busy.append(&content(1, at, 1000), Some(at / 16));
        idle.append(&content(2, at, 1000), Some(at / 16));
        busy.flush();
        idle.flush();
    }
    let limit = 1 << 20;
    until("within the limit", || busy.held() + idle.held() <= limit);
    assert_eq!(busy.held(), 800_000);
    assert!(idle.held() >= 64 << 10, "what heals a pull stays");
    assert_content(1, 0, &read(&mut listener, 800_000), "the listener");
}

#[test]
fn a_window_that_is_told_to_shrink_does_and_a_listener_inside_it_notices_nothing() {
    let (engine, _ends) = engine(EngineConfig::default());
    let mount = engine.mount("/live", quick());
    mount.begin(run(1, 0));
    let feed = {
        let mount = mount.clone();
        // 1000 bytes a second of the clock that is told.
        move |seconds: std::ops::Range<u64>| {
            for second in seconds {
                mount.append(&content(1, second * 1000, 1000), Some(second * 1000));
                mount.flush();
            }
        }
    };
    feed(0..60);
    assert_eq!(mount.held(), 60_000);
    let mut listener = listen(&engine, &mount, Cursor::plain(position(1, 0), true, true));
    assert_content(1, 0, &read(&mut listener, 60_000), "before");
    let window = |seconds| MountConfig {
        window: std::time::Duration::from_secs(seconds),
        burst: 3000,
        ..quick()
    };
    mount.reconfigure(window(10));
    feed(60..61);
    assert!(mount.held() <= 12_000, "{}", mount.held());
    let join = mount.start(&icecast_ext_core::field::Resume::LIVE).unwrap();
    assert_eq!(join.at, position(1, 58_000), "the burst is another too");
    mount.reconfigure(window(120));
    feed(61..100);
    assert!(mount.held() >= 49_000, "{}", mount.held());
    assert_content(1, 60_000, &read(&mut listener, 40_000), "after");
}
