//! Who says that a listener may hear a mount: nobody (`fanout`), the upstream once (`verdict`), the upstream all the time
//! (`shadow`); or the mount is not ours to serve (`tunnel`).
//!
//! A request is judged before anything of the mount's timeline is looked at, a resume like a join: whoever may not listen
//! learns no epoch, no offset and no window. In `verdict` and `shadow` the judge is the upstream itself: it gets the listener's
//! own request, and only if it answers with the live stream, ours does too. Whatever else it answers is the answer.

mod bounds;
mod shadow;
mod verdict;

use std::sync::Arc;
use std::time::{Duration, Instant};

use icecast_ext_core::address::Session;
use icecast_ext_core::field::Resume;
use icecast_ext_core::head::{Method, Request};

use crate::answer::Answer;
use crate::caller::Caller;
use crate::config::{Admission as Mode, MountOptions};
use crate::connection::Connection;
use crate::figures::Limit;
use crate::server::Server;
use crate::station::Station;
use crate::upstream::Listed;

use bounds::{Bounds, Place};
use shadow::Shadows;
pub(crate) use shadow::rounds;

/// Why a mount is served as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// No authenticator in the stats.
    Open,
    /// An authenticator, and credentials.
    Protected,
    /// An authenticator, and no credentials.
    NoCredentials,
    /// Not in the stats.
    Unlisted,
    /// The operator says so.
    Configured,
    /// The operator says `fanout`, and there is an authenticator.
    Opened,
}

impl Why {
    /// As a sentence without its subject's name.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Open => "anyone may hear it",
            Self::Protected => {
                "it is protected, and pull-credentials are given: the upstream judges and counts each listener"
            }
            Self::NoCredentials => "it is protected, and the one pull has no credentials",
            Self::Unlisted => "the upstream's stats do not list it",
            Self::Configured => "as configured",
            Self::Opened => {
                "as configured, although it is protected: whoever asks may hear it, with or without a password"
            }
        }
    }
}

/// How a mount is served, and why. `listed`: as the upstream's stats have it.
pub(crate) fn decide(options: &MountOptions, listed: Listed) -> (Mode, Why) {
    let credentials = options.pull_credentials.is_some();
    match (options.admission, listed) {
        (Some(Mode::Tunnel), _) => (Mode::Tunnel, Why::Configured),
        (_, Listed::Protected) if !credentials => (Mode::Tunnel, Why::NoCredentials),
        (Some(Mode::Fanout), Listed::Protected) => (Mode::Fanout, Why::Opened),
        // A hidden mount is one that the operator names.
        (Some(mode), _) => (mode, Why::Configured),
        (None, Listed::Open) => (Mode::Fanout, Why::Open),
        (None, Listed::Protected) => (Mode::Shadow, Why::Protected),
        (None, Listed::No) => (Mode::Tunnel, Why::Unlisted),
    }
}

/// Whether the upstream is asked about each listener.
pub(crate) fn asks(mode: Mode) -> bool {
    matches!(mode, Mode::Verdict | Mode::Shadow)
}

/// What is remembered of those who were let in.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) shadows: Shadows,
    bounds: Bounds,
}

impl Door {
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self {
            shadows: Shadows::new()?,
            bounds: Bounds::default(),
        })
    }

    /// The listener has a connection of its own at the upstream.
    pub(crate) fn shadowed(&self, id: u64) -> bool {
        self.shadows.has(id)
    }

    /// How long ago the listener's client began, and how long it may still listen, if that is bounded.
    pub(crate) fn term(&self, id: u64, session: Option<Session>) -> Option<(Duration, Duration)> {
        let (end, now) = (self.bounds.end(id)?, Instant::now());
        let since = session.and_then(|session| self.bounds.since(session));
        let since = since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        Some((since, end.saturating_duration_since(now)))
    }

    /// A listener of another process has a term.
    pub(crate) fn bound(
        &self,
        mount: &Arc<icecast_ext_delivery::Mount>,
        id: u64,
        session: Option<Session>,
        (since, left): (Duration, Duration),
    ) {
        let now = Instant::now();
        let began = now.checked_sub(since).unwrap_or(now);
        self.bounds.term(mount, id, session, now + left, began);
        self.shadows.news.notify_one();
    }

    /// A listener goes on at another mount.
    pub(crate) fn moved(&self, id: u64, to: &Arc<Station>) {
        self.shadows.moved(id, to);
        self.bounds.moved(id, &to.mount);
    }

    /// A listener's response has ended: so does what the upstream has of it. Called on a delivery loop's thread.
    pub(crate) fn ended(&self, id: u64) {
        self.shadows.ended(id);
        self.bounds.ended(id);
    }
}

/// A listener that may hear a mount, and is not served yet. Dropped: it never came.
#[derive(Debug)]
pub(crate) struct Permit {
    door: Arc<Door>,
    place: Option<Place>,
    /// Since when, and for how long, where that is bounded.
    term: Option<(Instant, Duration)>,
    shadow: Option<shadow::Held>,
    /// Another process has let it in, and counts it.
    kin: bool,
    /// The upstream has judged its request.
    judged: bool,
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(held) = &self.shadow {
            self.door.shadows.left(held.who);
        }
    }
}

impl Permit {
    /// Whether only we know of this listener.
    pub(crate) fn is_ours_alone(&self) -> bool {
        self.shadow.is_none()
    }

    /// Whether the upstream has had this request, and let it in.
    pub(crate) const fn is_judged(&self) -> bool {
        self.judged
    }

    /// Whether another process counts this listener.
    pub(crate) const fn is_kin(&self) -> bool {
        self.kin
    }

