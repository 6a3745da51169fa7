//! What is judged, and what the suite is given to judge it with.

use std::net::SocketAddr;
use std::time::Duration;

/// An address in the form `http://HOST[:PORT]/MOUNT`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Url {
    /// `HOST:PORT`, as `Host` and a connect want it.
    pub authority: String,
    /// From the first `/` on, with a query if there is one.
    pub target: String,
}

/// Why a text is not an address that the suite can use.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}: not of the form http://HOST[:PORT]/MOUNT")]
pub struct BadUrl(String);

impl Url {
    /// Reads it. `https` is not spoken: put the suite behind the server's TLS.
    ///
    /// # Errors
    /// If it is of another form.
    pub fn parse(text: &str) -> Result<Self, BadUrl> {
        let bad = || BadUrl(text.to_owned());
        let rest = text.strip_prefix("http://").ok_or_else(bad)?;
        let slash = rest.find('/').ok_or_else(bad)?;
        let (authority, target) = rest.split_at(slash);
        let bare = authority.is_empty() || authority.contains('@') || authority.starts_with(':');
        if bare || target.contains([' ', '#']) || target.len() < 2 {
            return Err(bad());
        }
        let port = authority.rsplit_once(':').map(|(_, port)| port);
        let authority = match port {
            Some(port) if port.parse::<u16>().is_ok() => authority.to_owned(),
            Some(port) if !port.ends_with(']') => return Err(bad()),
            _ => format!("{authority}:80"),
        };
        Ok(Self {
            authority,
            target: target.to_owned(),
        })
    }

    /// The whole of it.
    #[must_use]
    pub fn text(&self) -> String {
        format!("http://{}{}", self.authority, self.target)
    }
}

/// What is judged, and what may be used for it.
#[derive(Clone, Debug)]
pub struct Target {
    /// The server and its mount.
    pub url: Url,
    /// `user:password` of sources: then the suite feeds the mounts itself, this one and others beside it.
    pub source: Option<String>,
    /// `user:password` for `/admin/metadata`; that of sources if unset.
    pub admin: Option<String>,
    /// The same stream at another server.
    pub second: Option<Url>,
    /// A server of the same kind that has the suite as its upstream.
    pub below: Option<Url>,
    /// Where the suite listens, as that server's upstream.
    pub upstream: Option<SocketAddr>,
    /// A mount that asks its listeners for a password.
    pub protected: Option<Url>,
    /// `user:password` of a listener there.
    pub listener: Option<String>,
    /// How many requests the server holds at once, if that is known.
    pub held: Option<usize>,
    /// S of the server: how far apart it takes clocks and delays to be (R-ANCHOR-13).
    pub skew: Duration,
    /// How long the suite waits for bytes to leave the window.
    pub patience: Duration,
    /// How long a server may take to answer. Held requests take up to 10 seconds (R-AHEAD-1).
    pub answer: Duration,
}

impl Target {
    /// A mount, and nothing else: only what a listener can see is judged.
    ///
    /// # Errors
    /// If that is no address of a mount.
    pub fn new(url: &str) -> Result<Self, BadUrl> {
        Ok(Self {
            url: Url::parse(url)?,
            source: None,
            admin: None,
            second: None,
            below: None,
            upstream: None,
            protected: None,
            listener: None,
            held: None,
            skew: Duration::from_secs(10),
            patience: Duration::from_secs(20),
            answer: Duration::from_secs(15),
        })
    }

    /// A mount beside the one that is judged: `/live.mp3` and `cut` make `/live-cut.mp3`.
    #[must_use]
    pub fn beside(&self, name: &str, extension: &str) -> String {
        let path = self.url.target.split('?').next().unwrap_or_default();
        let stem = match path.rsplit_once('.') {
            Some((stem, end)) if !end.contains('/') => stem,
            _ => path,
        };
        format!("{stem}-{name}.{extension}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses() {
        let url = |text| Url::parse(text).map(|url| (url.authority, url.target));
        let is = |authority: &str, target: &str| Ok((authority.to_owned(), target.to_owned()));
        assert_eq!(url("http://a/m"), is("a:80", "/m"));
        assert_eq!(url("http://a:8000/m.mp3?x=1"), is("a:8000", "/m.mp3?x=1"));
        assert_eq!(url("http://[::1]:1/m"), is("[::1]:1", "/m"));
        for bad in [
            "https://a/m",
            "a/m",
            "http:///m",
            "http://a",
            "http://a:b/m",
            "http://a/",
            "http://u@a/m",
        ] {
            assert!(url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_mounts_beside() {
        let target = |url| Target::new(url).unwrap().beside("x", "opus");
        assert_eq!(target("http://a/live.mp3"), "/live-x.opus");
        assert_eq!(target("http://a/b.c/live"), "/b.c/live-x.opus");
    }
}
