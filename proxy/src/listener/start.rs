//! Where an answer starts; what is nearly there is waited for.

use std::net::IpAddr;
use std::time::Duration;

use icecast_ext_core::resume::{HOLD, Refusal};
use icecast_ext_core::stock::{Ask, Join, Reply, Terms};
use icecast_ext_core::wanted::{Decided, Wanted};
use icecast_ext_delivery::clock;
use tokio::time::Instant;

use super::METAINT;
use crate::figures::Limit;
use crate::server::Server;
use crate::station::Station;

/// Whoever waits looks again after so long, or sooner if the mount's tick is quicker.
const TURN: Duration = Duration::from_millis(125);

/// A position that is nearly there is waited for (R-AHEAD-1), by no more requests at a time than `limits.held` (R-SEC-2).
pub(super) async fn of_listener(server: &Server, station: &Station, wanted: &Wanted) -> Decided {
    let asked = clock::now_ms();
    let decide = || {
        let Decided { start, proof } = station.mount.decide(wanted, asked);
        (start, proof)
    };
    let (start, proof) = held(server, station, decide).await;
    Decided { start, proof }
}

/// As above, for a player that may resume: less than a second of audio is waited for, too. Who has waited in vain gets what there
/// is, but its address not more often than once a second: it would come back as often as it can (R-STOCK-12).
pub(super) async fn of_player(
    server: &Server,
    station: &Station,
    address: IpAddr,
    ask: &Ask,
) -> Result<Reply, Refusal> {
    let Ok(fresh) = crate::random().map(Join::from_bytes) else {
        return Err(Refusal::Empty);
    };
    let ask = &station.anchors().mend(ask);
    let decide = |late| {
        let terms = Terms {
            fresh,
            metaint: METAINT,
            late,
        };
        station.mount.with(|timeline| ask.decide(timeline, &terms))
    };
    let decided = match held(server, station, || (decide(false), ())).await.0 {
        // Nor is one refused for whom there is no room to wait, if there is anything to give.
        Err(Refusal::Soon { .. } | Refusal::Crowded) => {
            station.pace.turn(address).await;
            decide(true)
        }
        decided => decided,
    };
    if let Ok(reply) = &decided {
        station.anchors().note(ask, reply);
    }
    decided
}

/// Decides until it is decided, or for as long as a request is held. What is said besides is the last decision's.
async fn held<T, S>(
    server: &Server,
    station: &Station,
    decide: impl Fn() -> (Result<T, Refusal>, S),
) -> (Result<T, Refusal>, S) {
    let first = decide();
    if !matches!(first.0, Err(Refusal::Soon { .. } | Refusal::Empty)) {
        return first;
    }
    let Some(_place) = server.limits.held() else {
        server.figures.limited(Limit::Held);
        return (Err(Refusal::Crowded), first.1);
    };
    let deadline = Instant::now() + HOLD;
    // A slow tick is no reason to wait: the first bytes of a run are published at once.
    let turn = (station.mount.config().tick / 2).min(TURN);
    loop {
        tokio::time::sleep(turn).await;
        match decide() {
            (Err(Refusal::Soon { .. } | Refusal::Empty), _) if Instant::now() < deadline => {}
            decided => return decided,
        }
    }
}
