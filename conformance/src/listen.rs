//! A small client of the protocol, to learn from and to judge the judge with.
//!
//! It writes the audio of a stream to an output and what happens to another, and goes on at the next byte whatever happens. Told to,
//! it misbehaves: [`bug::BUGS`].
//!
//! Where things are: this file has the loop and the relays, `ask` sends requests and follows redirects, `body` reads answers, `place`
//! decides what an answer's position means, `witness` remembers what was heard, `blocks` takes ICY apart.

mod ask;
mod blocks;
mod body;
pub mod bug;
mod place;
mod titles;
mod witness;

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;
use url::Url;

use crate::field::{Position, duplicates};
use crate::http::Head;
use crate::reference::names;
use ask::{Answer, Trust};

/// No more relays than these are known at once (R-SEC-8).
const MOST_RELAYS: usize = 16;
/// The longest wait after a failure.
const LONGEST: Duration = Duration::from_secs(4);

/// How the client is started.
#[derive(Clone, Debug)]
pub struct Config {
    /// Relays of one stream, the preferred one first.
    pub relays: Vec<Url>,
    /// A file with certificates to trust (PEM); without one, no `https`.
    pub trust: Option<PathBuf>,
    /// What it does wrong.
    pub bug: Option<&'static str>,
}

#[derive(Debug)]
struct Relay {
    url: Url,
    /// Not to be asked before (R-CLIENT-7).
    rests: Option<Instant>,
}

/// A client.
#[derive(Debug)]
pub struct Listener<A, S> {
    bug: Option<&'static str>,
    relays: Vec<Relay>,
    current: usize,
    trust: Trust,
    /// The next byte; `None`: live.
    at: Option<Position>,
    /// The session of the last answer, and who gave it.
    session: Option<(url::Origin, String)>,
    /// Attempts without audio since the last audio.
    fails: u32,
    /// Whether audio has come at all.
    heard: bool,
    titles: titles::Titles,
    /// Of what it has heard without a break.
    witness: witness::Heard,
    /// What the last answer's ICY was, for some bugs.
    last: blocks::Last,
    audio: A,
    said: S,
}

impl<A: Write, S: Write> Listener<A, S> {
    /// One that has asked for nothing yet: audio goes to one output, words to the other.
    ///
    /// # Errors
    /// If there is no relay, or certificates cannot be read.
    pub fn new(config: Config, audio: A, said: S) -> anyhow::Result<Self> {
        anyhow::ensure!(!config.relays.is_empty(), "no relay to listen to");
        let relay = |url| Relay { url, rests: None };
        Ok(Self {
            bug: config.bug,
            relays: config.relays.into_iter().map(relay).collect(),
            current: 0,
            trust: Trust::read(config.trust.as_deref())?,
            at: None,
            session: None,
            fails: 0,
            heard: false,
            titles: titles::Titles::default(),
            witness: witness::Heard::new(config.bug),
            last: blocks::Last::default(),
            audio,
            said,
        })
    }

    fn is(&self, bug: &str) -> bool {
        self.bug == Some(bug)
    }

    fn say(&mut self, what: std::fmt::Arguments<'_>) -> io::Result<()> {
        writeln!(self.said, "{what}")
    }

    /// Listens for ever.
    ///
    /// # Errors
    /// If an output takes no more.
    pub async fn run(mut self) -> io::Result<()> {
        loop {
            self.rest().await;
            let relay = self.relays[self.current].url.clone();
            match self.ask(&relay).await {
                Ok(answer) if answer.head.status == 200 => self.listen(answer).await?,
                Ok(answer) => self.refused(answer).await?,
                Err(why) => {
                    self.say(format_args!("{relay}: {why}"))?;
                    self.failed(false);
                }
            }
        }
    }

    /// Waits as long as failures and `Retry-After` ask for, and finds a relay that may be asked.
    async fn rest(&mut self) {
        if self.fails > 0 && !self.is("never-waits") {
            let wait = Duration::from_millis(250 << (self.fails - 1).min(6)).min(LONGEST);
            tokio::time::sleep(jitter(wait, 0.5)).await;
        }
        if self.is("elsewhere-first") && self.fails == 0 && self.heard {
            self.current = (self.current + 1) % self.relays.len();
        }
        let now = Instant::now();
        let ready = |relay: &Relay| relay.rests.is_none_or(|until| until <= now);
        if ready(&self.relays[self.current]) {
            return;
        }
        let count = self.relays.len();
        let next = (1..count)
            .map(|on| (self.current + on) % count)
            .find(|index| ready(&self.relays[*index]) && !self.is("waits-for-all"));
        match next {
            Some(next) => self.current = next,
            None => {
                if let Some(until) = self.relays[self.current].rests {
                    tokio::time::sleep_until(until).await;
                }
            }
        }
    }

    /// An attempt has brought no audio: the next one goes to the next relay.
    fn failed(&mut self, stays: bool) {
        self.fails = self.fails.saturating_add(1);
        if !stays && !self.is("stays") {
            self.current = (self.current + 1) % self.relays.len();
        }
    }

    /// Another status than 200: it says something of the relay, and nothing of the position (R-CLIENT-8).
    async fn refused(&mut self, mut answer: Answer) -> io::Result<()> {
        let status = answer.head.status;
        self.say(format_args!("{}: status {status}", answer.url))?;
        let after = answer.head.field("Retry-After");
        let seconds = after.and_then(|value| value.parse::<u32>().ok());
        if let Some(seconds) = seconds.filter(|_| !self.is("ignores-retry-after")) {
            let wait = Duration::from_secs(u64::from(seconds.min(600)));
            // Whoever is refused with the same number shall not come back at once (R-CLIENT-11).
            let wait = wait + jitter(wait / 4, 0.0);
            self.relays[self.current].rests = Some(Instant::now() + wait);
        }
        if self.is("believes-errors")
            && let Some(here) = place::read(&answer.head, self.bug)
        {
            self.at = Some(here.at);
        }
        if self.is("gives-up-its-position") && status != 412
            || self.is("412-is-live") && status == 412
        {
            self.at = None;
        }
        if self.is("hears-error-pages") {
            let page = answer.rest().await;
            self.audio.write_all(&page)?;
            self.audio.flush()?;
        }
        let rests = self.relays[self.current].rests.is_some();
        self.failed(
            self.is("asks-again-after-412") && status == 412 || self.is("waits-for-all") && rests,
        );
        Ok(())
    }

    /// Learns relays from an answer: those of `Link`, resolved against the URL that was answered (R-FIELD-12).
    fn learn(&mut self, from: &Url, head: &Head) {
        let Some(links) = head.field("Link") else {
            return;
        };
        for target in duplicates(&links) {
            let found = match self.is("links-from-the-root") {
                true => from.join("/").and_then(|root| root.join(&target)),
                false => from.join(&target),
            };
            let Ok(url) = found else { continue };
            let known = self.relays.iter().any(|relay| relay.url == url);
            let down = from.scheme() == "https" && url.scheme() != "https";
            if known
                || self.relays.len() >= MOST_RELAYS && !self.is("learns-for-ever")
                || !matches!(url.scheme(), "http" | "https")
                || down && !self.is("down-to-http")
            {
                continue;
            }
            self.relays.push(Relay { url, rests: None });
        }
    }
}

/// A wait, shortened or not by chance, but not below a part of it.
fn jitter(wait: Duration, least: f64) -> Duration {
    let chance = f64::from(u16::from_le_bytes(names::random())) / f64::from(u16::MAX);
    wait.mul_f64(least + (1.0 - least) * chance)
}
