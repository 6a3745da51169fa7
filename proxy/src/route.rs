//! Whose request it is.

use std::sync::Arc;
use std::time::Duration;

use icecast_ext_core::head::{Method, Request, Target};
use icecast_ext_core::resume::HOLD;
use icecast_ext_core::wanted::Wanted;
use tokio::time::Instant;

use crate::admission;
use crate::answer::Answer;
use crate::config::Admission as Mode;
use crate::figures::Limit;
use crate::server::Server;
use crate::station::{Station, Supply};
use crate::upstream::{Listed, STATS, UpstreamError};
use crate::upstreams::Upstreams;

/// Longest path and query, bytes: Icecast reads 4096 of a whole head.
const MAX_TARGET: usize = 3072;

/// Relays that a request has come through, at most (R-RELAY-10). Each adds what it holds back to the delay.
const MAX_RELAYS: usize = 8;
/// Between two looks for an upstream that can be reached.
const AGAIN: Duration = Duration::from_millis(250);

/// The station that serves a path, and who is asked about its listeners; `None` if it is not ours to serve.
type Found = Result<Option<(Arc<Station>, Mode)>, UpstreamError>;

/// Whose request it is.
pub(crate) enum Route {
    /// A mount that we serve.
    Listener(Arc<Station>, Mode),
    /// The upstream's.
    Tunnel,
    /// Answered at once.
    Answer(Answer),
}

/// Those that `Via` names.
fn relays(request: &Request<'_>) -> usize {
    let via = request.field("Via").unwrap_or_default();
    let via = String::from_utf8_lossy(&via);
    let names = via
        .split(',')
        .filter_map(|member| member.split_whitespace().nth(1));
    names.filter(|name| name.starts_with("icx-")).count()
}

