//! The relay feed, as a receiver reads it (R-FEED-3 to R-FEED-6, R-FEED-15).

use std::io;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::mount::{Mount, now};
use super::serve::House;
use super::timeline::Then;
use crate::field::StreamOffset;
use crate::frame::Frame;
use crate::http::Head;

/// A parent is dead after such a silence (R-FEED-12).
const SILENCE: Duration = Duration::from_millis(500);

/// Reads a feed until its end, or a fault.
pub(crate) async fn feed(
    house: &House,
    mount: &Mount,
    head: &Head,
    mut stream: TcpStream,
    mut ahead: Vec<u8>,
) -> io::Result<()> {
    let spliced = head
        .field("Stream-Offset")
        .and_then(|value| StreamOffset::parse(&value))
        .is_some_and(|at| at.spliced);
    let mut reader = Reader {
        house,
        mount,
        spliced,
        format: None,
        splice: None,
        data: false,
        latest: [0; 3],
    };
    let mut piece = vec![0; 64 * 1024];
    loop {
        loop {
            match Frame::parse(&ahead) {
                Ok(Some((frame, length))) => {
                    ahead.drain(..length);
                    reader.frame(frame)?;
                }
                Ok(None) => break,
                Err(_)
                    if house.config.is("skips-bad-values") && Frame::length(&ahead).is_some() =>
                {
                    ahead.drain(..Frame::length(&ahead).unwrap_or(0).min(ahead.len()));
                }
                Err(wrong)
                    if house.config.is("takes-long-values") && wrong.0.contains("R-FEED-3") =>
                {
                    let mut rest = vec![0; 1 << 16];
                    while stream.read(&mut rest).await? > 0 {}
                    return Ok(());
                }
                Err(wrong) => return Err(io::Error::other(wrong)),
            }
        }
        match timeout(SILENCE, stream.read(&mut piece))
            .await
            .map_err(io::Error::other)??
        {
            0 => return Ok(()),
            read => ahead.extend_from_slice(&piece[..read]),
        }
    }
}

/// A feed as it is read: the order of its frames (R-FEED-5).
struct Reader<'a> {
    house: &'a House,
    mount: &'a Mount,
    /// The answer said that it continues what was asked for.
    spliced: bool,
    format: Option<[u8; 16]>,
    splice: Option<(bool, [u8; 16], u64)>,
    /// Whether DATA has come since FORMAT.
    data: bool,
    /// The latest offset of PRELUDE, TITLE, TIME, since FORMAT.
    latest: [u64; 3],
}

impl Reader<'_> {
    fn frame(&mut self, frame: Frame) -> io::Result<()> {
        let is = |bug: &str| self.house.config.is(bug);
        let wrong = |why: &str| Err(io::Error::other(why.to_owned()));
        if let Frame::Unknown(..) = frame {
            return if is("ends-at-unknown-frames") {
                wrong("a type that is not known")
            } else {
                Ok(())
            };
        }
        let next = self.mount.edge().map_or(0, |(_, next)| next);
        if let Frame::Format {
            epoch, at, fields, ..
        } = frame
        {
            return self.format(epoch, at, &fields);
        }
        if self.format.is_none() || self.splice.is_some() {
            return wrong("FORMAT has to come first");
        }
        let event = |this: &mut Self, which: usize, at: u64| {
            let low = this.data && at < next || at < this.latest[which];
            this.latest[which] = at;
            if low {
                Err(io::Error::other("an event below what has come"))
            } else {
                Ok(())
            }
        };
        match frame {
            Frame::Prelude(at, octets) => {
                event(self, 0, at)?;
                self.mount.change(|state| {
                    if let Some(run) = state.timeline.runs.back_mut() {
                        run.scan.preludes.retain(|(from, _)| *from != at);
                        run.scan.preludes.push((at, octets));
                    }
                });
            }
            Frame::Data(at, octets) => {
                if octets.is_empty()
                    || octets.len() > 65_536
                    || at != next && !is("takes-data-anywhere")
                {
                    return wrong("DATA that may not stand here");
                }
                self.data = true;
                let window =
                    u64::try_from(self.house.config.window.as_millis()).unwrap_or(u64::MAX);
                self.mount.change(|state| {
                    let local = is("relays-own-times").then(now);
                    state.timeline.push(&octets, local, now());
                    state.timeline.forget(now().saturating_sub(window));
                });
            }
            Frame::Title(at, text) => {
                event(self, 1, at)?;
                let own = Some(if is("relays-place-titles") {
                    at + 7
                } else {
                    at
                });
                self.mount.change(|state| state.timeline.title(own, &text));
            }
            Frame::Time(at, ms) => {
                event(self, 2, at)?;
                self.mount.change(|state| {
                    if let Some(run) = state
                        .timeline
                        .runs
                        .back_mut()
                        .filter(|_| !is("relays-own-times"))
                    {
                        run.times.push_back((at, ms));
                    }
                });
            }
            Frame::Keepalive(at) => {
                if at != next && !is("takes-data-anywhere") {
                    return wrong("KEEPALIVE at another byte");
                }
            }
            Frame::Splice {
                declared,
                at,
                epoch,
                target,
            } => {
                if at != next {
                    return wrong("SPLICE at another byte");
                }
                self.splice = Some((declared, epoch, target));
            }
            Frame::Format { .. } | Frame::Unknown(..) => {}
        }
        Ok(())
    }

    fn format(&mut self, epoch: [u8; 16], at: u64, fields: &str) -> io::Result<()> {
        let is = |bug: &str| self.house.config.is(bug);
        let splice = self.splice.take();
        let misplaced = match splice {
            Some((_, said, _)) => said != epoch,
            None => self.format.is_some(),
        };
        if misplaced {
            return Err(io::Error::other("a FORMAT that may not stand here"));
        }
        (self.data, self.latest, self.format) = (false, [0; 3], Some(epoch));
        self.mount.change(|state| {
            let lines = fields
                .split("\r\n")
                .filter_map(|line| line.split_once(": "));
            let lines: Vec<_> = lines
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            if let Some((_, kind)) = lines
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case("content-type"))
            {
                kind.clone_into(&mut state.timeline.content_type);
            }
            state.fields = lines
                .into_iter()
                .filter(|(name, _)| name.starts_with("icy-"))
                .collect();
            state.fed = true;
            let goes_on = state.timeline.runs.back().is_some_and(|run| {
                run.then == Then::Running
                    && run.epoch == epoch
                    && run.next() == at
                    && splice.is_none()
            });
            let goes_on = goes_on
                || is("continues-anything") && !state.timeline.runs.is_empty() && splice.is_none();
            match (goes_on, splice) {
                (true, _) => {}
                (false, Some((declared, _, target))) => {
                    let gap = state
                        .timeline
                        .runs
                        .back()
                        .is_some_and(|run| run.epoch == epoch);
                    let declared = declared || is("declares-everything") && !gap;
                    state.timeline.begin(epoch, at, declared, Some(target))
                }
                (false, None) => {
                    let gap = state
                        .timeline
                        .runs
                        .back()
                        .is_some_and(|run| run.epoch == epoch);
                    let declared = self.spliced || is("declares-everything") && !gap;
                    state.timeline.begin(epoch, at, declared, None);
                }
            }
        });
        Ok(())
    }
}
