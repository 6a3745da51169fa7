//! What is cut, where, and how.

use icecast_ext_tests::chance::Chance;
use icecast_ext_tests::cutter::{At, Cut, How, Next, Plan};

/// Of each client.
pub(crate) const CUTS: usize = 100;

/// What can be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Fin,
    Reset,
    Head,
    Block,
    Stall,
}

/// A hundred plans, then none: kinds in turn so that each has its share, places and moves at random. A plan that its connection
/// did not live to see is the next one's: of two relays that a client asks, it leaves one.
pub(crate) fn plans(
    mut chance: Chance,
    icy: bool,
) -> impl FnMut(usize, usize) -> Option<Plan> + Send + 'static {
    let mut left = Vec::new();
    for i in 0..CUTS {
        let kind = match i % 20 {
            0..3 => Kind::Head,
            3..9 if icy => Kind::Block,
            3..12 => Kind::Reset,
            _ => Kind::Fin,
        };
        left.push(if i % 33 == 32 { Kind::Stall } else { kind });
    }
    let mut number = 0;
    let mut given: Option<(usize, Plan)> = None;
    move |_, made| {
        if let Some((_, plan)) = given.filter(|(before, _)| *before == made) {
            return Some(plan);
        }
        let pick = chance.range(0, left.len() as u64) as usize;
        let kind = (!left.is_empty()).then(|| left.swap_remove(pick))?;
        let how = match kind {
            Kind::Fin => How::Fin,
            Kind::Stall => How::Stall,
            Kind::Reset => How::Reset,
            Kind::Head | Kind::Block if chance.one_in(2) => How::Reset,
            Kind::Head | Kind::Block => How::Fin,
        };
        let at = match kind {
            Kind::Head => At::Head(chance.bits()),
            Kind::Block => At::Block(chance.bits()),
            // Now and then the very first bytes.
            _ if chance.one_in(8) => At::Body(chance.range(0, 8)),
            _ => At::Body(chance.range(1, 50_000)),
        };
        number += 1;
        let next = if number % 2 == 0 {
            Next::Move
        } else {
            Next::Stay
        };
        let plan = Plan { at, how, next };
        given = Some((made, plan));
        Some(plan)
    }
}

pub(crate) fn kind(cut: &Cut) -> Kind {
    match (cut.plan.at, cut.plan.how) {
        (_, How::Stall) => Kind::Stall,
        (At::Head(_), _) => Kind::Head,
        (At::Block(_), _) => Kind::Block,
        (At::Body(_), How::Fin) => Kind::Fin,
        (At::Body(_), How::Reset) => Kind::Reset,
    }
}
