//! What has to be done now and then: lines of listeners who do not come back, lists that have changed.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::server::Server;

/// How soon a change of an address list counts. Icecast looks every 10 s.
const LOOK: Duration = Duration::from_secs(1);
/// How long the end waits for the access log.
const FLUSH: Duration = Duration::from_secs(2);

/// Until the server stops.
pub(crate) async fn keep(server: Arc<Server>) {
    let mut tick = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            () = server.stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        server.audience.tick(SystemTime::now());
        let (bans, config) = (server.bans.clone(), server.config());
        // The disk may be slow; whoever asks meanwhile is answered from the old lists.
        let looked = tokio::task::spawn_blocking(move || {
            bans.look(config.deny_ip.as_deref(), config.allow_ip.as_deref());
        });
        if let Err(error) = looked.await {
            tracing::error!(%error, "the address lists cannot be looked at");
        }
    }
}

/// The configuration has been replaced, or SIGHUP asks for it: bounds, address lists and the access log follow.
/// Blocks on the disk.
pub(crate) fn follow(server: &Server) {
    let config = server.config();
    server.limits.set(config.limits);
    server
        .bans
        .look(config.deny_ip.as_deref(), config.allow_ip.as_deref());
    server.access_log.reopen(config.access_log.as_deref());
}

/// Everybody has gone: what is known of them is written.
pub(crate) fn lock_up(server: &Server) {
    server.audience.finish();
    server.access_log.flush(FLUSH);
}
