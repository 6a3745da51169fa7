//! The client for whoever has nothing but connections: requests go out as bytes, answers come in as bytes.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;

use super::link::{self, Endpoint};
use super::{Client, ClientError, Event, Head, Request, Step};
use crate::chunked;
#[cfg(doc)]
use crate::head::MAX_HEAD;
use crate::head::Response;

/// Redirects followed for one request (R-SEC-8).
pub const MAX_REDIRECTS: u8 = 5;
/// Bytes that are taken at once, so that what they become does not outgrow a small memory.
pub const PIECE: usize = 4096;

const NOWHERE: &str = "its URL leads nowhere";

/// A connection to open, and what to send on it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dial {
    /// TLS, for this host.
    pub tls: bool,
    /// A name or an address; IPv6 without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The request, whole.
    pub head: Vec<u8>,
}

/// What the caller does next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Act {
    /// Close the connection, if there is one, open this one and send its request.
    Connect(Dial),
    /// Read from the connection; call [`HttpClient::poll`] again at this time at the latest.
    Read {
        /// In the caller's time.
        until: Duration,
    },
    /// Close the connection, if there is one, and call [`HttpClient::poll`] again at this time.
    Wait {
        /// In the caller's time.
        until: Duration,
    },
    /// It is over: [`Client::gave_up`] says why.
    Ended,
}

/// A [`Client`] that speaks HTTP itself: it follows redirects, takes transfer codings off, and logs in with the credentials of
/// a URL. It has one connection at a time: [`super::Options::race`] is off.
///
/// Holds at most [`MAX_HEAD`] bytes of an answer's head besides what the client holds.
#[derive(Debug)]
pub struct HttpClient {
    client: Client,
    agent: String,
    exchange: Option<Exchange>,
    /// A redirect to be followed.
    turned: bool,
}

/// One request and its answer.
#[derive(Debug)]
struct Exchange {
    request: Request,
    /// Where the last redirect led.
    url: String,
    redirects: u8,
    answer: Answer,
}

#[derive(Debug)]
enum Answer {
    /// So far.
    Head(Vec<u8>),
    Body(Coding),
    /// Nothing that follows is of use.
    Over,
}

/// Where the body ends.
#[derive(Debug)]
enum Coding {
    WithConnection,
    After(u64),
    Chunked(Box<chunked::Decoder>),
}

impl HttpClient {
    /// `agent`: the value of `User-Agent`; what cannot stand there is left out.
    #[must_use]
    pub fn new(mut client: Client, agent: &str) -> Self {
        // There is one connection.
        client.options.race = None;
        let agent = agent.chars().filter(|c| matches!(c, ' '..='~')).collect();
        Self {
            client,
            agent,
            exchange: None,
            turned: false,
        }
    }

