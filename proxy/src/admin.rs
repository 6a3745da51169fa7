//! The admin address: a page, the figures behind it, and what happens, for people and for machines.
//!
//! | path | what |
//! |---|---|
//! | `/` | a page that shows everything live |
//! | `/status.json` | everything at this moment; `?mount=/live.mp3` for one |
//! | `/events` | what happens, as server-sent events; `?mount=` too |
//! | `/metrics` | OpenMetrics text |
//! | `/healthz` | 200, or 503 and why |

mod gate;
mod health;
mod metrics;
mod names;
mod process;
mod sse;
mod status;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::handover::{Door, Way};
use crate::server::Server;

/// Connections at once.
const MAX_CONNECTIONS: usize = 64;
/// Of them, those that read events.
const MAX_SUBSCRIBERS: usize = 32;
/// A head may take so long, and have so many bytes.
const HEAD_TIME: Duration = Duration::from_secs(10);
const HEAD_BYTES: usize = 16 << 10;
/// A client that takes nothing for so long is cut.
const STUCK: Duration = Duration::from_secs(20);

const PAGE: &str = include_str!("admin/page.html");
const SCRIPT: &str = include_str!("admin/page.js");
const STYLE: &str = include_str!("admin/page.css");
const ICON: &str = include_str!("admin/icon.svg");

type Body = BoxBody<Bytes, Infallible>;

/// Serves the admin address, if there is one, until the server stops. While another process has it (the one that this one
/// is an upgrade of, mostly), it is tried again.
pub(crate) fn start(server: &Arc<Server>) -> anyhow::Result<()> {
    let Some(address) = server.config().admin else {
        return Ok(());
    };
    let desk = Arc::new(Desk {
        server: server.clone(),
        subscribers: Arc::new(Semaphore::new(MAX_SUBSCRIBERS)),
    });
    let listener = match listen(server, address) {
        Ok(listener) => Some(listener),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            tracing::warn!(%address, "the admin address is in use by another process; it is tried again until it is free");
            None
        }
        Err(error) => {
            return Err(error).with_context(|| format!("admin: cannot listen on {address}: is it one of this machine's, and are you allowed to?"));
        }
    };
    server.tasks.spawn(async move {
        let stop = desk.server.stop.clone();
        stop.run_until_cancelled(async move {
            let listener = match listener {
                Some(listener) => listener,
                None => again(&desk.server, address).await,
            };
            tracing::info!("the status page is at http://{address}/");
            accept(desk, listener).await;
        })
        .await;
    });
    Ok(())
}

fn listen(server: &Server, address: SocketAddr) -> std::io::Result<TcpListener> {
    let door = Door {
        address,
        way: Way::Admin,
        given: false,
    };
    server
        .doors
        .open(door, || std::net::TcpListener::bind(address))
}

async fn again(server: &Server, address: SocketAddr) -> TcpListener {
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        if let Ok(listener) = listen(server, address) {
            return listener;
        }
    }
}

/// What the connections share.
struct Desk {
    server: Arc<Server>,
    subscribers: Arc<Semaphore>,
}

