//! Accepts, reads a head, and takes it to its room.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use icecast_ext_core::head::{Method, Request};
use tokio::net::TcpStream;

use crate::admission::{self, Asking};
use crate::answer::Answer;
use crate::caller::Caller;
use crate::connection::{self, Connection};
use crate::overlay::{Ask, Subject};
use crate::route::{Judged, Route};
use crate::server::Server;
use crate::sockets::Open;
use crate::stream::Stream;
use crate::{listener, origin, overlay, tls, tunnel};

/// A peer that acknowledges nothing for so long is cut.
const STUCK: Duration = Duration::from_secs(30);

impl Server {
    /// Until nobody new is to come in.
    pub(crate) async fn accept(self: Arc<Self>, open: Open) {
        let Open { listener, tls } = open;
        loop {
            let accepted = tokio::select! {
                () = self.accepting.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    self.figures.connections.one();
                    let server = self.clone();
                    let connection = self.connections.track_future(async move {
                        tokio::select! {
                            () = server.stop.cancelled() => {}
                            () = server.serve(stream, peer, tls) => {}
                        }
                    });
                    self.tasks.spawn(connection);
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

    async fn serve(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr, tls: bool) {
        if let Some(upstream) = &self.upstream {
            upstream.ledger().accepted();
        }
        let _ = stream.set_nodelay(true);
        // A peer that takes nothing for so long is gone, whatever it is being sent.
        let _ = socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(STUCK));
        let stream = match &self.certificates {
            Some(certificates) if tls => {
                tls::accept(certificates, stream, peer, &self.figures).await
            }
            _ => Some(stream.into()),
        };
        let Some(stream) = stream else {
            return;
        };
        let Some(connection) = connection::read(stream, peer, &self.figures).await else {
            return;
        };
        let bytes = connection.buffer.clone().freeze();
        let Ok(Some((request, length))) = Request::parse(&bytes) else {
            return;
        };
        let config = self.config();
        let caller = Caller::new(&config, connection.peer, &request);
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
        let path = request.target.split('?').next().unwrap_or_default();
        let onward = match onward {
            None => request.target.to_owned(),
            Some(Some(rest)) => format!("{path}?{rest}"),
            Some(None) => path.to_owned(),
        };
        match self.route(&request, &target.path, asked).await {
            Route::Listener(station, mode, resume) => {
                let asking = Asking {
                    request: &request,
                    target: &onward,
                    caller: &caller,
                    resume,
                };
                let admitted = admission::admit(self, &station, mode, connection, &asking).await;
                let Some((connection, permit)) = admitted else {
                    return;
                };
                listener::serve(
                    self, &station, connection, &request, &caller, resume, permit,
                )
                .await;
            }
            Route::Answer(answer) => self.refuse(connection, &request, &answer).await,
            Route::Tunnel => {
                let Some(upstream) = &self.upstream else {
                    return;
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
                    return overlay::serve(&ask, subject, connection).await;
                }
                self.figures.tunnelled.one();
                tunnel::carry(connection, length, &bytes, &onward, upstream, &caller).await;
            }
        }
    }

    /// An answer that is an error, with its line in the log.
    async fn refuse(&self, connection: Connection, request: &Request<'_>, answer: &Answer) {
        self.figures.answered(answer.status());
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
}
