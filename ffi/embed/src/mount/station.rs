//! What a mount is, without locks and handles.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use icecast_ext_core::address::{Epoch, Offset, Position, Session};
use icecast_ext_core::buffer::{Buffer, Event, RunStart, Writing};
use icecast_ext_core::chunked;
use icecast_ext_core::codec::Format;
use icecast_ext_core::head::{Request, source_lines};
use icecast_ext_core::icy;
use icecast_ext_core::stock::Anchors;

use super::feed::Feed;
use super::options::Checked;
use crate::result::{Failure, ICECAST_EXT_NO_RANDOM};

/// Listeners wait so long for a source that is gone, ms.
const GRACE: u64 = 5000;
/// Bytes that are published at once, even if nobody ticks.
const MAX_PENDING: usize = 1 << 20;

/// A mount.
pub(crate) struct Station {
    pub(crate) options: Checked,
    pub(crate) buffer: Buffer,
    pub(crate) anchors: Anchors,
    /// Ticks so far.
    pub(crate) ticks: u32,
    /// The last time that we were told.
    now: u64,
    pub(super) writing: Option<Writing>,
    pub(super) supply: Supply,
    /// Aware clients' connections, and whether they are over.
    sessions: HashMap<Session, Arc<AtomicBool>>,
    /// Each listener that waits has one of these.
    places: Arc<()>,
}

/// What feeds it.
pub(super) enum Supply {
    /// Nothing, since then; never yet, if there is no time.
    None(Option<u64>),
    Source(Coding),
    Feed(Box<Feed>),
    /// Nothing, and never again.
    Closed,
}

/// Where a source's body ends.
pub(super) enum Coding {
    WithConnection,
    After(u64),
    Chunked(chunked::Decoder),
}

/// So many random bytes.
pub(crate) fn fresh<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Failure::new(ICECAST_EXT_NO_RANDOM, error))?;
    Ok(bytes)
}

/// A new epoch's name.
pub(crate) fn epoch() -> Result<Epoch, Failure> {
    fresh().map(Epoch::from_bytes)
}

impl Station {
    pub(super) fn new(options: Checked) -> Self {
        Self {
            buffer: Buffer::new(options.burst, options.tick),
            anchors: Anchors::default(),
            ticks: 0,
            now: 0,
            writing: None,
            supply: Supply::None(None),
            sessions: HashMap::new(),
            places: Arc::default(),
            options,
        }
    }

    /// A place among the listeners that wait, if there is one (R-SEC-2).
    pub(crate) fn place(&self) -> Option<Arc<()>> {
        let taken = Arc::strong_count(&self.places) - 1;
        (taken < self.options.held).then(|| Arc::clone(&self.places))
    }

    /// Something feeds it.
    pub(crate) const fn live(&self) -> bool {
        matches!(self.supply, Supply::Source(_) | Supply::Feed(_))
    }

    /// New listeners are taken.
    pub(crate) fn admits(&self, now: u64) -> bool {
        match self.supply {
            Supply::Source(_) | Supply::Feed(_) => true,
            Supply::None(Some(since)) => now.saturating_sub(since) < GRACE,
            Supply::None(None) | Supply::Closed => false,
        }
    }

    /// Nothing will come any more, as far as listeners are concerned.
    pub(crate) fn over(&self, now: u64) -> bool {
        !self.admits(now)
    }

    /// The byte that comes next, published or not.
    pub(crate) fn received(&self) -> Option<Position> {
        let writing = self.writing.as_ref().map(Writing::next);
        writing.or_else(|| self.buffer.timeline.edge())
    }

    pub(super) fn source(&mut self, request: &Request<'_>, epoch: Epoch, now: u64) {
        self.gone(now);
        let content_type = request
            .field("Content-Type")
            .unwrap_or(std::borrow::Cow::Borrowed(b"audio/mpeg"));
        self.begin(RunStart {
            epoch,
            first: Offset::ZERO,
            // We have had all of the run before, and know its end.
            declared: true,
            format: Format::from_content_type(&content_type),
            fields: source_lines(request, &content_type, &self.options.server),
            prelude: None,
        });
        self.supply = Supply::Source(match request.content_length() {
            _ if request.is_chunked() => Coding::Chunked(chunked::Decoder::default()),
            Some(length) => Coding::After(length),
            None => Coding::WithConnection,
        });
    }

