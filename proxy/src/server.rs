//! The server: accepts, reads a head, and says whose request it is.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use icecast_ext_core::field::{RESUME_OFFSET, Resume};
use icecast_ext_core::head::{Method, Request, Target};
use icecast_ext_delivery::{Engine, EngineConfig, Journal, MountConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::answer::Answer;
use crate::config::Config;
use crate::connection::{self, Connection};
use crate::log::Log;
use crate::station::{Station, Stations, Supply};
use crate::upstream::{Listed, Origin, STATS, UpstreamError};
use crate::{listener, origin, pull, tunnel};

/// Mounts that are served at once, at most: a path is not a mount, and a stranger must not fill our memory.
pub(crate) const MAX_MOUNTS: usize = 4096;
/// A peer that acknowledges nothing for so long is cut.
const STUCK: std::time::Duration = std::time::Duration::from_secs(30);
/// Connections that wait to be accepted.
const BACKLOG: i32 = 4096;

/// All that the rooms share.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) config: Config,
    pub(crate) engine: Engine,
    pub(crate) journal: Option<Journal>,
    pub(crate) stations: Stations,
    /// `None`: an origin.
    pub(crate) upstream: Option<Arc<Origin>>,
    /// Our name in `Via`.
    pub(crate) id: String,
    pub(crate) log: Arc<Log>,
    /// Places for requests that wait for the edge.
    pub(crate) held: Semaphore,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

/// A request that is one.
struct Judged<'a> {
    target: Target<'a>,
    /// By field, or by query.
    asked: Option<Resume>,
    /// If the query held something of ours: the rest of it.
    onward: Option<Option<String>>,
}

/// Whose request it is.
enum Route {
    /// A mount that we serve.
    Listener(Arc<Station>, Option<Resume>),
    /// The upstream's.
    Tunnel,
    /// Answered at once.
    Answer(Answer),
}

impl Server {
    /// Opens the journal and the sockets, and starts what was live before.
    pub(crate) async fn start(
        config: Config,
        stop: CancellationToken,
    ) -> anyhow::Result<(Arc<Self>, Vec<SocketAddr>)> {
        let id = crate::random_id()?;
        let journal = config.state.as_deref().map(Journal::open).transpose()?;
        let upstream = match &config.upstream {
            None => None,
            Some(server) => Some(Arc::new(Origin::new(server.clone(), format!("1.1 {id}"))?)),
        };
        let log = Arc::new(Log::default());
        let ended = {
            let log = log.clone();
            move |ended| log.ended(ended)
        };
        let engine =
            Engine::start(EngineConfig::default(), ended).context("starting the delivery loops")?;
        let server = Arc::new(Self {
            config,
            engine,
            journal,
            stations: Stations::default(),
            upstream,
            id,
            log,
            held: Semaphore::new(listener::MAX_HELD),
            stop,
            tasks: TaskTracker::new(),
        });
        let mut listeners = Vec::new();
        for address in &server.config.listen {
            let listener = bind(*address, &server.config.listen).with_context(|| {
                format!("cannot listen on {address}: is it in use, or are you not allowed to?")
            })?;
            listeners.push(listener);
        }
        // What is older than this, nobody can want to continue.
        let keep = server.config.window + server.config.patience;
        let remembered = server.journal.as_ref().map(|journal| journal.mounts(keep));
        let always = server.config.always.clone();
        for path in remembered.into_iter().flatten().chain(always) {
            let station = server.station(&path);
            if server.upstream.is_none() {
                origin::lost(&server, &station);
            }
        }
        let mut addresses = Vec::new();
        for listener in listeners {
            addresses.push(listener.local_addr()?);
            server.tasks.spawn(server.clone().accept(listener));
        }
        Ok((server, addresses))
    }

    /// Ends what runs: listeners get what they were promised, the journal is written out.
    pub(crate) async fn finish(&self) {
        self.stop.cancel();
        self.tasks.close();
        let _ = tokio::time::timeout(std::time::Duration::from_secs(3), self.tasks.wait()).await;
        let grace = std::time::Duration::from_secs(1);
        tokio::task::block_in_place(|| {
            self.engine.shutdown(grace);
            if let Some(journal) = &self.journal {
                journal.sync();
            }
        });
    }

    async fn accept(self: Arc<Self>, listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let server = self.clone();
                    self.tasks.spawn(async move {
                        tokio::select! {
                            () = server.stop.cancelled() => {}
                            () = server.serve(stream, peer) => {}
                        }
                    });
                }
                Err(error) => {
                    // Out of descriptors, mostly. Those who are connected go on.
                    tracing::error!(%error, "cannot accept: is the limit of open files (ulimit -n) too low?");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn serve(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        let _ = stream.set_nodelay(true);
        // A peer that takes nothing for so long is gone, whatever it is being sent.
        let _ = socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(STUCK));
        let Some(connection) = connection::read(stream, peer).await else {
            return;
        };
        let bytes = connection.buffer.clone().freeze();
        let Ok(Some((request, length))) = Request::parse(&bytes) else {
            return;
        };
        let Judged {
            target,
            asked,
            onward,
        } = match self.judge(&request) {
            Ok(judged) => judged,
            Err(answer) => return self.refuse(connection, &request, &answer).await,
        };
        if self.upstream.is_none() && origin::is_for(&request, &target.path) {
            return origin::serve(self, connection, &request, length, &target).await;
        }
        match self.route(&request, &target.path, asked).await {
            Route::Listener(station, resume) => {
                listener::serve(self, &station, connection, &request, resume).await
            }
            Route::Answer(answer) => self.refuse(connection, &request, &answer).await,
            Route::Tunnel => {
                let Some(upstream) = &self.upstream else {
                    return;
                };
                let path = request.target.split('?').next().unwrap_or_default();
                let onward = match onward {
                    None => request.target.to_owned(),
                    Some(Some(rest)) => format!("{path}?{rest}"),
                    Some(None) => path.to_owned(),
                };
                tunnel::carry(
                    connection,
                    length,
                    &bytes,
                    &onward,
                    upstream,
                    &self.config.trusted_proxies,
                )
                .await;
            }
        }
    }

