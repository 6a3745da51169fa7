//! Whose request it is.

use std::sync::Arc;

use icecast_ext_core::address::Epoch;
use icecast_ext_core::field::{From, RESUME_OFFSET, Resume};
use icecast_ext_core::head::{Method, Request, Target};
use icecast_ext_core::stock::{self, Ask};

use crate::admission;
use crate::answer::Answer;
use crate::config::Admission as Mode;
use crate::figures::Limit;
use crate::listener::accepts_feed;
use crate::server::Server;
use crate::station::{Station, Supply};
use crate::upstream::{Listed, Origin, STATS, UpstreamError};

/// Longest path and query, bytes: Icecast reads 4096 of a whole head.
const MAX_TARGET: usize = 3072;

/// A request that is one.
pub(crate) struct Judged<'a> {
    pub(crate) target: Target<'a>,
    /// By field, or by query.
    pub(crate) asked: Option<Resume>,
    /// Of a player that knows nothing of us, and may resume.
    pub(crate) stock: Option<Ask>,
    /// If the query held something of ours: the rest of it.
    pub(crate) onward: Option<Option<String>>,
}

impl Judged<'_> {
    /// What it says that it has heard of.
    fn epochs(&self) -> impl Iterator<Item = Epoch> {
        let asked = self.asked.and_then(|asked| match asked.from {
            From::At(at) => Some(at.epoch),
            From::Live | From::Shift(_) => None,
        });
        let stock = self.stock.iter().flat_map(Ask::epochs);
        asked.into_iter().chain(stock)
    }

    /// It has bytes already.
    pub(crate) fn resumes(&self) -> bool {
        let aware = matches!(self.asked.map(|asked| asked.from), Some(From::At(_)));
        aware || self.stock.as_ref().is_some_and(Ask::resumes)
    }
}

/// Whose request it is.
pub(crate) enum Route {
    /// A mount that we serve.
    Listener(Arc<Station>, Mode),
    /// The upstream's.
    Tunnel,
    /// Answered at once.
    Answer(Answer),
}

impl Server {
    /// What a request wants; or why it is none.
    pub(crate) fn judge<'a>(&self, request: &Request<'a>) -> Result<Judged<'a>, Answer> {
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
        let (query, rest) = match target.query.map(Resume::from_query) {
            None => (None, None),
            Some(parsed) => parsed.map_err(|error| malformed(&error))?,
        };
        let field = request.field(RESUME_OFFSET);
        let field = field.map(|value| Resume::parse(&value)).transpose();
        let field = field.map_err(|error| malformed(&error))?;
        let asked = field.or(query);
        let aware = matches!(asked.map(|asked| asked.from), Some(From::At(_))) || field.is_some();
        let listens = matches!(request.method, Method::Get | Method::Head);
        let stock = (listens && !aware && !accepts_feed(request)).then(|| {
            let level = self.config().level(&target.path);
            Ask::of(request, &target, level, asked.unwrap_or(Resume::LIVE))
        });
        let rest = rest.as_deref().and_then(stock::query_without);
        let ours = target
            .query
            .is_some_and(|query| rest.as_deref() != Some(query));
        Ok(Judged {
            onward: ours.then_some(rest),
            stock: stock.flatten(),
            target,
            asked,
        })
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
        judged: &Judged<'_>,
    ) -> Route {
        let path = &judged.target.path;
        if !matches!(request.method, Method::Get | Method::Head | Method::Options) {
            return if self.upstream.is_some() {
                Route::Tunnel
            } else {
                Route::Answer(Answer::new(405, "no such method here\n"))
            };
        }
        let (station, mode) = match self.find(path).await {
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
        let known = !asks && judged.epochs().any(|epoch| station.knows(epoch));
        match station.admits(known).await {
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

    /// The station that serves `path`, if it is a mount that is ours to serve, and who is asked about its listeners.
    pub(crate) async fn find(
        self: &Arc<Self>,
        path: &str,
    ) -> Result<Option<(Arc<Station>, Mode)>, UpstreamError> {
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
    async fn listed(&self, upstream: &Arc<Origin>, station: &Station) -> Listed {
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
