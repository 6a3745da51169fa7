//! The course of most cases: the client joins, is cut, comes back at the next byte, and what it has written is what it was sent.

use std::time::Duration;

use super::host::{Asked, Body, From, Host, Reply};
use super::process::Process;
use super::scene::{Scene, Stream};
use crate::case::{Stop, Verdict, expect};
use crate::content::difference;
use crate::field::Position;

/// How long a client may take to ask: it may wait for some seconds between attempts (R-CLIENT-3).
pub(super) const ASKS: Duration = Duration::from_secs(15);
/// How long bytes may take through the client, and its words to be seen.
pub(super) const WRITES: Duration = Duration::from_secs(8);
/// Where cases join: far from 0, so that a forgotten offset is seen.
pub(super) const START: u64 = 100_000;
/// How much most answers carry.
pub(super) const SOME: usize = 5000;

/// A client, its relays, and what it must have written.
pub(super) struct Play {
    /// The first relay.
    pub(super) host: Host,
    /// The second, if there is one.
    pub(super) other: Option<Host>,
    /// The client.
    pub(super) client: Process,
    /// What is served at first.
    pub(super) stream: Stream,
    /// Where the client has to go on.
    pub(super) next: Position,
    heard: Vec<u8>,
    scene: Scene,
}

impl Play {
    /// Starts the client with one relay.
    pub(super) async fn begin(scene: &Scene) -> Result<Self, Stop> {
        Self::start(scene, false).await
    }

    /// Starts it with two.
    pub(super) async fn begin_with_two(scene: &Scene) -> Result<Self, Stop> {
        Self::start(scene, true).await
    }

    async fn start(scene: &Scene, two: bool) -> Result<Self, Stop> {
        let host = scene.host().await?;
        let other = match two {
            true => Some(scene.host().await?),
            false => None,
        };
        let second = other.as_ref().map(|other| other.url("/live.mp3"));
        let client = scene.start(&host.url("/live.mp3"), second.as_deref())?;
        Ok(Self::new(scene, host, other, client))
    }

    /// With a client that was started another way.
    pub(super) fn new(scene: &Scene, host: Host, other: Option<Host>, client: Process) -> Self {
        let stream = scene.stream();
        let next = stream.at(START);
        Self {
            host,
            other,
            client,
            stream,
            next,
            heard: Vec::new(),
            scene: scene.clone(),
        }
    }

    /// The next request at the first relay.
    ///
    /// # Errors
    /// If none comes, blocked by R-RESUME-1.
    pub(super) async fn again(&mut self) -> Result<Asked, Stop> {
        if let Some(asked) = self.host.next(ASKS).await {
            return Ok(asked);
        }
        Err(Stop::blocked("R-RESUME-1", self.gone().await))
    }

    /// Why no request comes.
    pub(super) async fn gone(&mut self) -> String {
        let ended = tokio::time::timeout(Duration::from_millis(100), self.client.ended()).await;
        match ended {
            Ok(how) => format!("the client has ended ({how})"),
            Err(_) => format!("no request within {} s", ASKS.as_secs()),
        }
    }

    /// The first request, which has to be one for `live`.
    ///
    /// # Errors
    /// Otherwise, blocked by R-JOIN-1.
    pub(super) async fn first(&mut self) -> Result<Asked, Stop> {
        let Some(asked) = self.host.next(ASKS).await else {
            return Err(Stop::blocked("R-JOIN-1", self.gone().await));
        };
        match asked.from() {
            From::Live => Ok(asked),
            other => Err(Stop::blocked("R-JOIN-1", format!("it asks for {other}"))),
        }
    }

    /// Answers with the stream from where the client stands, and sends so many bytes of it.
    pub(super) async fn serve(&mut self, asked: Asked, parameters: &str, count: usize) -> Body {
        let mut body = asked.answer(&Reply::at(&self.next, parameters)).await;
        self.send(&mut body, count).await;
        body
    }

    /// Sends the next bytes.
    pub(super) async fn send(&mut self, body: &mut Body, count: usize) {
        let bytes = self.stream.bytes(self.next.offset, count);
        body.send(&bytes).await;
        self.counted(&bytes);
    }

    /// These bytes were sent another way, and count.
    pub(super) fn counted(&mut self, bytes: &[u8]) {
        self.hears(bytes);
        self.next = self.next.plus(bytes.len());
    }

    /// These bytes were sent another way, and are for the decoder only.
    pub(super) fn hears(&mut self, bytes: &[u8]) {
        self.heard.extend_from_slice(bytes);
    }

    /// From here on another position is next, of this stream or another.
    pub(super) fn moves(&mut self, stream: Stream, offset: u64) {
        self.next = stream.at(offset);
        self.stream = stream;
    }

