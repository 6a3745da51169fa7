//! A service manager that listens to what it is told.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use tokio::net::UnixDatagram;
use tokio::task::JoinHandle;

use crate::child::Scratch;

/// A `NOTIFY_SOCKET`.
#[derive(Debug)]
pub struct Manager {
    scratch: Scratch,
    told: Arc<Mutex<Vec<String>>>,
    reader: JoinHandle<()>,
}

impl Manager {
    /// A new one.
    ///
    /// # Errors
    /// If the socket cannot be made.
    pub fn new() -> Result<Self> {
        let scratch = Scratch::new("manager")?;
        let socket = UnixDatagram::bind(scratch.file("notify"))?;
        let told = Arc::new(Mutex::new(Vec::new()));
        let writer = Arc::clone(&told);
        let reader = tokio::spawn(async move {
            let mut message = [0; 4096];
            while let Ok(len) = socket.recv(&mut message).await {
                let text = String::from_utf8_lossy(&message[..len]).into_owned();
                writer.lock().expect("no panic while held").push(text);
            }
        });
        Ok(Self {
            scratch,
            told,
            reader,
        })
    }

    /// What `NOTIFY_SOCKET` says.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.scratch.file("notify")
    }

    /// All messages so far, each a list of lines.
    #[must_use]
    pub fn told(&self) -> Vec<String> {
        self.told.lock().expect("no panic while held").clone()
    }

    /// How many messages have this line.
    #[must_use]
    pub fn count(&self, line: &str) -> usize {
        let told = self.told();
        told.iter()
            .filter(|message| message.lines().any(|this| this == line))
            .count()
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        self.reader.abort();
    }
}
