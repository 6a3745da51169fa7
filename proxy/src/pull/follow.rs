//! Another process has taken over: what this one could not hand over hears what comes there.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Asking, Ended, Memory};
use crate::config::Vorbis;
use crate::server::Server;
use crate::station::Station;

/// Between two tries.
const WAIT: Duration = Duration::from_millis(250);
/// A successor that has given nothing for so long gives nothing any more.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads the relay feed of the process that has taken over, as long as somebody listens here. Exact: it begins with the byte
/// that was handed over.
pub(crate) async fn run(server: &Arc<Server>, station: &Arc<Station>) {
    let mut memory = Memory::of(station);
    let mut last = Instant::now();
    while station.mount.listeners().total() > 0 && last.elapsed() < PATIENCE {
        let ended = tokio::select! {
            () = server.stop.cancelled() => return,
            () = deserted(station) => break,
            ended = once(server, station, &mut memory) => ended,
        };
        tracing::debug!(mount = station.path, %ended, "the process that has taken over gives no more");
        last = memory.last_byte.unwrap_or(last).max(last);
        tokio::time::sleep(WAIT).await;
    }
    server.stations.remove(station);
    server.close(station);
}

async fn deserted(station: &Station) {
    while station.mount.listeners().total() > 0 {
        tokio::time::sleep(WAIT).await;
    }
}

async fn once(server: &Server, station: &Station, memory: &mut Memory) -> Ended {
    let stream = match server.kin() {
        Ok(stream) => stream,
        Err(error) => return Ended::Io(error),
    };
    let asking = Asking {
        authority: "localhost",
        via: "1.1 icx-kin",
        agent: crate::USER_AGENT,
        authorization: None,
        // A feed has been made canonical.
        vorbis: Vorbis::AsIs,
        upstream: None,
        evidence: None,
    };
    match super::asked(stream.into(), asking, station, memory).await {
        Ok(never) => match never {},
        Err(ended) => ended,
    }
}
