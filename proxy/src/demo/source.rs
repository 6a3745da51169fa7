//! The demo's source client: sends the content to the origin as it would play, and sets a title every few seconds.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::board::Shared;
use super::{content, titles};

/// Between two sends.
const BEAT: Duration = Duration::from_millis(50);
/// Between two titles.
const TITLE: Duration = Duration::from_secs(3);
/// For an answer of the origin.
const PATIENCE: Duration = Duration::from_secs(5);

/// An origin's mount, and how to be its source.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) origin: SocketAddr,
    pub(super) mount: &'static str,
    pub(super) password: String,
}

impl Source {
    fn authorization(&self) -> String {
        let credentials =
            base64::engine::general_purpose::STANDARD.encode(format!("source:{}", self.password));
        format!("Authorization: Basic {credentials}\r\n")
    }

    /// Becomes the source.
    pub(super) async fn connect(&self) -> anyhow::Result<TcpStream> {
        let mut stream = TcpStream::connect(self.origin)
            .await
            .context("connecting to the origin")?;
        stream.set_nodelay(true)?;
        let head = format!(
            "PUT {} HTTP/1.1\r\nHost: {}\r\n{}Content-Type: audio/mpeg\r\nIce-Name: icecast-ext demo\r\nIce-Bitrate: 320\r\n\
             Expect: 100-continue\r\n\r\n",
            self.mount,
            self.origin,
            self.authorization()
        );
        stream.write_all(head.as_bytes()).await?;
        let mut answer = Vec::new();
        let read = async {
            while !answer.ends_with(b"\r\n\r\n") {
                answer.push(
                    stream
                        .read_u8()
                        .await
                        .context("the origin closed the source's connection")?,
                );
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(PATIENCE, read)
            .await
            .context("the origin does not answer the source")??;
        let line = String::from_utf8_lossy(&answer);
        if !line
            .split_whitespace()
            .nth(1)
            .is_some_and(|status| status == "100" || status == "200")
        {
            bail!(
                "the origin refused the source: {}",
                line.lines().next().unwrap_or_default()
            );
        }
        Ok(stream)
    }

    /// Sends frames as they would play until `stop`, then holds the connection for as long as it is not dropped.
    pub(super) async fn send(
        &self,
        mut stream: TcpStream,
        stop: &CancellationToken,
        board: &Shared,
    ) -> anyhow::Result<()> {
        let begun = tokio::time::Instant::now();
        let mut every = tokio::time::interval(BEAT);
        let mut next = 0;
        while !stop.is_cancelled() {
            every.tick().await;
            let due = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
                * content::BYTES_PER_SECOND
                / 1000;
            let mut bytes = Vec::new();
            while content::start_of(next + 1) <= due {
                bytes.extend_from_slice(&content::frame(next));
                next += 1;
            }
            stream
                .write_all(&bytes)
                .await
                .context("the origin broke the source's connection")?;
            board.lock().sent = content::start_of(next);
        }
        std::future::pending().await
    }

    /// Sets a new title every few seconds until `stop`.
    pub(super) async fn title(
        &self,
        stop: &CancellationToken,
        board: &Shared,
    ) -> anyhow::Result<()> {
        let mut every = tokio::time::interval(TITLE);
        for number in 1.. {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = every.tick() => {}
            }
            tokio::time::timeout(PATIENCE, self.set(&titles::text(number)))
                .await
                .context("the origin does not answer a change of title")??;
            board.lock().titles_set = number;
        }
        std::future::pending().await
    }

    async fn set(&self, title: &str) -> anyhow::Result<()> {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("mode", "updinfo")
            .append_pair("mount", self.mount)
            .append_pair("song", title)
            .finish();
        let request = format!(
            "GET /admin/metadata?{query} HTTP/1.0\r\nHost: {}\r\n{}\r\n",
            self.origin,
            self.authorization()
        );
        let mut stream = TcpStream::connect(self.origin).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        let answer = String::from_utf8_lossy(&answer);
        if answer.split_whitespace().nth(1) != Some("200") {
            bail!(
                "the origin refused a title: {}",
                answer.lines().next().unwrap_or_default()
            );
        }
        Ok(())
    }
}
