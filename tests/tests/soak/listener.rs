//! Somebody who listens for a while.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use icecast_ext_tests::chance::Chance;
use icecast_ext_tests::http::{Head, Place, raw, request};
use icecast_ext_tests::icy;
use icecast_ext_tests::wait::{wait_for, wait_until};
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::judge::{one_run, some_runs};
use crate::stream::{RATE, Stream};

const SOON: Duration = Duration::from_secs(20);

/// Who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Stock,
    Icy,
    Aware,
    AwareIcy,
    Resuming,
    Shifting,
    Slow,
    Stuck,
    Head,
    Options,
}

const KINDS: [Kind; 10] = [
    Kind::Stock,
    Kind::Icy,
    Kind::Aware,
    Kind::AwareIcy,
    Kind::Resuming,
    Kind::Shifting,
    Kind::Slow,
    Kind::Stuck,
    Kind::Head,
    Kind::Options,
];

const ICY: (&str, &str) = ("Icy-MetaData", "1");

impl Kind {
    fn fields(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Icy => &[ICY],
            Self::Aware | Self::Resuming => &[("Resume-Offset", "live")],
            Self::AwareIcy => &[("Resume-Offset", "live"), ICY],
            _ => &[],
        }
    }

    /// It asks again at the end of an epoch.
    const fn is_aware(self) -> bool {
        matches!(self, Self::Aware | Self::AwareIcy | Self::Resuming)
    }
}

/// Bytes heard; `None` if there was nobody to be heard.
pub(crate) type Done = Result<Option<usize>>;

/// How many of each kind there were, how many found no source, and what they heard.
#[derive(Debug, Default)]
pub(crate) struct Tally(BTreeMap<Kind, (usize, usize, usize)>);

impl Tally {
    pub(crate) fn add(&mut self, kind: Kind, heard: Option<usize>) {
        let (count, none, bytes) = self.0.entry(kind).or_default();
        *count += 1;
        *none += usize::from(heard.is_none());
        *bytes += heard.unwrap_or(0);
    }

    /// Sources are away now and then, not most of the time.
    pub(crate) fn check(&self) {
        assert_eq!(self.0.len(), KINDS.len(), "{self}");
        for (kind, (count, none, _)) in &self.0 {
            assert!(none * 2 < *count, "{kind:?} of {self}");
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, (count, none, bytes)) in &self.0 {
            write!(
                f,
                "{kind:?} {count} ({none} without a source, {bytes} bytes); "
            )?;
        }
        Ok(())
    }
}

/// A listener's life.
pub(crate) async fn live(stream: Arc<Stream>, mut chance: Chance) -> (Kind, Done) {
    let kind = KINDS[chance.range(0, KINDS.len() as u64) as usize];
    let done = match kind {
        Kind::Head | Kind::Options => ask(&stream, kind).await,
        Kind::Resuming => resume(&stream, &mut chance).await,
        Kind::Stuck => stick(&stream, &mut chance).await,
        _ => listen(&stream, kind, &mut chance).await,
    };
    (kind, done.with_context(|| stream.mount))
}

/// A response that has begun.
struct Talk {
    socket: TcpStream,
    head: Head,
    place: Place,
    body: Vec<u8>,
    over: bool,
}

impl Talk {
    /// `None`: there is no source just now.
    async fn open(
        stream: &Stream,
        target: &str,
        fields: &[(&str, &str)],
        small: bool,
    ) -> Result<Option<Self>> {
        let socket = TcpSocket::new_v4()?;
        if small {
            socket.set_recv_buffer_size(4096)?;
        }
        let mut socket = socket.connect(stream.addr()).await?;
        let asked = request("GET", target, stream.addr(), fields);
        socket.write_all(&asked).await?;
        let mut body = Vec::new();
        let head = loop {
            if let Some(head) = Head::parse(&body)? {
                break head;
            }
            let read = tokio::time::timeout(SOON, socket.read_buf(&mut body));
            match read.await.context("no head")? {
                // Its source has gone before there was anything to be sent.
                Ok(0) | Err(_) => return Ok(None),
                Ok(_) => {}
            }
        };
        if head.status == 404 {
            return Ok(None);
        }
        ensure!(head.status == 200, "{head:?}");
        body.drain(..head.len);
        let mut talk = Self {
            socket,
            place: head.place().unwrap_or_default(),
            head,
            body,
            over: false,
        };
        if talk.place == Place::default() {
            // Let in, and then its source had gone: Icecast's words, and nothing more.
            talk.read(1, 1, None).await?;
            ensure!(talk.body.is_empty(), "no place in {:?}", talk.head);
            return Ok(None);
        }
        Ok(Some(talk))
    }

    /// Reads on, so many bytes at a time and in all, or to the end.
    async fn read(&mut self, piece: usize, len: usize, pause: Option<Duration>) -> Result<()> {
        let mut buffer = vec![0; piece];
        while self.body.len() < len && !self.over {
            let read = tokio::time::timeout(SOON, self.socket.read(&mut buffer));
            match read.await.context("silence")? {
                Ok(0) | Err(_) => self.over = true,
                Ok(read) => self.body.extend_from_slice(&buffer[..read]),
            }
            if let Some(pause) = pause {
                tokio::time::sleep(pause).await;
            }
        }
        Ok(())
    }

