//! Requests over reqwest.

use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use icecast_ext_core::client::Request;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::{Attempt, Policy};
use url::Url;

use crate::{Error, trust};

/// Redirects followed for one request (R-SEC-8).
const MAX_REDIRECTS: usize = 5;
/// An idle connection is probed so often.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// What the transport can be told.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) connect_timeout: Duration,
    /// Obey the proxies that the environment names.
    pub(crate) proxies: bool,
    /// Further authorities.
    pub(crate) ca: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            proxies: false,
            ca: None,
        }
    }
}

/// A body, in pieces.
pub(crate) type Body = Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>;

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// After redirects.
    pub(crate) url: String,
    pub(crate) fields: HeaderMap,
    pub(crate) body: Body,
}

/// A request on its way.
pub(crate) type Pending = Pin<Box<dyn Future<Output = Result<Answer, String>> + Send>>;

/// Sends requests, each on a connection of its own.
#[derive(Debug, Clone)]
pub(crate) struct Http(reqwest::Client);

impl Http {
    pub(crate) fn new(options: &Options) -> Result<Self, Error> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // Somebody else may have been faster, which is as well.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        if let Some(ca) = &options.ca {
            let client = builder(options).tls_backend_preconfigured(trust::config(Some(ca))?);
            return client.build().map(Self).map_err(Error::Http);
        }
        let client = builder(options).build().or_else(|error| {
            tracing::warn!(%error, "no root certificates: https relays cannot be used");
            builder(options).tls_certs_only([]).build()
        });
        client.map(Self).map_err(Error::Http)
    }

    /// Sends it.
    pub(crate) fn send(&self, request: &Request) -> Pending {
        let sent = self
            .0
            .get(&request.url)
            .headers(headers(&request.fields))
            .send();
        Box::pin(async move {
            let response = sent.await.map_err(|error| {
                let host = error
                    .url()
                    .and_then(|url| url.host_str().map(str::to_owned));
                let error = error.without_url();
                trust::remedy(&error, host.as_deref().unwrap_or_default(), "--ca")
                    .unwrap_or_else(|| reason(error))
            })?;
            Ok(Answer {
                status: response.status().as_u16(),
                url: response.url().to_string(),
                fields: response.headers().clone(),
                body: Box::pin(response.bytes_stream()),
            })
        })
    }
}

fn builder(options: &Options) -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder()
        .user_agent(concat!("icecast-ext/", env!("CARGO_PKG_VERSION")))
        .http1_only()
        .pool_max_idle_per_host(0)
        .connect_timeout(options.connect_timeout)
        .tcp_keepalive(KEEPALIVE)
        .tcp_nodelay(true)
        // It would name a URL, and what is secret in it, to another origin.
        .referer(false)
        .redirect(Policy::custom(redirect));
    if options.proxies {
        builder
    } else {
        builder.no_proxy()
    }
}

/// reqwest itself drops credentials on the way to another origin (R-CLIENT-5).
fn redirect(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    match forbidden(attempt.previous(), attempt.url()) {
        Some(why) => attempt.error(why),
        None => attempt.follow(),
    }
}

/// Why a redirect is not followed.
fn forbidden(previous: &[Url], next: &Url) -> Option<&'static str> {
    let from_https = previous.iter().any(|url| url.scheme() == "https");
    if from_https && next.scheme() != "https" {
        Some("a redirect leads from https to http (R-CLIENT-6)")
    } else if previous.len() > MAX_REDIRECTS {
        Some("too many redirects (R-SEC-8)")
    } else {
        None
    }
}

fn headers(fields: &[(&'static str, String)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        // Both are our own; one that cannot be sent would be a bug, and no reason to panic.
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(*name), HeaderValue::try_from(value)) {
            map.append(name, value);
        }
    }
    map
}

/// The innermost reason: "connection refused" rather than "error sending request".
pub(crate) fn reason(error: reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = &error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_never_lead_from_https_to_http_nor_on_for_ever() {
        let url = |text: &str| Url::parse(text).unwrap();
        let (safe, open) = (url("https://a/"), url("http://a/"));
        assert!(forbidden(std::slice::from_ref(&safe), &open).is_some());
        assert!(forbidden(&[safe.clone(), safe.clone()], &open).is_some());
        assert!(forbidden(std::slice::from_ref(&open), &safe).is_none());
        assert!(forbidden(&vec![open.clone(); 5], &open).is_none());
        assert!(forbidden(&vec![open.clone(); 6], &open).is_some());
    }

    #[test]
    fn the_fields_are_sent_as_they_are() {
        let fields = [("Resume-Offset", "live".to_owned())];
        assert_eq!(headers(&fields)["resume-offset"], "live");
    }
}