impl Server {
    /// What a request is about, and what it wants of that; or why it is none.
    pub(crate) fn judge<'a>(&self, request: &Request<'a>) -> Result<(Target<'a>, Wanted), Answer> {
        let malformed = |error: &dyn std::fmt::Display| Answer::new(400, format!("{error}\n"));
        if request.target.len() > MAX_TARGET {
            let why = format!("the target has more than {MAX_TARGET} bytes\n");
            return Err(Answer::new(414, why));
        }
        let target = Target::parse(request.target).map_err(|error| malformed(&error))?;
        if self.is_loop(request) {
            tracing::error!(
                target = request.target,
                "a request of our own came back: this relay's upstream leads to itself"
            );
            let why = "this relay's upstream leads back to it (R-RELAY-7)\n";
            return Err(Answer::new(508, why));
        }
        if relays(request) > MAX_RELAYS {
            tracing::error!(
                target = request.target,
                "a request has come through more than {MAX_RELAYS} relays"
            );
            let why = format!(
                "more than {MAX_RELAYS} relays in a row: give the lowest of them an upstream nearer to the source (R-RELAY-10)\n"
            );
            return Err(Answer::new(508, why));
        }
        let level = self.config().level(&target.path);
        let wanted = Wanted::of(request, &target, level).map_err(|error| malformed(&error))?;
        Ok((target, wanted))
    }

    fn is_loop(&self, request: &Request<'_>) -> bool {
        let via = request.field("Via").unwrap_or_default();
        String::from_utf8_lossy(&via)
            .split(',')
            .any(|member| member.split_whitespace().nth(1) == Some(self.id.as_str()))
    }

    pub(crate) async fn route(
        self: &Arc<Self>,
        request: &Request<'_>,
        path: &str,
        wanted: &Wanted,
    ) -> Route {
        if !matches!(request.method, Method::Get | Method::Head | Method::Options) {
            return if self.upstream.is_some() {
                Route::Tunnel
            } else {
                Route::Answer(Answer::new(405, "no such method here\n"))
            };
        }
        let deadline = Instant::now() + HOLD;
        // Where there is another, the mount may be back in a moment. One alone is said to be down.
        let fails_over = self.upstream.as_ref().is_some_and(|all| all.len() > 1);
        let found = match self.find(path).await {
            Err(error @ UpstreamError::Down(_)) if fails_over => {
                self.found_soon(path, error, deadline).await
            }
            found => found,
        };
        let (station, mode) = match found {
            Ok(Some(found)) => found,
            Ok(None) if self.upstream.is_some() => return Route::Tunnel,
            Ok(None) => {
                return Route::Answer(Answer::new(404, "no source is live on this mount\n"));
            }
            Err(error) => {
                tracing::warn!(path, %error, "no answer from the upstream");
                let answer = if matches!(error, UpstreamError::Loop) {
                    Answer::new(508, format!("{error}\n"))
                } else {
                    Answer::unavailable(error)
                };
                return Route::Answer(answer);
            }
        };
        // Whoever has to be judged first learns nothing here of what is held.
        let asks = admission::asks(mode);
        let known = !asks && wanted.epochs().any(|epoch| station.knows_somehow(epoch));
        let supply = match station.admits(known).await {
            Supply::Lost(_) if !asks && fails_over => match self.limits.held() {
                Some(_place) => station.comes_back().await,
                None => station.supply(),
            },
            supply => supply,
        };
        match supply {
            Supply::NoSource | Supply::Refused if self.upstream.is_some() => Route::Tunnel,
            Supply::NoSource | Supply::Refused => {
                Route::Answer(Answer::new(404, "no source is live on this mount\n"))
            }
            Supply::Lost(_) if asks => Route::Listener(station, mode),
            Supply::Starting | Supply::Lost(_) => Route::Answer(Answer::unavailable(
                "the upstream does not give this mount now",
            )),
            Supply::Live => Route::Listener(station, mode),
        }
    }

    /// As [`Server::find`], which has just failed: an upstream that can be reached soon is waited for.
    async fn found_soon(
        self: &Arc<Self>,
        path: &str,
        mut error: UpstreamError,
        deadline: Instant,
    ) -> Found {
        let Some(_place) = self.limits.held() else {
            self.figures.limited(Limit::Held);
            return Err(error);
        };
        tracing::info!(path, %error, "a request waits for an upstream");
        let soon = async {
            loop {
                tokio::time::sleep(AGAIN).await;
                match self.find(path).await {
                    Err(still @ UpstreamError::Down(_)) => error = still,
                    found => return found,
                }
            }
        };
        match tokio::time::timeout_at(deadline, soon).await {
            Ok(found) => found,
            Err(_) => Err(error),
        }
    }

    /// The station that serves `path`, if it is a mount that is ours to serve, and who is asked about its listeners.
    pub(crate) async fn find(self: &Arc<Self>, path: &str) -> Found {
        let station = self.stations.get(path);
        let Some(upstream) = &self.upstream else {
            return Ok(station.map(|station| (station, Mode::Fanout)));
        };
        let config = self.config();
        let options = config.mount(path);
        if let Some(station) = station {
            let (mode, _) = admission::decide(options, self.listed(upstream, &station).await);
            return Ok((mode != Mode::Tunnel).then_some((station, mode)));
        }
        // Never a mount, and asking for the list in order to answer for the list would go round in a loop of relays for ever.
        if path == STATS || path.starts_with("/admin/") {
            return Ok(None);
        }
        let listed = upstream.listed(path).await?;
        let (mode, why) = admission::decide(options, listed);
        tracing::debug!(path, ?mode, why = why.text(), "admission");
        if mode == Mode::Tunnel {
            return Ok(None);
        }
        let most = self.max_mounts();
        if self.stations.len() >= most {
            self.figures.limited(Limit::Mounts);
            tracing::error!(path, "over {most} mounts (limits.mounts): tunnelled");
            return Ok(None);
        }
        if !self.limits.has_room_for_a_mount() {
            // The tunnel says so.
            return Ok(None);
        }
        let station = self.station(path);
        station.list(listed);
        Ok(Some((station, mode)))
    }

    /// Whether the mount of a station is protected. While the upstream is away, what it was counts.
    async fn listed(&self, upstream: &Upstreams, station: &Station) -> Listed {
        let path = &station.path;
        let listed = match (upstream.glance(path), station.listed()) {
            // A source that is away, as far as anybody knows.
            (Some(Listed::No) | None, Some(known)) => return known,
            (Some(listed), _) => listed,
            (None, None) => match upstream.listed(path).await {
                Ok(listed @ (Listed::Open | Listed::Protected)) => listed,
                // Its bytes are from a journal. They were pulled with what the configuration has.
                _ if self.config().mount(path).pull_credentials.is_some() => {
                    return Listed::Protected;
                }
                _ => return Listed::Open,
            },
        };
        station.list(listed);
        listed
    }
}