    /// The prelude and the audio.
    fn heard(&self) -> (Vec<u8>, Vec<u8>) {
        let mut audio = match self.head.metaint() {
            Some(metaint) => icy::split(&self.body, metaint).0,
            None => self.body.clone(),
        };
        let after = audio.split_off(self.place.prelude.min(audio.len()));
        (audio, after)
    }

    fn titles_are_titles(&self) -> Result<()> {
        let titles = self
            .head
            .metaint()
            .map(|metaint| icy::split(&self.body, metaint).1);
        let mut titles = titles.iter().flatten();
        let wrong = titles.find(|title| !title.text.starts_with("StreamTitle='"));
        ensure!(wrong.is_none(), "{wrong:?}");
        Ok(())
    }

    /// With a FIN, or with a reset.
    fn leave(self, chance: &mut Chance) {
        if chance.one_in(2) {
            let _ = SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
        }
    }
}

/// Bytes of one connection.
fn share(chance: &mut Chance) -> usize {
    chance.range(0, 5 * RATE as u64) as usize
}

async fn listen(stream: &Stream, kind: Kind, chance: &mut Chance) -> Done {
    let shift = chance.range(0, 4);
    let target = match kind {
        Kind::Shifting => format!("{}?_shift={shift}", stream.mount),
        _ => stream.mount.to_owned(),
    };
    let slow = kind == Kind::Slow;
    let Some(mut talk) = Talk::open(stream, &target, kind.fields(), slow).await? else {
        return Ok(None);
    };
    let len = share(chance);
    match slow {
        // A little faster than the source.
        true => {
            talk.read(3200, len, Some(Duration::from_millis(80)))
                .await?
        }
        false => talk.read(16 << 10, len, None).await?,
    }
    let (prelude, audio) = talk.heard();
    match kind.is_aware() {
        true => one_run(stream, &talk.place, &prelude, &audio)?,
        false => some_runs(stream, &talk.place, &prelude, &audio)?,
    }
    talk.titles_are_titles()?;
    talk.leave(chance);
    Ok(Some(audio.len()))
}

/// Is cut, and goes on with the next byte, a few times.
async fn resume(stream: &Stream, chance: &mut Chance) -> Done {
    let live = Kind::Resuming.fields();
    let Some(mut talk) = Talk::open(stream, stream.mount, live, false).await? else {
        return Ok(None);
    };
    let mut all = 0;
    for _ in 0..chance.range(1, 4) {
        let len = share(chance);
        talk.read(4 << 10, len, None).await?;
        let (prelude, audio) = talk.heard();
        one_run(stream, &talk.place, &prelude, &audio)?;
        all += audio.len();
        let before = talk.place.clone();
        let next = before.offset + audio.len() as u64;
        let ask = before.resume(audio.len() as u64);
        talk.leave(chance);
        let answer = wait_until("it goes on", SOON, async || {
            let fields = [("Resume-Offset", ask.as_str())];
            let talk = Talk::open(stream, stream.mount, &fields, false).await;
            talk.transpose()
        });
        talk = answer.await?;
        let place = &talk.place;
        ensure!(place.lost.is_none(), "{ask}: {place:?}");
        if place.epoch == before.epoch {
            ensure!(place.offset == next, "{ask}: {place:?}");
        } else if !stream.has_spare() {
            ensure!(place.offset == 0, "{ask}: {place:?}");
            let mut runs = stream.runs().into_iter();
            let run = runs.find(|run| run.epoch.get() == Some(&before.epoch));
            let end = run.map(|run| stream.end(&run));
            ensure!(
                audio.is_empty() || end == Some(next),
                "{ask} is not {end:?}, and {place:?}"
            );
        }
    }
    let (prelude, audio) = talk.heard();
    one_run(stream, &talk.place, &prelude, &audio)?;
    talk.leave(chance);
    Ok(Some(all + audio.len()))
}

/// Takes nothing, until its source has sent a lot.
async fn stick(stream: &Stream, chance: &mut Chance) -> Done {
    let Some(talk) = Talk::open(stream, stream.mount, &[], true).await? else {
        return Ok(None);
    };
    let sent = stream.sent() + share(chance);
    wait_for("the source sends", SOON, || stream.sent() >= sent).await;
    let (prelude, audio) = talk.heard();
    some_runs(stream, &talk.place, &prelude, &audio)?;
    talk.leave(chance);
    Ok(Some(audio.len()))
}

/// Wants no bytes.
async fn ask(stream: &Stream, kind: Kind) -> Done {
    let method = if kind == Kind::Head {
        "HEAD"
    } else {
        "OPTIONS"
    };
    let asked = request(
        method,
        stream.mount,
        stream.addr(),
        &[("Origin", "http://a")],
    );
    // Without a source Icecast says what it always does, or nothing.
    let Ok(answer) = raw(stream.addr(), &asked).await else {
        return Ok(None);
    };
    if !matches!(answer.head.status, 200 | 204) {
        return Ok(None);
    }
    ensure!(answer.body.is_empty(), "{answer:?}");
    let ours = match kind {
        Kind::Head => answer.head.place().is_some(),
        _ => answer.head.get("Access-Control-Allow-Origin").is_some(),
    };
    // Icecast's own answer, of a stream whose source has just gone.
    Ok(ours.then_some(0))
}