    /// True once the body is complete; `None` if there is no source.
    pub(super) fn body(
        &mut self,
        data: &[u8],
        now: u64,
    ) -> Option<Result<bool, chunked::ChunkedError>> {
        self.now = now;
        let Supply::Source(coding) = &mut self.supply else {
            return None;
        };
        let mut payload = Vec::new();
        let (bytes, ended) = match coding {
            Coding::WithConnection => (data, Ok(false)),
            Coding::After(left) => {
                let most = usize::try_from(*left).unwrap_or(usize::MAX).min(data.len());
                *left -= most as u64;
                (&data[..most], Ok(*left == 0))
            }
            Coding::Chunked(decoder) => {
                let ended = decoder.feed(data, &mut payload);
                (payload.as_slice(), ended)
            }
        };
        self.append(bytes, Some(now));
        if ended != Ok(false) {
            self.gone(now);
        }
        Some(ended)
    }

    /// False if nothing could have a title.
    pub(super) fn title(&mut self, title: &[u8]) -> bool {
        let Some(writing) = &mut self.writing else {
            return false;
        };
        let at = writing.next().offset;
        writing.event(Event::Title(at, icy::title_text(title)));
        true
    }

    pub(super) fn gone(&mut self, now: u64) {
        self.now = now;
        match std::mem::replace(&mut self.supply, Supply::None(Some(now))) {
            Supply::Source(_) => self.end(),
            // Its run may go on where it was cut.
            Supply::Feed(_) => {
                self.publish();
            }
            before @ (Supply::None(_) | Supply::Closed) => self.supply = before,
        }
    }

    pub(super) fn close(&mut self) {
        self.end();
        self.supply = Supply::Closed;
    }

    /// True if there is something new.
    pub(super) fn tick(&mut self, now: u64) -> bool {
        self.now = now;
        self.ticks = self.ticks.wrapping_add(1);
        if let Supply::None(Some(since)) = self.supply {
            // A clock that goes back must not keep listeners waiting.
            self.supply = Supply::None(Some(since.min(now)));
        }
        self.publish()
    }

    /// The connection of this name is over; another one of its client takes its place.
    pub(crate) fn replace(
        &mut self,
        previous: Option<Session>,
        session: Option<Session>,
    ) -> Arc<AtomicBool> {
        if let Some(over) = previous.and_then(|session| self.sessions.remove(&session)) {
            over.store(true, Ordering::Relaxed);
        }
        let over = Arc::new(AtomicBool::new(false));
        if let Some(session) = session {
            self.sessions.insert(session, over.clone());
        }
        over
    }

    /// The connection of this name has gone.
    pub(crate) fn forget(&mut self, session: Session) {
        self.sessions.remove(&session);
    }

    pub(super) fn begin(&mut self, run: RunStart) {
        self.publish();
        self.buffer.begin(&run);
        let ms = self.writing.as_ref().map_or(0, Writing::ms);
        self.writing = Some(Writing::begin(&run, ms));
    }

    pub(super) fn append(&mut self, bytes: &[u8], now: Option<u64>) {
        let Some(writing) = self.writing.as_mut().filter(|_| !bytes.is_empty()) else {
            return;
        };
        // How a stream is broken is the host's to log, which has its bytes.
        let _ = writing.append(bytes, now);
        if writing.bytes().len() > MAX_PENDING {
            self.publish();
        }
    }

    pub(super) fn end(&mut self) {
        self.publish();
        if self.writing.take().is_some() {
            self.buffer.timeline.end();
        }
    }

    fn publish(&mut self) -> bool {
        let Some(batch) = self
            .writing
            .as_mut()
            .and_then(|writing| writing.take(false))
        else {
            return false;
        };
        self.buffer.grow(&batch, self.now);
        let window = u64::try_from(self.options.window.as_millis()).unwrap_or(u64::MAX);
        let mut gone: Vec<Bytes> = Vec::new();
        self.buffer.evict(window, self.options.max_bytes, &mut gone);
        true
    }
}
