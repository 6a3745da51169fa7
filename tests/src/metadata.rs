//! Titles through `/admin/metadata`.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use tokio::task::JoinSet;

use crate::http::{Answer, basic, get};
use crate::icecast::PASSWORD;
use crate::tap::Tap;

/// Sets a mount's title; every byte of it is percent-encoded.
///
/// # Errors
/// If there is no answer.
pub async fn set_title(addr: SocketAddr, mount: &str, title: &str) -> Result<Answer> {
    let mut song = String::new();
    for byte in title.bytes() {
        song.push_str(&format!("%{byte:02x}"));
    }
    let auth = basic("source", PASSWORD);
    let target = format!("/admin/metadata?mode=updinfo&mount={mount}&charset=UTF-8&song={song}");
    get(addr, &target, &[("Authorization", &auth)]).await
}

/// Sets `Title 1`, `Title 2` and so on at each mount until it is dropped, with `apart` bytes of the stream between them: a
/// server that stands still for a while does not let one title overtake another.
///
/// # Panics
/// If the server is gone.
pub async fn announce(addr: SocketAddr, mounts: [&'static str; 2], apart: usize) {
    let mut all = JoinSet::new();
    for mount in mounts {
        all.spawn(async move {
            let tap = Tap::open(addr, mount, &[]).await.expect("a stream");
            for i in 1.. {
                let set = set_title(addr, mount, &format!("Title {i}")).await;
                assert_eq!(set.expect("an answer").head.status, 200);
                tap.wait_more(apart, Duration::from_secs(60)).await;
            }
        });
    }
    all.join_all().await;
}
