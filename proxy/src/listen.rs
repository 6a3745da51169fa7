//! `icecast-ext listen`: the resuming client as a command, so that any player can sit behind a pipe.

mod report;
mod words;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use icecast_ext_client::{Error, Event, Listener, Miss};
use icecast_ext_core::address::{Offset, Position};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::time::Instant;

use report::{Report, Style, Summary};

/// Between two redraws of the status line.
const REDRAW: Duration = Duration::from_millis(500);

/// Flags of `listen`.
#[derive(Debug, Default, Clone, clap::Args)]
pub struct Options {
    /// The stream, at one relay or more, the preferred one first; relays that these name are learned
    #[arg(required = true, value_name = "URL")]
    pub urls: Vec<String>,
    /// Write the audio here instead of to standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Go on at this byte, as a former run gave it
    #[arg(long, value_name = "EPOCH.OFFSET", value_parser = position)]
    pub at: Option<Position>,
    /// What to take when a position is no longer held anywhere: the oldest byte there is, the live edge, or an end with an error
    #[arg(long, default_value = "oldest", value_name = "oldest|live|fail", value_parser = miss)]
    pub miss: Miss,
    /// Rather lose audio than be more seconds behind than this after a cut
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub max_lag: Option<Duration>,
    /// Seconds without audio from anywhere after which to end with an error; 0: never
    #[arg(long, default_value = "60", value_name = "SECONDS", value_parser = seconds)]
    pub give_up: Duration,
    /// Do not ask for titles
    #[arg(long)]
    pub no_titles: bool,
    /// Trust the certificate authorities in this file, too, or a server's own certificate (PEM)
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// End after so many bytes of audio
    #[arg(long, value_name = "N")]
    pub bytes: Option<u64>,
    /// End after so many seconds
    #[arg(long, value_name = "N", value_parser = seconds)]
    pub seconds: Option<Duration>,
    /// Say nothing on standard error, unless it ends with an error
    #[arg(short, long, conflicts_with = "json")]
    pub quiet: bool,
    /// Say everything on standard error as JSON, one object a line
    #[arg(long)]
    pub json: bool,
}

fn position(text: &str) -> Result<Position, String> {
    let wrong = || format!("{text:?} is not EPOCH.OFFSET: 22 characters, a point, and a number");
    let (epoch, offset) = text.split_once('.').ok_or_else(wrong)?;
    let offset = offset
        .parse()
        .ok()
        .and_then(Offset::new)
        .ok_or_else(wrong)?;
    Ok(Position::new(epoch.parse().map_err(|_| wrong())?, offset))
}

fn miss(text: &str) -> Result<Miss, String> {
    match text {
        "oldest" => Ok(Miss::Oldest),
        "live" => Ok(Miss::Live),
        "fail" => Ok(Miss::Fail),
        _ => Err("it is oldest, live or fail".into()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| format!("{text:?} is not a number of seconds"))
}

/// Why listening ended, other than by an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// `--bytes` or `--seconds`.
    Limit,
    /// Ctrl-C or SIGTERM.
    Stopped,
    /// Whoever read our output has gone.
    Reader,
}

/// Listens until a limit, Ctrl-C, the reader's end, or until no relay gives audio.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let mut listener = open(&options)?;
    let mut output = Output::open(&options).await?;
    let mut report = Report::new(Style::of(options.quiet, options.json));
    let ended = listen(&options, &mut listener, &mut output, &mut report).await;
    let flushed = output.sink.flush().await;
    let summary = Summary {
        why: ended.as_ref().ok().copied(),
        stats: listener.stats(),
        bytes: output.written,
        next: output.next,
    };
    report.close(&summary);
    match ended {
        Ok(Why::Reader) => Ok(()),
        Ok(_) => flushed.context("writing the last bytes"),
        Err(error) => Err(error),
    }
}

fn open(options: &Options) -> anyhow::Result<Listener> {
    let mut builder = Listener::builder(options.urls.iter().cloned())
        .miss(options.miss)
        .icy(!options.no_titles)
        .give_up_after((!options.give_up.is_zero()).then_some(options.give_up));
    if let Some(at) = options.at {
        builder = builder.start_at(at);
    }
    if let Some(ca) = &options.ca {
        builder = builder.trust(ca);
    }
    if let Some(lag) = options.max_lag {
        builder = builder.max_lag(lag);
    }
    Ok(builder.open()?)
}

async fn listen(
    options: &Options,
    listener: &mut Listener,
    output: &mut Output,
    report: &mut Report,
) -> anyhow::Result<Why> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let mut interrupt = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
    let end = options.seconds.map(|seconds| Instant::now() + seconds);
    let mut redraw = tokio::time::interval(REDRAW);
    loop {
        let event = tokio::select! {
            event = listener.next() => event,
            _ = redraw.tick() => {
                report.redraw(output.written);
                continue;
            }
            () = until(end) => return Ok(Why::Limit),
            _ = interrupt.recv() => return Ok(Why::Stopped),
            _ = terminate.recv() => return Ok(Why::Stopped),
        };
        let event = event.map_err(gave_up)?;
        report.event(&event);
        // A player that is paused takes nothing, and must not keep us from ending.
        let taken = tokio::select! {
            taken = output.take(&event, listener.position()) => taken,
            () = until(end) => return Ok(Why::Limit),
            _ = interrupt.recv() => return Ok(Why::Stopped),
            _ = terminate.recv() => return Ok(Why::Stopped),
        };
        match taken {
            Ok(false) => {}
            Ok(true) => return Ok(Why::Limit),
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(Why::Reader),
            Err(error) => {
                return Err(error).with_context(|| match &options.output {
                    Some(file) => format!("writing {}", file.display()),
                    None => "writing to standard output".to_owned(),
                });
            }
        }
    }
}

