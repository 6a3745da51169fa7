//! Who is let in: bans and limits, before anything is done for a request.
//!
//! A peer is counted when it is accepted. Behind a proxy of ours the peer is nobody: there the forwarded address counts, once
//! the head has said it.

use std::net::{IpAddr, SocketAddr};
use std::sync::LazyLock;
use std::time::Instant;

use icecast_ext_core::head::Version;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::answer::{self, Answer};
use crate::caller::Caller;
use crate::connection::Connection;
use crate::descriptors;
use crate::figures::Limit;
use crate::limits::{Connected, Limited, What};
use crate::server::Server;
use crate::stream::Stream;

/// Peers that have too many connections are told so, but no more of them at a time than this: the others are just closed. A
/// quarter of the descriptors that are kept: whoever is turned away takes his time to go, and must not take what the upstream,
/// the journal and further peers need.
static COURTESIES: LazyLock<Semaphore> = LazyLock::new(|| {
    let most = (descriptors::spare() / 4).max(1);
    Semaphore::new(usize::try_from(most).unwrap_or(1))
});

/// Why a peer is not let in.
#[derive(Debug)]
pub(crate) enum Shut {
    /// Closed without a word, as Icecast does it.
    Banned,
    /// Over a bound.
    Limited(Limited),
}

impl Server {
    /// A connection was accepted: its place among all, and among those of its address.
    pub(crate) fn let_in(&self, peer: SocketAddr) -> Result<Connected, Shut> {
        let address = peer.ip().to_canonical();
        let trusted = self.config().trusts(address);
        if !trusted && self.bans.refuse(address) {
            self.figures.limited(Limit::Banned);
            tracing::debug!(%address, "banned");
            return Err(Shut::Banned);
        }
        let place = self.limits.connect(address, !trusted, Instant::now());
        place.map_err(|limited| {
            self.say(&limited, address);
            Shut::Limited(limited)
        })
    }

    /// A request has come: may its caller ask for anything now?
    pub(crate) fn let_ask(
        &self,
        connection: &mut Connection,
        caller: &Caller,
        resumes: bool,
    ) -> Result<(), Answer> {
        if !caller.limited {
            return Ok(());
        }
        let (address, now) = (caller.address, Instant::now());
        let limited = |limited: Limited| {
            self.say(&limited, address);
            answer::limited(&limited)
        };
        if caller.trusted {
            // The proxy in front would take a connection that just closes for a fault of ours.
            if self.bans.refuse(address) {
                self.figures.limited(Limit::Banned);
                tracing::debug!(%address, "banned");
                return Err(Answer::new(403, "your address is not allowed here\n"));
            }
            connection.place.belongs_to(address, now).map_err(limited)?;
        }
        let passed = if resumes {
            self.limits.resume(address, now)
        } else {
            self.limits.join(address, now)
        };
        passed.map_err(limited)
    }

    /// Counts it, and writes one line, if it is time for one.
    pub(crate) fn say(&self, limited: &Limited, address: IpAddr) {
        let option = limited.what.option();
        self.figures.limited(match limited.what {
            What::Connections => Limit::Connections,
            What::Joins => Limit::Joins,
            What::Resumes => Limit::Resumes,
            What::Window => Limit::WindowBytes,
            What::Listeners => Limit::Listeners,
            What::Descriptors => Limit::OpenFiles,
        });
        if !limited.loud {
            return tracing::debug!(%address, option, "over a limit");
        }
        match limited.what {
            What::Listeners | What::Descriptors => {
                tracing::warn!(%address, option, "full: raise this option if the machine and its line can take more listeners");
            }
            _ => {
                tracing::warn!(%address, option, retry_after = limited.seconds(), "an address is over a limit: raise this option if many listeners share the address, or name it in trusted-proxy if it is a proxy of yours");
            }
        }
    }
}

/// Says why, if not too many are just being told: else closed at once, so that its descriptor is free before the next is accepted.
pub(crate) fn turn_away(tasks: &TaskTracker, stream: Stream, limited: &Limited) {
    let Ok(courtesy) = COURTESIES.try_acquire() else {
        return;
    };
    let answer = answer::limited(limited);
    tasks.spawn(async move {
        answer::send(&answer, stream, Version::Http11, false).await;
        drop(courtesy);
    });
}