async fn accept(desk: Arc<Desk>, listener: TcpListener) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        // Whoever comes when all places are taken waits in the backlog.
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let accepted = tokio::select! {
            () = desk.server.gate.left() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let desk = desk.clone();
                tokio::spawn(async move {
                    let server = desk.server.clone();
                    tokio::select! {
                        () = server.stop.cancelled() => {}
                        // Who looks on is to see the process that serves now.
                        () = server.gate.left() => {}
                        () = serve(desk, stream) => {}
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::error!(%error, "admin: cannot accept; the streams go on");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

async fn serve(desk: Arc<Desk>, stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let _ = socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(STUCK));
    let service = service_fn(move |request| {
        let desk = desk.clone();
        async move { Ok::<_, Infallible>(desk.answer(&request)) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "admin: a connection ended");
    }
}

fn full(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).boxed()
}

fn text(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(full(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn plain(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    text(status, "text/plain; charset=utf-8", body)
}

fn json(status: StatusCode, value: &impl serde::Serialize) -> Response<Body> {
    match serde_json::to_vec(value) {
        Ok(body) => text(status, "application/json", body),
        Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

/// The value of `name` in a query, decoded.
fn query(request: &Request<Incoming>, name: &str) -> Option<String> {
    let query = request.uri().query().unwrap_or_default();
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

impl Desk {
    fn answer(&self, request: &Request<Incoming>) -> Response<Body> {
        let mut response = self.route(request);
        let headers = response.headers_mut();
        for (name, value) in [
            (header::CACHE_CONTROL, "no-store"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::X_FRAME_OPTIONS, "DENY"),
            (
                header::HeaderName::from_static("cross-origin-resource-policy"),
                "same-origin",
            ),
            (
                header::HeaderName::from_static("cross-origin-opener-policy"),
                "same-origin",
            ),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
            let nothing = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
            headers.insert(header::CONTENT_SECURITY_POLICY, nothing);
        }
        response
    }

    fn route(&self, request: &Request<Incoming>) -> Response<Body> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
            response
                .headers_mut()
                .insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        let config = self.server.config();
        let path = request.uri().path();
        let allowed = gate::judge(&config, request);
        if path == "/healthz" {
            return self.health(request, allowed.is_ok());
        }
        match allowed {
            Ok(()) => {}
            Err(gate::Refusal::Unauthorized) => {
                let mut response =
                    plain(StatusCode::UNAUTHORIZED, "user admin, and admin-password\n");
                let challenge =
                    HeaderValue::from_static("Basic realm=\"icecast-ext\", charset=\"UTF-8\"");
                response
                    .headers_mut()
                    .insert(header::WWW_AUTHENTICATE, challenge);
                return response;
            }
            Err(gate::Refusal::Host) => {
                let why = "ask by localhost, by an address or by the host of public-url; or set admin-password\n";
                return plain(StatusCode::MISDIRECTED_REQUEST, why);
            }
        }
        match path {
            "/" => self.page(request),
            "/page.js" => text(StatusCode::OK, "text/javascript; charset=utf-8", SCRIPT),
            "/page.css" => text(StatusCode::OK, "text/css; charset=utf-8", STYLE),
            "/icon.svg" | "/favicon.ico" => text(StatusCode::OK, "image/svg+xml", ICON),
            "/status.json" => {
                let only = query(request, "mount");
                let base = self.stream_base(request);
                json(
                    StatusCode::OK,
                    &status::Status::of(&self.server, base, only.as_deref()),
                )
            }
            "/metrics" => match metrics::encode(&self.server) {
                Ok(body) => text(StatusCode::OK, metrics::CONTENT_TYPE, body),
                Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
            },
            "/events" => self.events(request),
            _ => plain(
                StatusCode::NOT_FOUND,
                "/, /status.json, /events, /metrics, /healthz\n",
            ),
        }
    }

    fn health(&self, request: &Request<Incoming>, details: bool) -> Response<Body> {
        let health = health::Health::of(&self.server);
        let status = if health.is_ok() {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        // A load balancer has no password: it learns whether, and not why.
        if !details {
            return plain(status, format!("{}\n", health.status));
        }
        let accept = request.headers().get(header::ACCEPT);
        let wants_json =
            accept.is_some_and(|accept| accept.as_bytes().starts_with(b"application/json"));
        if wants_json {
            json(status, &health)
        } else {
            plain(status, health.text())
        }
    }

    fn page(&self, request: &Request<Incoming>) -> Response<Body> {
        let mut response = text(StatusCode::OK, "text/html; charset=utf-8", PAGE);
        let base = self.stream_base(request);
        let origin = url::Url::parse(&base).map(|url| url.origin().ascii_serialization());
        // A policy has no words for IPv6 addresses.
        let media = origin
            .ok()
            .filter(|origin| !origin.contains('['))
            .unwrap_or_else(|| "http: https:".to_owned());
        let policy = format!(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; media-src {media}; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        if let Ok(policy) = HeaderValue::from_str(&policy) {
            response
                .headers_mut()
                .insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        response
    }

    /// Where whoever asks finds the mounts: as configured, or on the host that was asked.
    fn stream_base(&self, request: &Request<Incoming>) -> String {
        let config = self.server.config();
        if let Some(url) = &config.public_url {
            return url.clone();
        }
        let host = gate::host(request).unwrap_or_else(|| "localhost".to_owned());
        let bind = config
            .listen
            .iter()
            .find(|bind| !bind.tls)
            .or(config.listen.first());
        let (scheme, port) = bind.map_or(("http", 8100), |bind| {
            (if bind.tls { "https" } else { "http" }, bind.address.port())
        });
        format!("{scheme}://{host}:{port}")
    }

    fn events(&self, request: &Request<Incoming>) -> Response<Body> {
        let Ok(place) = self.subscribers.clone().try_acquire_owned() else {
            return plain(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("{MAX_SUBSCRIBERS} others look on\n"),
            );
        };
        let last = request
            .headers()
            .get("Last-Event-ID")
            .and_then(|id| id.to_str().ok()?.trim().parse().ok());
        let last = last
            .or_else(|| query(request, "after")?.parse().ok())
            .unwrap_or(0);
        let server = &self.server;
        let body = sse::body(
            &server.figures.events,
            last,
            query(request, "mount"),
            server.stop.clone(),
            place,
        );
        let mut response = Response::new(body.boxed());
        let kind = HeaderValue::from_static("text/event-stream");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}