    /// What a request wants; or why it is none.
    fn judge<'a>(&self, request: &Request<'a>) -> Result<Judged<'a>, Answer> {
        let malformed = |error: &dyn std::fmt::Display| Answer::new(400, format!("{error}\n"));
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
        Ok(Judged {
            target,
            asked: field.or(query),
            onward: query.map(|_| rest),
        })
    }

    /// An answer that is an error, with its line in the log.
    async fn refuse(&self, connection: Connection, request: &Request<'_>, answer: &Answer) {
        // Without the query, which may hold credentials.
        let path = request.target.split('?').next().unwrap_or_default();
        tracing::info!(peer = %connection.peer, method = request.method.as_str(), path, status = answer.status(), why = answer.body().trim_end(), "answered");
        answer
            .send(
                connection.stream,
                request.version,
                request.method == Method::Head,
            )
            .await;
    }

    fn is_loop(&self, request: &Request<'_>) -> bool {
        let via = request.field("Via").unwrap_or_default();
        String::from_utf8_lossy(&via)
            .split(',')
            .any(|member| member.split_whitespace().nth(1) == Some(self.id.as_str()))
    }

    async fn route(
        self: &Arc<Self>,
        request: &Request<'_>,
        path: &str,
        asked: Option<Resume>,
    ) -> Route {
        if !matches!(request.method, Method::Get | Method::Head | Method::Options) {
            return if self.upstream.is_some() {
                Route::Tunnel
            } else {
                Route::Answer(Answer::new(405, "no such method here\n"))
            };
        }
        let station = match self.find(path).await {
            Ok(Some(station)) => station,
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
        match station.admits(asked.as_ref()).await {
            Supply::NoSource | Supply::Refused if self.upstream.is_some() => Route::Tunnel,
            Supply::NoSource | Supply::Refused => {
                Route::Answer(Answer::new(404, "no source is live on this mount\n"))
            }
            Supply::Starting | Supply::Lost(_) => Route::Answer(Answer::unavailable(
                "the upstream does not give this mount now",
            )),
            Supply::Live => Route::Listener(station, asked),
        }
    }

    /// The station that serves `path`, if it is a mount that may be fanned out.
    async fn find(self: &Arc<Self>, path: &str) -> Result<Option<Arc<Station>>, UpstreamError> {
        if let Some(station) = self.stations.get(path) {
            return Ok(Some(station));
        }
        let Some(upstream) = &self.upstream else {
            return Ok(None);
        };
        // Never a mount, and asking for the list in order to answer for the list would go round in a loop of relays for ever.
        if path == STATS
            || path.starts_with("/admin/")
            || upstream.listed(path).await? != Listed::Open
        {
            return Ok(None);
        }
        if self.stations.len() >= MAX_MOUNTS {
            tracing::error!(path, "over {MAX_MOUNTS} mounts: tunnelled");
            return Ok(None);
        }
        Ok(Some(self.station(path)))
    }

    /// The station at `path`; a new one begins with what the journal holds and, behind an upstream, with a pull.
    pub(crate) fn station(self: &Arc<Self>, path: &str) -> Arc<Station> {
        let (station, new) = self.stations.get_or_make(path, || {
            let config = MountConfig {
                tick: self.config.tick,
                window: self.config.window,
                burst: self.config.burst,
                ..MountConfig::default()
            };
            let mount = self.engine.mount(path, config);
            if let Some(journal) = &self.journal {
                let loaded = mount.attach(journal);
                tracing::info!(mount = path, bytes = loaded.bytes, edge = ?loaded.edge, "from the journal");
            }
            Station::new(path, mount)
        });
        if new && let Some(upstream) = &self.upstream {
            self.tasks
                .spawn(pull::run(self.clone(), upstream.clone(), station.clone()));
        }
        station
    }

    /// The mount has ended: its listeners go when they have been sent what is held.
    pub(crate) fn close(&self, station: &Station) {
        station.mount.close();
    }
}

/// A listening socket that another process may take over at once, with a backlog for a storm of reconnects. `[::]` takes
/// IPv4 too, unless `all` has a socket of its own for that.
fn bind(address: SocketAddr, all: &[SocketAddr]) -> std::io::Result<TcpListener> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        let beside = all
            .iter()
            .any(|other| other.is_ipv4() && other.port() == address.port());
        socket.set_only_v6(beside)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_families_listen_on_one_port() {
        let v4 = bind(SocketAddr::from(([0, 0, 0, 0], 0)), &[]).unwrap();
        let port = v4.local_addr().unwrap().port();
        let all = [
            SocketAddr::from(([0, 0, 0, 0], port)),
            SocketAddr::from(([0u16; 8], port)),
        ];
        match bind(all[1], &all) {
            Ok(v6) => assert!(v6.local_addr().unwrap().is_ipv6()),
            Err(error) => assert_ne!(error.kind(), std::io::ErrorKind::AddrInUse, "{error}"),
        }
    }
}
