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

/// What Icecast sends a listener at once, bytes at most.
const BURST: usize = 66_000;

/// Sets titles until it is dropped.
#[derive(Debug)]
pub struct Titles(JoinSet<()>);

impl Titles {
    /// Sets `Title 1` at each mount, and then `Title 2` and so on. There are `apart` bytes of the stream between them: a
    /// server that stands still for a while does not let one title overtake another.
    ///
    /// # Panics
    /// If the server is gone.
    pub async fn start(addr: SocketAddr, mounts: [&'static str; 2], apart: usize) -> Self {
        let mut all = JoinSet::new();
        for mount in mounts {
            let set = async move |n: u32| {
                let set = set_title(addr, mount, &format!("Title {n}")).await;
                assert_eq!(set.expect("an answer").head.status, 200);
            };
            set(1).await;
            all.spawn(async move {
                let tap = Tap::open(addr, mount, &[]).await.expect("a stream");
                // The burst was sent before.
                let mut next = BURST + apart;
                for n in 2.. {
                    tap.wait_len(next, Duration::from_secs(60)).await;
                    set(n).await;
                    next = tap.len() + apart;
                }
            });
        }
        Self(all)
    }
}

impl Drop for Titles {
    /// # Panics
    /// If titles were not set to the end.
    fn drop(&mut self) {
        if let Some(ended) = self.0.try_join_next()
            && !std::thread::panicking()
        {
            ended.expect("titles are set to the end");
        }
    }
}