    /// The client within.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// What happened next. To be called until `None` after each other call.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.client.poll_event()
    }

    /// [`Client::move_to`] this URL, or [`Client::move_on`] without one.
    ///
    /// # Errors
    /// As there.
    pub fn move_to(&mut self, now: Duration, url: Option<&str>) -> Result<(), ClientError> {
        match url {
            Some(url) => self.client.move_to(now, url),
            None => self.client.move_on(now),
        }
    }

    /// What to do at `now`.
    pub fn poll(&mut self, now: Duration) -> Act {
        loop {
            match self.client.poll(now) {
                Step::Connect(request) => {
                    let (conn, url) = (request.conn, request.url.clone());
                    if let Some(dial) = self.dial(request, url, 0) {
                        return Act::Connect(dial);
                    }
                    self.client.failed(now, conn, NOWHERE);
                }
                Step::Read { until } if !std::mem::take(&mut self.turned) => {
                    return Act::Read { until };
                }
                Step::Read { .. } => {
                    let Some(exchange) = self.exchange.take() else {
                        continue;
                    };
                    let conn = exchange.request.conn;
                    match self.dial(exchange.request, exchange.url, exchange.redirects) {
                        Some(dial) => return Act::Connect(dial),
                        None => self.client.failed(now, conn, NOWHERE),
                    }
                }
                Step::Wait { until } => {
                    self.exchange = None;
                    return Act::Wait { until };
                }
                Step::Ended => {
                    self.exchange = None;
                    return Act::Ended;
                }
            }
        }
    }

    /// Bytes of the connection. Returns how many were taken: at most [`PIECE`]. Events are to be taken out before the rest is given,
    /// so that little memory is enough.
    pub fn received(&mut self, now: Duration, bytes: &[u8]) -> usize {
        let Some(exchange) = &mut self.exchange else {
            return bytes.len();
        };
        let piece = &bytes[..bytes.len().min(PIECE)];
        match &mut exchange.answer {
            Answer::Over => return bytes.len(),
            Answer::Body(_) => self.body(now, piece),
            Answer::Head(held) => {
                held.extend_from_slice(piece);
                self.head(now);
            }
        }
        piece.len()
    }

    /// The connection was closed as it should be.
    pub fn closed(&mut self, now: Duration) {
        let Some(Exchange {
            request, answer, ..
        }) = self.exchange.take()
        else {
            return;
        };
        let conn = request.conn;
        let why = match answer {
            Answer::Over => return,
            Answer::Body(Coding::WithConnection) => return self.client.end(now, conn),
            Answer::Body(_) => "the body ended early",
            Answer::Head(held) if held.is_empty() => "closed without an answer",
            Answer::Head(_) => "closed within the head",
        };
        self.client.failed(now, conn, why);
    }

    /// There is no connection, or it broke.
    pub fn failed(&mut self, now: Duration, why: impl Into<String>) {
        if let Some(Exchange {
            request,
            answer: Answer::Head(_) | Answer::Body(_),
            ..
        }) = self.exchange.take()
        {
            self.client.failed(now, request.conn, why);
        }
    }

    fn dial(&mut self, request: Request, url: String, redirects: u8) -> Option<Dial> {
        self.turned = false;
        let dial = self.request(link::endpoint(&url)?, &request);
        self.exchange = Some(Exchange {
            request,
            url,
            redirects,
            answer: Answer::Head(Vec::new()),
        });
        Some(dial)
    }

    fn request(&self, endpoint: Endpoint<'_>, request: &Request) -> Dial {
        let Endpoint {
            https,
            host,
            port,
            authority,
            userinfo,
            target,
        } = endpoint;
        let mut head = format!(
            "GET {target} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: {}\r\nAccept: */*\r\nConnection: close\r\n",
            self.agent
        );
        if let Some(userinfo) = userinfo {
            let decoded: Vec<u8> = percent_encoding::percent_decode_str(userinfo).collect();
            head.push_str(&format!(
                "Authorization: Basic {}\r\n",
                BASE64.encode(decoded)
            ));
        }
        for (name, value) in &request.fields {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        Dial {
            tls: https,
            host,
            port,
            head: head.into_bytes(),
        }
    }

    /// What is held of the head is looked at.
    fn head(&mut self, now: Duration) {
        let Some(exchange) = &mut self.exchange else {
            return;
        };
        let conn = exchange.request.conn;
        let Answer::Head(held) = &mut exchange.answer else {
            return;
        };
        let mut held = std::mem::take(held);
        let mut start = 0;
        let (answer, length) = loop {
            let found = Response::parse(&held[start..]);
            match found {
                Ok(Some((interim, length))) if interim.status < 200 => start += length,
                Ok(Some(found)) => break found,
                Ok(None) => {
                    drop(found);
                    held.drain(..start);
                    exchange.answer = Answer::Head(held);
                    return;
                }
                Err(error) => {
                    exchange.answer = Answer::Over;
                    return self.client.failed(now, conn, error.to_string());
                }
            }
        };
        if let (301 | 302 | 303 | 307 | 308, Some(location)) =
            (answer.status, answer.field("Location"))
        {
            exchange.answer = Answer::Over;
            let why = exchange.redirect(&location);
            self.turned = why.is_none();
            if let Some(why) = why {
                self.client.failed(now, conn, why);
            }
            return;
        }
        exchange.answer = Answer::Body(match answer.content_length() {
            _ if answer.is_chunked() => Coding::Chunked(Box::default()),
            Some(length) => Coding::After(length),
            None => Coding::WithConnection,
        });
        let head = Head {
            status: answer.status,
            url: Some(&exchange.url),
            fields: &answer.fields,
        };
        self.client.head(now, conn, &head);
        self.body(now, &held[start + length..]);
    }

    fn body(&mut self, now: Duration, bytes: &[u8]) {
        let Some(Exchange {
            request, answer, ..
        }) = &mut self.exchange
        else {
            return;
        };
        let conn = request.conn;
        let Answer::Body(coding) = answer else {
            return;
        };
        let (payload, over) = match coding {
            Coding::WithConnection => (Bytes::copy_from_slice(bytes), Ok(false)),
            Coding::After(left) => {
                let most = usize::try_from(*left)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                *left -= most as u64;
                (Bytes::copy_from_slice(&bytes[..most]), Ok(*left == 0))
            }
            Coding::Chunked(decoder) => {
                let mut payload = Vec::new();
                let over = decoder.feed(bytes, &mut payload);
                (payload.into(), over)
            }
        };
        if !payload.is_empty() {
            self.client.body(now, conn, payload);
        }
        match over {
            Ok(false) => {}
            Ok(true) => {
                *answer = Answer::Over;
                self.client.end(now, conn);
            }
            Err(error) => {
                *answer = Answer::Over;
                self.client.failed(now, conn, error.to_string());
            }
        }
    }
}

impl Exchange {
    /// Goes where an answer leads (R-CLIENT-5, R-CLIENT-6), or says why not.
    fn redirect(&mut self, location: &[u8]) -> Option<&'static str> {
        if self.redirects == MAX_REDIRECTS {
            return Some("too many redirects (R-SEC-8)");
        }
        let location = std::str::from_utf8(location).unwrap_or_default();
        match link::resolve(&self.request.url, &self.url, location) {
            Some(url) => {
                self.url = url;
                self.redirects += 1;
                None
            }
            None => Some("a redirect to no URL, or from https to http (R-CLIENT-6)"),
        }
    }
}