    /// For who was let in before.
    pub(crate) const fn free(door: Arc<Door>) -> Self {
        Self {
            door,
            place: None,
            term: None,
            shadow: None,
            kin: true,
            judged: false,
        }
    }

    /// The listener `id` is served from now on; `admit` gives it to the loops.
    pub(crate) fn served<T>(
        mut self,
        station: &Arc<Station>,
        id: u64,
        session: Option<Session>,
        admit: impl FnOnce() -> Result<T, icecast_ext_delivery::Error>,
    ) -> Result<T, icecast_ext_delivery::Error> {
        let door = self.door.clone();
        if let Some(held) = self.shadow.take() {
            door.shadows.add(station, id, session, held);
        }
        if let Some((since, most)) = self.term {
            door.bounds
                .term(&station.mount, id, session, since + most, since);
            door.shadows.news.notify_one();
        }
        let admitted = match self.place.take() {
            Some(place) => place.taken(admit),
            None => admit(),
        };
        if admitted.is_err() {
            door.ended(id);
        }
        admitted
    }
}

/// A request that wants to listen.
pub(crate) struct Asking<'a> {
    pub(crate) request: &'a Request<'a>,
    /// As it goes upstream: without our query parameters.
    pub(crate) target: &'a str,
    pub(crate) caller: &'a Caller,
    pub(crate) resume: Option<Resume>,
}

/// Judges a request on a live mount. `None`: it was answered.
pub(crate) async fn admit(
    server: &Arc<Server>,
    station: &Arc<Station>,
    mode: Mode,
    connection: Connection,
    asking: &Asking<'_>,
) -> Option<(Connection, Permit)> {
    let method = asking.request.method;
    let mut permit = Permit {
        door: server.door.clone(),
        place: None,
        term: None,
        shadow: None,
        kin: false,
        judged: asks(mode),
    };
    if method == Method::Options {
        return Some((connection, permit));
    }
    let session = asking.resume.and_then(|resume| resume.session);
    let session = session.filter(|_| method == Method::Get);
    // First of all, so that nobody competes with a ghost (R-SESS-3).
    let replaced = session.is_some_and(|session| {
        server.door.shadows.release(station, session);
        server.engine.close_session(&station.mount, session)
    });
    let mut connection = connection;
    if asks(mode) {
        let said = verdict::ask(server, station, asking).await;
        let held = verdict::answered(server, station, connection, asking, said).await?;
        connection = held.0;
        if mode == Mode::Shadow && method == Method::Get {
            permit.shadow = Some(held.1);
        } else {
            server.door.shadows.left(held.1.who);
            if let Some(upstream) = &server.upstream {
                upstream.ledger().asked();
            }
        }
    }
    if mode != Mode::Shadow && method == Method::Get {
        let config = server.config();
        match bound(
            &server.door,
            station,
            config.mount(&station.path),
            session,
            replaced,
        ) {
            Ok((place, term)) => (permit.place, permit.term) = (place, term),
            Err(answer) => {
                let Caller { address, .. } = asking.caller;
                tracing::info!(%address, mount = station.path, status = answer.status(), why = answer.body().trim_end(), "answered");
                server.figures.limited(Limit::MaxListeners);
                let Asking {
                    request, caller, ..
                } = asking;
                server.reply(connection, request, caller, &answer).await;
                return None;
            }
        }
    }
    Some((connection, permit))
}

type Bound = (Option<Place>, Option<(Instant, Duration)>);

/// The bounds that we have to watch, because the upstream does not see these listeners.
fn bound(
    door: &Door,
    station: &Arc<Station>,
    options: &MountOptions,
    session: Option<Session>,
    replaced: bool,
) -> Result<Bound, Answer> {
    let term = options.max_listener_duration.map(|most| {
        let since = session.and_then(|session| door.bounds.since(session));
        (since.unwrap_or_else(Instant::now), most)
    });
    if let Some((since, most)) = term
        && since.elapsed() >= most
    {
        let why = "max listener duration reached\n";
        return Err(Answer::new(403, why));
    }
    let place = match options.max_listeners {
        None => None,
        Some(most) => Some(
            Place::take(station, most, replaced)
                // As Icecast says it.
                .ok_or_else(|| Answer::new(403, "max listeners reached"))?,
        ),
    };
    Ok((place, term))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Credentials;

    #[test]
    fn a_mount_is_served_as_configured_and_never_opened_by_default() {
        let options = |admission, credentials: bool| MountOptions {
            admission,
            pull_credentials: credentials.then(|| Credentials {
                user: "u".into(),
                password: "p".into(),
            }),
            ..MountOptions::default()
        };
        use Listed::{No, Open, Protected};
        use Mode::{Fanout, Shadow, Tunnel, Verdict};
        for (configured, credentials, listed, mode, why) in [
            (None, false, Open, Fanout, Why::Open),
            (None, true, Open, Fanout, Why::Open),
            (None, true, Protected, Shadow, Why::Protected),
            (None, false, Protected, Tunnel, Why::NoCredentials),
            (None, true, No, Tunnel, Why::Unlisted),
            (Some(Shadow), false, Open, Shadow, Why::Configured),
            (Some(Verdict), false, Protected, Tunnel, Why::NoCredentials),
            (Some(Fanout), false, Protected, Tunnel, Why::NoCredentials),
            (Some(Fanout), true, Protected, Fanout, Why::Opened),
            (Some(Verdict), true, Protected, Verdict, Why::Configured),
            (Some(Fanout), false, No, Fanout, Why::Configured),
            (Some(Tunnel), true, Open, Tunnel, Why::Configured),
        ] {
            let case = (configured, credentials, listed);
            assert_eq!(
                decide(&options(configured, credentials), listed),
                (mode, why),
                "{case:?}"
            );
        }
    }
}
