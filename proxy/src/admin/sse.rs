//! `/events`: what happens, as server-sent events.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use http_body_util::StreamBody;
use hyper::body::Frame;
use tokio::sync::{OwnedSemaphorePermit, broadcast};
use tokio_util::sync::CancellationToken;

use crate::events::{Event, Events};

/// A comment is sent if nothing else was for so long, so that both ends notice a dead link.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// Where a client that comes back starts to wait, ms.
const RETRY: u32 = 1000;

struct State {
    past: VecDeque<Arc<Event>>,
    bus: broadcast::Receiver<Arc<Event>>,
    only: Option<String>,
    greeted: bool,
    stop: CancellationToken,
    _place: OwnedSemaphorePermit,
}

fn encode(event: &Event) -> Bytes {
    // JSON has no line ends of its own.
    let json = serde_json::to_string(event).unwrap_or_default();
    format!("id: {}\ndata: {json}\n\n", event.id).into()
}

impl State {
    fn wants(&self, event: &Event) -> bool {
        match (&self.only, &event.mount) {
            (Some(only), Some(mount)) => **mount == **only,
            _ => true,
        }
    }

    /// The next piece; none when it is over: we stop, or the client is too slow and has to come back.
    async fn next(&mut self) -> Option<Bytes> {
        if !self.greeted {
            self.greeted = true;
            return Some(format!("retry: {RETRY}\n\n").into());
        }
        while let Some(event) = self.past.pop_front() {
            if self.wants(&event) {
                return Some(encode(&event));
            }
        }
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return None,
                () = tokio::time::sleep(HEARTBEAT) => return Some(Bytes::from_static(b": still here\n\n")),
                event = self.bus.recv() => match event {
                    Ok(event) if self.wants(&event) => return Some(encode(&event)),
                    Ok(_) => {}
                    Err(_) => return None,
                },
            }
        }
    }
}

/// The body. `after`: the last event that the client has. `place`: given back when the client leaves.
pub(crate) fn body(
    events: &Events,
    after: u64,
    only: Option<String>,
    stop: CancellationToken,
    place: OwnedSemaphorePermit,
) -> StreamBody<impl Stream<Item = Result<Frame<Bytes>, Infallible>> + use<>> {
    let (past, bus) = events.subscribe(after);
    let state = State {
        past: past.into(),
        bus,
        only,
        greeted: false,
        stop,
        _place: place,
    };
    StreamBody::new(futures_util::stream::unfold(
        state,
        |mut state| async move {
            let bytes = state.next().await?;
            Some((Ok(Frame::data(bytes)), state))
        },
    ))
}
