//! The client that is judged: a process, what it has written so far, and its end.

use std::io;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio::time::timeout;

/// So much of each output is kept. No case sends more than a part of it.
const MOST: usize = 8 << 20;

/// Output that grows.
#[derive(Clone, Default)]
struct Output {
    octets: Arc<Mutex<Vec<u8>>>,
    grown: Arc<Notify>,
}

impl Output {
    fn read(&self, mut from: impl AsyncRead + Unpin + Send + 'static) {
        let output = self.clone();
        tokio::spawn(async move {
            let mut piece = [0; 16 * 1024];
            while let Ok(read @ 1..) = from.read(&mut piece).await {
                let mut octets = output.lock();
                let room = MOST.saturating_sub(octets.len()).min(read);
                octets.extend_from_slice(&piece[..room]);
                drop(octets);
                output.grown.notify_waiters();
            }
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        self.octets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something is so of it; whether it was, in time.
    async fn until(&self, within: Duration, so: impl Fn(&[u8]) -> bool) -> bool {
        let wait = async {
            loop {
                let grown = self.grown.notified();
                tokio::pin!(grown);
                // Whoever looks first and listens then may miss the last byte.
                grown.as_mut().enable();
                if so(&self.lock()) {
                    return;
                }
                grown.await;
            }
        };
        timeout(within, wait).await.is_ok()
    }
}

/// A running client. It ends, with all that it has started, when dropped.
pub(super) struct Process {
    child: Child,
    group: Option<Pid>,
    audio: Output,
    said: Output,
}

impl Process {
    /// Starts a command. `trust` is a file with the certificate of the suite's `https` servers.
    pub(super) fn start(words: &[String], trust: Option<&std::path::Path>) -> io::Result<Self> {
        let (program, args) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        // A proxy of the environment's would stand between the two.
        for name in ["http_proxy", "https_proxy", "all_proxy"] {
            command.env_remove(name).env_remove(name.to_uppercase());
        }
        if let Some(trust) = trust {
            command.env("SSL_CERT_FILE", trust);
        }
        let mut child = command.spawn()?;
        let (audio, said) = (Output::default(), Output::default());
        if let Some(stdout) = child.stdout.take() {
            audio.read(stdout);
        }
        if let Some(stderr) = child.stderr.take() {
            said.read(stderr);
        }
        let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        Ok(Self {
            child,
            group,
            audio,
            said,
        })
    }

    /// The audio so far, once there are so many bytes of it or the time is over.
    pub(super) async fn audio(&self, bytes: usize, within: Duration) -> Vec<u8> {
        self.audio.until(within, |audio| audio.len() >= bytes).await;
        self.audio.lock().clone()
    }

    /// What it has said so far, on standard error.
    pub(super) fn said(&self) -> String {
        String::from_utf8_lossy(&self.said.lock()).into_owned()
    }

    /// Waits until something is so of what it says; whether it was, in time.
    pub(super) async fn says(&self, within: Duration, so: impl Fn(&str) -> bool) -> bool {
        let so = |said: &[u8]| so(&String::from_utf8_lossy(said));
        self.said.until(within, so).await
    }

    /// How it has ended, once it has.
    pub(super) async fn ended(&mut self) -> String {
        match self.child.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A reaped leader's number may be another group's by now; one that is not reaped keeps it.
        if let (Some(group), Ok(None)) = (self.group, self.child.try_wait()) {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}
