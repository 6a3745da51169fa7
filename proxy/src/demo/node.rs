//! A server of the demo: this very executable, in a process of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStderr, Command};

use super::board::Shared;

/// How long a server may take to say where it listens.
const START: Duration = Duration::from_secs(10);
/// What `serve` says then, before the address.
const LISTENING: &str = "listening on ";

/// A server that can be killed and started again, at the same address.
pub(super) struct Node {
    index: usize,
    address: SocketAddr,
    arguments: Vec<String>,
    /// Where its log goes, if anywhere.
    log: Option<std::path::PathBuf>,
    board: Shared,
    child: Option<Child>,
}

impl Node {
    /// The server that is `index` on the board, with `arguments` for `serve`; not started yet.
    pub(super) fn new(
        index: usize,
        address: SocketAddr,
        arguments: impl IntoIterator<Item = String>,
        logs: Option<&Path>,
        board: Shared,
    ) -> Self {
        let name = board
            .lock()
            .nodes
            .get(index)
            .map_or("server", |node| node.name);
        let log = logs.map(|dir| dir.join(format!("{}.log", name.replace(' ', "-"))));
        Self {
            index,
            address,
            arguments: arguments.into_iter().collect(),
            log,
            board,
            child: None,
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn is_up(&self) -> bool {
        self.child.is_some()
    }

    /// Starts it, and waits until it listens.
    pub(super) async fn start(&mut self) -> anyhow::Result<()> {
        let program = std::env::current_exe().context("finding our own executable")?;
        let mut child = Command::new(program)
            .args([
                "serve",
                "--until-stdin-closes",
                "--listen",
                &self.address.to_string(),
            ])
            .args(&self.arguments)
            .env("NO_COLOR", "1")
            .env("ICECAST_EXT_LOG", "info")
            // Held by us alone: when we end, however that happens, it ends too.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting a server")?;
        let stderr = child.stderr.take().context("a server without stderr")?;
        let mut log = BufReader::new(stderr);
        let said = tokio::time::timeout(START, self.listening(&mut log)).await;
        self.address = said.context("a server did not start within 10 s")??;
        tokio::spawn(keep(log, self.log.clone()));
        self.child = Some(child);
        self.show(|node| node.up = true);
        Ok(())
    }

    /// Reads its log up to the line that says where it listens.
    async fn listening(&self, log: &mut BufReader<ChildStderr>) -> anyhow::Result<SocketAddr> {
        let mut said = String::new();
        loop {
            let start = said.len();
            if log.read_line(&mut said).await? == 0 {
                bail!(
                    "a server on {} did not start; it said:\n{said}",
                    self.address
                );
            }
            if let Some(address) = address(&said[start..]) {
                write(self.log.as_deref(), said.as_bytes()).await;
                return Ok(address);
            }
        }
    }

    /// SIGKILL: it has no time to say goodbye.
    pub(super) async fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            self.show(|node| {
                node.up = false;
                node.kills += 1;
            });
            child.kill().await.context("killing a server")?;
        }
        Ok(())
    }

    /// Bails if the server has ended without being told to.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        if let Some(child) = &mut self.child
            && let Some(status) = child.try_wait()?
        {
            bail!(
                "the server on {} ended by itself ({status}); see its log with --logs DIR",
                self.address
            );
        }
        Ok(())
    }

    fn show(&self, change: impl FnOnce(&mut super::board::Node)) {
        if let Some(node) = self.board.lock().nodes.get_mut(self.index) {
            node.address = self.address.to_string();
            change(node);
        }
    }
}

fn address(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once(LISTENING)?;
    rest.split_whitespace().next()?.parse().ok()
}

/// Reads a log to its end, so that its writer never waits.
async fn keep(log: BufReader<ChildStderr>, path: Option<std::path::PathBuf>) {
    let mut lines = log.lines();
    while let Ok(Some(mut line)) = lines.next_line().await {
        line.push('\n');
        write(path.as_deref(), line.as_bytes()).await;
    }
}

async fn write(path: Option<&Path>, text: &[u8]) {
    if let Some(path) = path
        && let Ok(mut file) = tokio::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .await
    {
        let _ = file.write_all(text).await;
        let _ = file.flush().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_from_the_log() {
        let line =
            "2026-01-01T00:00:00Z  INFO icecast_ext_proxy::serve: listening on 127.0.0.1:41234\n";
        assert_eq!(
            address(line),
            Some(SocketAddr::from(([127, 0, 0, 1], 41_234)))
        );
        assert_eq!(address("INFO open files most=1024"), None);
    }
}