async fn until(end: Option<Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}

/// Where the bytes go.
struct Output {
    sink: Box<dyn AsyncWrite + Unpin + Send>,
    /// Bytes of audio that may still be written.
    left: u64,
    /// Bytes of audio that were.
    written: u64,
    /// The byte after them.
    next: Option<Position>,
}

impl Output {
    async fn open(options: &Options) -> anyhow::Result<Self> {
        let sink: Box<dyn AsyncWrite + Unpin + Send> = match &options.output {
            None if std::io::stdout().is_terminal() => bail!(
                "this would print audio on the terminal: pipe it into a player (| mpv -), or name a file with -o FILE"
            ),
            None => Box::new(tokio::io::stdout()),
            Some(path) => {
                let file = tokio::fs::File::create(path).await;
                Box::new(file.with_context(|| format!("cannot write {}", path.display()))?)
            }
        };
        Ok(Self {
            sink,
            left: options.bytes.unwrap_or(u64::MAX),
            written: 0,
            next: options.at,
        })
    }

    /// Writes what is to be written of `event`, after which the stream stands at `after`; true if that was the last of it.
    async fn take(&mut self, event: &Event, after: Option<Position>) -> std::io::Result<bool> {
        let (bytes, counts): (&Bytes, bool) = match event {
            Event::Audio(bytes) => (bytes, true),
            Event::Prelude(bytes) => (bytes, false),
            _ => return Ok(false),
        };
        let room = usize::try_from(self.left).unwrap_or(usize::MAX);
        let piece = if counts {
            &bytes[..bytes.len().min(room)]
        } else {
            &bytes[..]
        };
        self.sink.write_all(piece).await?;
        self.sink.flush().await?;
        if counts {
            self.left -= piece.len() as u64;
            self.written += piece.len() as u64;
            let back = (bytes.len() - piece.len()) as u64;
            self.next = after.map(|at| Position::new(at.epoch, at.offset.saturating_sub(back)));
        }
        Ok(self.left == 0)
    }
}

/// Says what to do.
fn gave_up(error: Error) -> anyhow::Error {
    anyhow!(
        "{error}\nIs the URL right, and is a source connected to the mount? More relays of the stream can be named after the first, \
         and --give-up SECONDS sets how long to go on trying."
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        options: Options,
    }

    fn parsed(arguments: &[&str]) -> Result<Options, String> {
        let all = ["listen"].iter().chain(arguments);
        Command::try_parse_from(all)
            .map(|command| command.options)
            .map_err(|error| error.to_string())
    }

    fn at(offset: u64) -> Position {
        Position::new(
            "AAAAAAAAAAAAAAAAAAAAAA".parse().unwrap(),
            Offset::new(offset).unwrap(),
        )
    }

    #[test]
    fn flags_are_what_they_say() {
        let options = parsed(&[
            "http://a/x",
            "http://b/x",
            "--at",
            "AAAAAAAAAAAAAAAAAAAAAA.77",
            "--miss",
            "fail",
            "--max-lag",
            "2.5",
        ])
        .unwrap();
        assert_eq!(options.urls.len(), 2);
        assert_eq!((options.at, options.miss), (Some(at(77)), Miss::Fail));
        assert_eq!(
            (options.max_lag, options.give_up),
            (Some(Duration::from_millis(2500)), Duration::from_secs(60))
        );
    }

    #[test]
    fn bad_flags_are_refused_with_what_they_take() {
        for (bad, says) in [
            (&["http://a/", "--at", "AAAA.1"][..], "EPOCH.OFFSET"),
            (
                &["http://a/", "--at", "AAAAAAAAAAAAAAAAAAAAAA.-1"],
                "EPOCH.OFFSET",
            ),
            (
                &[
                    "http://a/",
                    "--at",
                    "AAAAAAAAAAAAAAAAAAAAAA.1000000000000000",
                ],
                "EPOCH.OFFSET",
            ),
            (&["http://a/", "--miss", "now"], "oldest, live or fail"),
            (&["http://a/", "--seconds=-1"], "number of seconds"),
            (&["http://a/", "--max-lag", "inf"], "number of seconds"),
            (&[], "URL"),
        ] {
            let error = parsed(bad).unwrap_err();
            assert!(error.contains(says), "{bad:?}: {error}");
        }
    }

    #[tokio::test]
    async fn a_limit_cuts_within_a_piece_and_the_position_follows() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("out");
        let options = Options {
            bytes: Some(10),
            output: Some(file.clone()),
            ..Options::default()
        };
        let mut output = Output::open(&options).await.unwrap();
        let audio = |bytes| Event::Audio(Bytes::from_static(bytes));
        assert!(
            !output
                .take(&Event::Prelude(Bytes::from_static(b"head")), Some(at(100)))
                .await
                .unwrap()
        );
        assert!(!output.take(&audio(b"abcdef"), Some(at(106))).await.unwrap());
        assert!(output.take(&audio(b"ghijkl"), Some(at(112))).await.unwrap());
        assert_eq!((output.written, output.next), (10, Some(at(110))));
        assert_eq!(std::fs::read(file).unwrap(), b"headabcdefghij");
    }
}
