//! Accepts, reads a head, and takes it to its room.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::BytesMut;
use icecast_ext_core::head::{Method, Request};
use tokio::net::TcpStream;

use crate::accesslog::Line;
use crate::admission::{self, Asking};
use crate::answer::{self, Answer};
use crate::caller::Caller;
use crate::connection::{self, Connection};
use crate::entrance::{self, Shut};
use crate::limits::Connected;
use crate::listener;
use crate::overlay::{Ask, Subject};
use crate::route::Route;
use crate::server::Server;
use crate::sockets::Open;
use crate::stream::Stream;
use crate::{origin, overlay, tls, tunnel};

/// How a connection came here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Through a listening socket.
    Plain,
    /// Through a listening socket for TLS.
    Tls,
    /// From the process before, which makes it itself.
    Kin,
}

/// A peer that acknowledges nothing for so long is cut.
const STUCK: Duration = Duration::from_secs(30);

impl Server {
    /// Until nobody new is to come in. As many tasks as there are cores do so at each socket; what is done for a connection is
    /// a task of its own.
    pub(crate) async fn accept(self: Arc<Self>, open: Arc<Open>) {
        let Open { listener, tls } = &*open;
        let tls = *tls;
        loop {
            let accepted = tokio::select! {
                () = self.accepting.cancelled() => return,
                () = self.gate.freezing() => {
                    // Meanwhile connections wait in the kernel, for this process or the next.
                    if self.gate.thawed().await {
                        continue;
                    }
                    return;
                }
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    self.figures.connections.one();
                    let place = match self.let_in(peer) {
                        Ok(place) => place,
                        Err(Shut::Banned) => continue,
                        // Without its handshake a client that wants TLS could not read why.
                        Err(Shut::Limited(_)) if tls => continue,
                        Err(Shut::Limited(limited)) => {
                            entrance::turn_away(&self.tasks, stream.into(), &limited);
                            continue;
                        }
                    };
                    let way = if tls { Way::Tls } else { Way::Plain };
                    self.enter(stream, peer, BytesMut::new(), way, place);
                }
                Err(error) => {
                    self.figures.accept_errors.one();
                    // Out of descriptors, mostly. Those who are connected go on.
                    tracing::error!(%error, "cannot accept: is the limit of open files (ulimit -n) too low?");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// A connection, and what was read of it already.
    pub(crate) fn enter(
        self: &Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        read: BytesMut,
        way: Way,
        place: Connected,
    ) {
        let server = self.clone();
        let connection = self.connections.track_future(async move {
            tokio::select! {
                () = server.stop.cancelled() => {}
                () = server.serve(stream, peer, read, way, place) => {}
            }
        });
        self.tasks.spawn(connection);
    }

    async fn serve(
        self: &Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        read: BytesMut,
        way: Way,
        place: Connected,
    ) {
        if let Some(upstream) = &self.upstream {
            upstream.ledger().accepted();
        }
        let _ = stream.set_nodelay(true);
        // A peer that takes nothing for so long is gone, whatever it is being sent.
        let _ = socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(STUCK));
        let stream = match &self.certificates {
            Some(certificates) if way == Way::Tls => {
                Box::pin(tls::accept(certificates, stream, peer, &self.figures)).await
            }
            _ => Some(stream.into()),
        };
        let Some(stream) = stream else {
            return;
        };
        let read = connection::read(stream, peer, read, place, &self.figures);
        let Some(connection) = read.await else {
            return;
        };
        let Some(mut connection) = self.pass_on(connection) else {
            return;
        };
        let bytes = connection.buffer.clone().freeze();
        let Ok(Some((request, length))) = Request::parse(&bytes) else {
            return;
        };
        let config = self.config();
        let caller = Caller::new(&config, connection.peer, &request);
        let (target, wanted) = match self.judge(&request) {
            Ok(judged) => judged,
            Err(answer) => return self.refuse(connection, &request, &caller, &answer).await,
        };
        if way == Way::Kin {
            // The process before, for those whom it could not hand over. They were let in there.
            if let Some(station) = self.stations.get(&target.path) {
                let permit = admission::Permit::free(self.door.clone());
                Box::pin(listener::serve(
                    self, &station, connection, &request, &caller, &wanted, permit,
                ))
                .await;
            }
            return;
        }
        if let Err(answer) = self.let_ask(&mut connection, &caller, wanted.resumes()) {
            return self.reply(connection, &request, &caller, &answer).await;
        }
        if self.upstream.is_none() && origin::is_for(&request, &target.path) {
            let source = origin::serve(self, connection, &request, &caller, length, &target);
            return Box::pin(source).await;
        }
        let onward = tunnel::onward(&request, &wanted);
        match self.route(&request, &target.path, &wanted).await {
            Route::Listener(station, mode) => {
                let asking = Asking {
                    request: &request,
                    target: &onward,
                    caller: &caller,
                    resume: wanted.asked,
                };
                let admitted = admission::admit(self, &station, mode, connection, &asking);
                let Some((connection, permit)) = Box::pin(admitted).await else {
                    return;
                };
                Box::pin(listener::serve(
                    self, &station, connection, &request, &caller, &wanted, permit,
                ))
                .await;
            }
            Route::Answer(answer) => self.refuse(connection, &request, &caller, &answer).await,
            Route::Tunnel => {
                let Some(upstream) = &self.upstream else {
                    return;
                };
                let _place = match self.limits.onward(Instant::now()) {
                    Ok(place) => place,
                    Err(limited) => {
                        self.say(&limited, caller.address);
                        let answer = answer::limited(&limited);
                        return self.reply(connection, &request, &caller, &answer).await;
                    }
                };
                if let Some(subject) = Subject::of(request.method, &target.path) {
                    let ask = Ask {
                        server: self,
                        upstream,
                        request: &request,
                        target: &target,
                        caller: &caller,
                        secure: matches!(connection.stream, Stream::Tls(_)),
                    };
                    return Box::pin(overlay::serve(&ask, subject, connection)).await;
                }
                self.figures.tunnelled.one();
                let since = connection.since;
                let carried = tunnel::carry(connection, length, &bytes, &onward, upstream, &caller);
                let carried = Box::pin(carried).await;
                self.note(&caller, since, carried.status, carried.bytes);
            }
        }
    }

    /// An answer that is an error, with its line in the log.
    async fn refuse(
        &self,
        connection: Connection,
        request: &Request<'_>,
        caller: &Caller,
        answer: &Answer,
    ) {
        // Without the query, which may hold credentials.
        let path = request.target.split('?').next().unwrap_or_default();
        tracing::info!(peer = %connection.peer, method = request.method.as_str(), path, status = answer.status(), why = answer.body().trim_end(), "answered");
        self.reply(connection, request, caller, answer).await;
    }

    /// Sends an answer; the access log has its line.
    pub(crate) async fn reply(
        &self,
        connection: Connection,
        request: &Request<'_>,
        caller: &Caller,
        answer: &Answer,
    ) {
        self.figures.answered(answer.status());
        let since = connection.since;
        let head_only = request.method == Method::Head;
        let bytes = answer::send(answer, connection.stream, request.version, head_only).await;
        self.note(caller, since, Some(answer.status()), bytes);
    }

    /// A line in the access log, for a request that is over. None without a status: nobody was answered.
    pub(crate) fn note(&self, caller: &Caller, since: SystemTime, status: Option<u16>, bytes: u64) {
        let Some(status) = status else { return };
        let end = SystemTime::now();
        self.access_log.write(&Line {
            address: caller.address,
            user: caller.user.as_deref(),
            end,
            request: &caller.line,
            status,
            bytes,
            referer: &caller.referer,
            agent: &caller.agent,
            lasted: end.duration_since(since).unwrap_or_default(),
        });
    }
}