    /// A join at [`START`], [`SOME`] bytes, and an orderly end: the client is then at [`Play::next`].
    ///
    /// # Errors
    /// If the client does not join.
    pub(super) async fn join(&mut self, parameters: &str) -> Verdict {
        let asked = self.first().await?;
        self.serve(asked, parameters, SOME).await.fin().await;
        Ok(())
    }

    /// The next request, which has to be for the next byte.
    ///
    /// # Errors
    /// Otherwise, blocked by R-RESUME-1.
    pub(super) async fn exact(&mut self) -> Result<Asked, Stop> {
        let asked = self.again().await?;
        match asked.from() {
            From::At(at) if at == self.next => Ok(asked),
            other => Err(Stop::blocked(
                "R-RESUME-1",
                format!("it asks for {other} instead of {}", self.next),
            )),
        }
    }

    /// Fails unless the next request is for the next byte.
    ///
    /// # Errors
    /// If it is not, or none comes.
    pub(super) async fn goes_on(&mut self, where_: &str) -> Result<Asked, Stop> {
        let asked = self.again().await?;
        let expected = format!("a request for {}, {where_}", self.next);
        expect(
            asked.from() == From::At(self.next.clone()),
            expected,
            format!("a request for {}", asked.from()),
        )?;
        Ok(asked)
    }

    /// Fails unless the client has written what it was sent, and nothing else.
    ///
    /// # Errors
    /// If not.
    pub(super) async fn wrote(&self, expected: &str) -> Verdict {
        let audio = self.client.audio(self.heard.len(), WRITES).await;
        if let Some(observed) = difference(&self.heard, &audio) {
            return Err(Stop::fail(
                expected,
                format!("on standard output, {observed}"),
            ));
        }
        expect(
            audio.len() == self.heard.len(),
            expected,
            format!(
                "{} bytes on standard output instead of {}",
                audio.len(),
                self.heard.len()
            ),
        )
    }

    /// Fails unless the client says that something is lost: so many bytes, or nobody knows how many.
    ///
    /// # Errors
    /// If it does not.
    pub(super) async fn says_lost(&self, bytes: Option<u64>, within: Duration) -> Verdict {
        let so = |said: &str| said.lines().any(|line| is_loss(line, bytes));
        if self.client.says(within, so).await {
            return Ok(());
        }
        let number = bytes.map_or_else(String::new, |bytes| format!(" and {bytes}"));
        let lines = self.client.said().lines().count();
        Err(Stop::fail(
            format!("a line with \"lost\"{number} on standard error"),
            format!("none in {lines} lines"),
        ))
    }
}

impl Play {
    /// Fails if the client has said that something is lost.
    ///
    /// # Errors
    /// If it has.
    pub(super) fn says_nothing_lost(&self) -> Verdict {
        let said = self.client.said();
        match said.lines().find(|line| is_loss(line, None)) {
            None => Ok(()),
            Some(line) => Err(Stop::fail("no word of a loss", line)),
        }
    }
}

impl Drop for Play {
    fn drop(&mut self) {
        self.scene.heard(self.client.said());
    }
}

/// Whether a line says that so many bytes are lost. Numbers may be grouped: `12 345`, `12,345`, `12_345`.
fn is_loss(line: &str, bytes: Option<u64>) -> bool {
    let line = line.to_lowercase();
    let lost = ["lost", "loss"].iter().any(|word| line.contains(word));
    let Some(bytes) = bytes else { return lost };
    let chars: Vec<char> = line.chars().collect();
    let digit = |at: usize| chars.get(at).is_some_and(char::is_ascii_digit);
    let grouped = |at: usize| {
        let gap = |at: usize| {
            chars
                .get(at)
                .is_some_and(|c| " ,_'\u{a0}\u{202f}".contains(*c))
        };
        gap(at) && at > 0 && digit(at - 1) && (1..4).all(|on| digit(at + on)) && !digit(at + 4)
    };
    let plain: String = (0..chars.len())
        .filter(|at| !grouped(*at))
        .map(|at| chars[at])
        .collect();
    let number = bytes.to_string();
    lost && plain
        .split(|c: char| !c.is_ascii_digit())
        .any(|word| word == number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_read() {
        for line in [
            "lost 12345 bytes: gone",
            "LOST 12 345 bytes",
            r#"{"event":"lost","bytes":12345}"#,
            "loss of 12,345 bytes at 7",
        ] {
            assert!(is_loss(line, Some(12345)), "{line}");
            assert!(is_loss(line, None), "{line}");
        }
        for line in [
            "lost 123456 bytes",
            "12345 bytes",
            "lost 112345",
            "lost 1 2345",
        ] {
            assert!(!is_loss(line, Some(12345)), "{line}");
        }
    }
}
