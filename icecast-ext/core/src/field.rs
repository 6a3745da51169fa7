//! The extension's fields: parsed once at the edge, encoded by the same types.

use std::time::Duration;

use crate::address::{Epoch, Offset, Position, Session, Window};

/// What to do when the byte asked for cannot be given (R-MISS-1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Miss {
    /// Start with the oldest byte held.
    #[default]
    Oldest,
    /// Start as a new listener does.
    Live,
    /// 412.
    Fail,
}

/// Where a request wants to start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum From {
    /// As a new listener does: the burst, then live.
    Live,
    /// The byte after the last one received.
    At(Position),
    /// What arrived so long ago (`_shift`).
    Shift(Duration),
}

/// `Resume-Offset`, or its query forms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Resume {
    /// Where to start.
    pub from: From,
    /// If that is gone.
    pub miss: Miss,
    /// The lag, in arrival time, beyond which live is preferred.
    pub max_lag: Option<Duration>,
    /// The session of the client's last answer.
    pub session: Option<Session>,
}

/// `Stream-Offset`: where the first byte after the prelude stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StreamOffset {
    /// The first canonical byte of the body.
    pub at: Position,
    /// Body bytes before it, which have no address.
    pub prelude: u64,
    /// To be sent back on the next request.
    pub session: Option<Session>,
    /// The answer continues the position asked for across declared splices: nothing is lost.
    pub spliced: bool,
    /// Bytes between the position asked for and this one, where the server knows.
    pub lost: Option<u64>,
}

/// `Stream-Window`: what can be asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StreamWindow {
    /// The epoch at the edge.
    pub epoch: Epoch,
    /// What is held of it.
    pub window: Window,
    /// Bytes a second, over the last minute or less; absent while unknown.
    pub rate: Option<u64>,
}

/// A field is malformed. The answer is 400, naming the field (R-FIELD-3).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why} (R-FIELD-3)")]
pub struct FieldError {
    /// The field's or query parameter's name.
    pub field: &'static str,
    /// What is wrong with it.
    pub why: String,
}

impl Resume {
    /// `Resume-Offset = sf-item` from its field lines, joined as RFC 9110 section 5.3 says.
    pub fn parse(value: &[u8]) -> Result<Self, FieldError> {
        let _ = value;
        todo!()
    }

    /// The query forms `_resume=EPOCH.OFFSET` and `_shift=SECONDS`. Returns the resume, if there was one, and the
    /// query without our parameters (`None` if nothing is left).
    pub fn from_query(query: &str) -> Result<(Option<Self>, Option<String>), FieldError> {
        let _ = query;
        todo!()
    }

    /// The field value.
    #[must_use]
    pub fn encode(&self) -> String {
        todo!()
    }
}

impl StreamOffset {
    /// `Stream-Offset = sf-item`
    pub fn parse(value: &[u8]) -> Result<Self, FieldError> {
        let _ = value;
        todo!()
    }
    /// The field value.
    #[must_use]
    pub fn encode(&self) -> String {
        todo!()
    }
}

impl StreamWindow {
    /// `Stream-Window = sf-dictionary`
    pub fn parse(value: &[u8]) -> Result<Self, FieldError> {
        let _ = value;
        todo!()
    }
    /// The field value.
    #[must_use]
    pub fn encode(&self) -> String {
        todo!()
    }
}

/// The targets of `Link: <…>; rel=duplicate` (RFC 8288, RFC 6249), unresolved, in order. Other relations and malformed
/// members are skipped.
#[must_use]
pub fn duplicates(value: &[u8]) -> Vec<String> {
    let _ = value;
    todo!()
}

/// A `Link` field value that names other relays of the stream.
#[must_use]
pub fn encode_duplicates<'a>(targets: impl IntoIterator<Item = &'a str>) -> String {
    let _ = targets.into_iter().count();
    let _ = Offset::ZERO;
    todo!()
}
