//! The plain stream of a server that knows nothing, of which this one is the minter (R-RELAY-5).

use std::io;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::heal::{Healed, heal};
use super::mount::Mount;
use super::serve::House;
use crate::http::Head;

/// An upstream is dead after such a silence.
const SILENCE: Duration = Duration::from_secs(5);

/// Reads a plain stream, as its minter (R-RELAY-5).
pub(crate) async fn read(
    house: &House,
    mount: &Mount,
    head: &Head,
    mut stream: TcpStream,
    ahead: Vec<u8>,
    cut: Option<Instant>,
) -> io::Result<()> {
    if house.config.is("no-feed-no-service") {
        return Err(io::Error::other("no feed"));
    }
    let kind = head.field("Content-Type").unwrap_or_default();
    mount.change(|state| {
        state.timeline.content_type = kind;
        state.fields = head
            .fields
            .iter()
            .filter(|(name, _)| {
                let lower = name.to_ascii_lowercase();
                lower.starts_with("icy-") && lower != "icy-metaint"
            })
            .cloned()
            .collect();
    });
    let metaint = head
        .field("icy-metaint")
        .and_then(|value| value.parse::<usize>().ok());
    let mut blocks = Blocks {
        metaint,
        until: metaint.unwrap_or(usize::MAX),
        pending: ahead,
    };
    let mut piece = vec![0; 64 * 1024];
    let mut trial = cut
        .filter(|_| mount.edge().is_some())
        .map(|cut| (cut, Vec::new(), Instant::now()));
    let bug = |id: &str| house.config.is(id);
    if trial.is_none() {
        mount.end();
    }
    loop {
        for part in blocks.take() {
            match (part, &mut trial) {
                (Part::Title(text), _) => mount.title(&text),
                (Part::Audio(audio), None) => mount.push(&audio),
                (Part::Audio(audio), Some((_, new, _))) => new.extend_from_slice(&audio),
            }
        }
        if let Some((cut, new, began)) = &trial
            && began.elapsed() > Duration::from_millis(600)
        {
            let healed = {
                let state = mount.lock();
                let run = state.timeline.runs.back();
                #[expect(clippy::cast_precision_loss, reason = "bytes a second")]
                let rate = run.and_then(super::timeline::Run::rate).unwrap_or(16_000) as f64;
                let since = cut.elapsed().as_secs_f64();
                run.map_or(Healed::No, |run| {
                    heal(run, new, since, rate, bug("trusts-content"))
                })
            };
            let new = new.clone();
            trial = None;
            match healed {
                Healed::At(from) => mount.push(&new[from..]),
                _ => {
                    mount.end();
                    mount.push(&new);
                }
            }
        }
        match timeout(SILENCE, stream.read(&mut piece))
            .await
            .map_err(io::Error::other)??
        {
            0 => return Ok(()),
            read => blocks.pending.extend_from_slice(&piece[..read]),
        }
    }
}

/// A plain body with ICY blocks, as it comes.
struct Blocks {
    metaint: Option<usize>,
    until: usize,
    pending: Vec<u8>,
}

enum Part {
    Audio(Vec<u8>),
    Title(Vec<u8>),
}

impl Blocks {
    fn take(&mut self) -> Vec<Part> {
        let mut out = Vec::new();
        while !self.pending.is_empty() {
            if self.until == 0 {
                let length = usize::from(self.pending[0]) * 16;
                if self.pending.len() < 1 + length {
                    break;
                }
                let block: Vec<u8> = self.pending.drain(..=length).skip(1).collect();
                let end = block
                    .iter()
                    .rposition(|octet| *octet != 0)
                    .map_or(0, |last| last + 1);
                if end > 0 {
                    out.push(Part::Title(block[..end].to_vec()));
                }
                self.until = self.metaint.unwrap_or(usize::MAX);
            }
            let count = self.pending.len().min(self.until);
            if count > 0 {
                out.push(Part::Audio(self.pending.drain(..count).collect()));
                self.until -= count;
            }
        }
        out
    }
}
