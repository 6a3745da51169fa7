//! Where an answer starts if its request brings evidence.

use std::time::Duration;

use super::{Evidence, Index, Place, Unproven};
use crate::address::{Offset, Position};
use crate::field::{From, Proof, Resume};
use crate::resume::{Kind, Refusal, Start};
use crate::timeline::Timeline;

/// Evidence that came with a request.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// `Resume-Anchor`
    pub evidence: &'a Evidence,
    /// When the request came, by the clock of [`Index::push`]; also if it is decided anew later.
    pub at: Duration,
}

impl Timeline {
    /// As [`Timeline::start`], or [`Timeline::start_feed`] for a `feed`, of a request with evidence; and what
    /// `Stream-Proof` says of that, with 200 and with 412. `None`: it was not needed (R-ANCHOR-10).
    ///
    /// `index` is of the run that goes on, `held` gives its bytes (see [`Index::find`]). A place ahead of the edge is
    /// [`Refusal::Soon`]: to be decided anew with each byte that comes, and 412 if that takes too long (R-ANCHOR-15).
    pub fn start_by_content<'a, B>(
        &self,
        asked: &Resume,
        feed: bool,
        shown: Shown<'_>,
        index: &Index,
        held: impl Fn(u64, u64) -> B,
    ) -> (Result<Start, Refusal>, Option<Proof>)
    where
        B: Iterator<Item = &'a [u8]>,
    {
        let start = |asked: &Resume| match feed {
            true => self.start_feed(Some(asked)),
            false => self.start(asked),
        };
        let unknown = match asked.from {
            From::At(position) => !self.knows(position.epoch),
            From::Live => true,
            From::Shift(_) => false,
        };
        let (Some(edge), true) = (self.edge(), unknown) else {
            return (start(asked), None);
        };
        let none = |why| Some(Proof::None { why });
        let place = index.find(shown.evidence, shown.at, held);
        let place = place.and_then(|place| match place {
            Place::Held(at) | Place::Ahead(at) => {
                Ok((Offset::new(at).ok_or(Unproven::Elsewhere)?, place))
            }
        });
        match place {
            Err(why) => (start(asked), none(Some(why))),
            Ok((asked, Place::Ahead(_))) => {
                let next = edge.offset;
                (
                    Err(Refusal::Soon { asked, next }),
                    none(Some(Unproven::Ahead)),
                )
            }
            Ok((offset, Place::Held(_))) => {
                let start = start(&Resume {
                    from: From::At(Position::new(edge.epoch, offset)),
                    ..*asked
                });
                // It may be too far behind for `max-lag`.
                let exact = start.as_ref().is_ok_and(|start| start.kind == Kind::Exact);
                let proof = if exact {
                    Some(Proof::Anchor)
                } else {
                    none(None)
                };
                (start, proof)
            }
        }
    }
}
