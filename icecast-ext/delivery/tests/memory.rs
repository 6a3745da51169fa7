//! All back buffers together stay within their limit, and a listener's mount is the last to shrink.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::*;
use icecast_ext_core::plan::Cursor;
use icecast_ext_delivery::EngineConfig;

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
