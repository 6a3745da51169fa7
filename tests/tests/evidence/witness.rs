//! A listener that keeps evidence of what it hears, as an honest client does.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use icecast_ext_core::anchor::{Collector, Evidence};
use icecast_ext_tests::http::{Head, request};
use icecast_ext_tests::truth::find;
use icecast_ext_tests::wait::wait_for;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::SOON;

#[derive(Default)]
struct Kept {
    collector: Collector,
    audio: Vec<u8>,
}

/// It listens until it is dropped.
pub(crate) struct Witness {
    began: Instant,
    kept: Arc<Mutex<Kept>>,
    task: JoinHandle<()>,
}

impl Witness {
    pub(crate) async fn start(addr: SocketAddr, mount: &str) -> Self {
        let mut socket = TcpStream::connect(addr).await.unwrap();
        let request = request("GET", mount, addr, &[("Resume-Offset", "live")]);
        socket.write_all(&request).await.unwrap();
        let mut bytes = Vec::new();
        let head = loop {
            assert!(socket.read_buf(&mut bytes).await.unwrap() > 0, "no answer");
            if let Some(head) = Head::parse(&bytes).unwrap() {
                break head;
            }
        };
        assert_eq!(head.status, 200, "{head:?}");
        assert_eq!(head.place().unwrap().prelude, 0);
        bytes.drain(..head.len);
        let (kept, began) = (Arc::new(Mutex::new(Kept::default())), Instant::now());
        let to = Arc::clone(&kept);
        let task = tokio::spawn(async move {
            loop {
                {
                    let mut to = to.lock().unwrap();
                    to.collector.feed(&bytes, began.elapsed());
                    to.audio.append(&mut bytes);
                }
                if socket.read_buf(&mut bytes).await.unwrap() == 0 {
                    return;
                }
            }
        });
        Self { began, kept, task }
    }

    /// Until there is something to prove by.
    pub(crate) async fn hear(&self, time: Duration) {
        wait_for("enough to be heard", 3 * time, || {
            self.began.elapsed() >= time
        })
        .await;
    }

    /// Until these bytes have been heard.
    pub(crate) async fn has(&self, bytes: &[u8]) {
        wait_for("the bytes sent last", SOON, || {
            find(&self.kept.lock().unwrap().audio, bytes).is_some()
        })
        .await;
    }

    /// What it has to say now, and all that it has heard.
    pub(crate) fn evidence(&self) -> (Evidence, Vec<u8>) {
        let kept = self.kept.lock().unwrap();
        let evidence = kept
            .collector
            .evidence(self.began.elapsed(), Duration::ZERO);
        (evidence.expect("enough was heard"), kept.audio.clone())
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The same as if the newest cuts were none: with a tail of up to `most` bytes.
pub(crate) fn with_long_tail(mut evidence: Evidence, most: u32) -> Evidence {
    while evidence.chunks.len() > 1 && evidence.tail + evidence.chunks[0].len <= most {
        evidence.tail += evidence.chunks.remove(0).len;
    }
    evidence
}
