//! URLs of relays: which ones a server may name.

/// The longest URL that is believed.
pub(super) const MAX_URL: usize = 2048;

/// `http://authority/path?query`, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Url<'a> {
    https: bool,
    userinfo: Option<&'a str>,
    /// Host and port, lower case, without the default port.
    host: String,
    port: u16,
    /// From the slash on, without fragment.
    path: &'a str,
}

impl<'a> Url<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        if text.len() > MAX_URL
            || !text
                .bytes()
                .all(|b| b.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&b))
        {
            return None;
        }
        let (scheme, rest) = text.split_once("://")?;
        let https = match scheme {
            s if s.eq_ignore_ascii_case("http") => false,
            s if s.eq_ignore_ascii_case("https") => true,
            _ => return None,
        };
        let rest = rest.split('#').next().unwrap_or(rest);
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (userinfo, host) = match authority.rsplit_once('@') {
            Some((userinfo, host)) => (Some(userinfo), host),
            None => (None, authority),
        };
        let host = host.to_ascii_lowercase();
        let host = host
            .strip_suffix(if https { ":443" } else { ":80" })
            .unwrap_or(&host);
        if host.is_empty() || host.starts_with(':') {
            return None;
        }
        let port = match host.rsplit_once(':') {
            Some((_, port)) if !port.contains(']') => port.parse().ok()?,
            _ if https => 443,
            _ => 80,
        };
        Some(Self {
            https,
            userinfo,
            host: host.to_owned(),
            port,
            path,
        })
    }

    fn origin(&self) -> (bool, &str) {
        (self.https, &self.host)
    }

    fn write(&self, userinfo: Option<&str>) -> String {
        let scheme = if self.https { "https" } else { "http" };
        let slash = if self.path.starts_with('/') { "" } else { "/" };
        match userinfo {
            Some(userinfo) => format!("{scheme}://{userinfo}@{}{slash}{}", self.host, self.path),
            None => format!("{scheme}://{}{slash}{}", self.host, self.path),
        }
    }
}

/// Where a URL leads, for whoever opens the connection.
#[derive(Debug)]
pub(super) struct Endpoint<'a> {
    pub(super) https: bool,
    /// A name or an address, IPv6 without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// For `Host`.
    pub(super) authority: String,
    pub(super) userinfo: Option<&'a str>,
    /// From the slash on.
    pub(super) target: String,
}

/// `None`: that is no URL, or its port is none.
pub(super) fn endpoint(url: &str) -> Option<Endpoint<'_>> {
    let url = Url::parse(url)?;
    let host = match url.host.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => host,
        _ => &url.host,
    };
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    let slash = if url.path.starts_with('/') { "" } else { "/" };
    (!host.is_empty()).then(|| Endpoint {
        https: url.https,
        host: host.to_owned(),
        port: url.port,
        authority: url.host.clone(),
        userinfo: url.userinfo,
        target: format!("{slash}{}", url.path),
    })
}

/// True for a URL that a client can be given.
pub(super) fn valid(url: &str) -> bool {
    Url::parse(url).is_some()
}

/// The URL in one spelling, without credentials: for comparison and for people's eyes.
pub(super) fn shown(url: &str) -> String {
    Url::parse(url).map_or_else(|| url.to_owned(), |url| url.write(None))
}

/// Where a reference leads that the answer from `base` made; `asked` is the URL that was requested, before redirects.
///
/// Only http and https, never from https to http, and no credentials in it. Those of `asked` go along within its origin
/// alone (R-CLIENT-5, R-CLIENT-6).
pub(super) fn resolve(asked: &str, base: &str, reference: &str) -> Option<String> {
    let asked = Url::parse(asked)?;
    let base = Url::parse(base)?;
    let scheme = if base.https { "https" } else { "http" };
    let (dir, file) = match base.path.split('?').next().unwrap_or("").rsplit_once('/') {
        Some((dir, file)) => (dir, file),
        None => ("", ""),
    };
    let text = if reference.is_empty() || reference.starts_with('#') {
        return None;
    } else if reference.contains("://") && !reference.starts_with(['/', '?', '.']) {
        reference.to_owned()
    } else if reference.starts_with("//") {
        format!("{scheme}:{reference}")
    } else if reference.starts_with('/') {
        format!("{scheme}://{}{reference}", base.host)
    } else if reference.starts_with('?') {
        format!("{scheme}://{}{dir}/{file}{reference}", base.host)
    } else if reference
        .split(['/', '?'])
        .next()
        .is_some_and(|first| first.contains(':'))
    {
        return None;
    } else {
        format!("{scheme}://{}{dir}/{reference}", base.host)
    };
    let target = Url::parse(&text)?;
    if target.userinfo.is_some() || ((base.https || asked.https) && !target.https) {
        return None;
    }
    let path = without_dots(target.path);
    let target = Url {
        path: &path,
        ..target.clone()
    };
    let userinfo = asked.userinfo.filter(|_| target.origin() == asked.origin());
    Some(target.write(userinfo))
}

/// RFC 3986 section 5.2.4.
fn without_dots(path: &str) -> String {
    let (path, query) = path.split_at(path.find('?').unwrap_or(path.len()));
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            other => kept.push(other),
        }
    }
    format!("/{}{query}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(base: &str, reference: &str) -> Option<String> {
        resolve(base, base, reference)
    }

    #[test]
    fn references_resolve_against_the_answer() {
        let base = "http://one.example:8000/radio/live.mp3?x=1";
        for (reference, target) in [
            ("http://Two.example/live.mp3", "http://two.example/live.mp3"),
            ("http://two.example:80", "http://two.example/"),
            ("//two.example/live", "http://two.example/live"),
            ("/other", "http://one.example:8000/other"),
            ("other?y", "http://one.example:8000/radio/other?y"),
            ("../other", "http://one.example:8000/other"),
            ("../../../a/./b/..", "http://one.example:8000/a/"),
            ("?y", "http://one.example:8000/radio/live.mp3?y"),
            ("https://two.example/", "https://two.example/"),
        ] {
            assert_eq!(
                from(base, reference).as_deref(),
                Some(target),
                "{reference}"
            );
        }
    }

    #[test]
    fn other_schemes_credentials_and_downgrades_are_refused() {
        for reference in [
            "",
            "#a",
            "ftp://x/",
            "mailto:a",
            "file:///etc/passwd",
            "http://u:p@x/",
            "http:///x",
            "http://x/a b",
            "http://é/",
        ] {
            assert_eq!(
                from("http://one.example/live", reference),
                None,
                "{reference}"
            );
        }
        assert_eq!(
            from("https://one.example/live", "http://one.example/live"),
            None
        );
        assert_eq!(
            resolve("https://one.example/", "http://one.example/", "/x"),
            None
        );
        assert_eq!(
            from("https://one.example/live", "//x/").as_deref(),
            Some("https://x/")
        );
    }

    #[test]
    fn an_endpoint_is_what_a_connection_needs() {
        for (url, host, port, authority, target) in [
            (
                "http://A.example/live?x#y",
                "a.example",
                80,
                "a.example",
                "/live?x",
            ),
            (
                "https://u:p@a.example:8443",
                "a.example",
                8443,
                "a.example:8443",
                "/",
            ),
            ("https://[::1]/a", "::1", 443, "[::1]", "/a"),
            ("http://[::1]:8000?b", "::1", 8000, "[::1]:8000", "/?b"),
        ] {
            let found = endpoint(url).unwrap();
            assert_eq!((found.host.as_str(), found.port), (host, port));
            assert_eq!(
                (found.authority.as_str(), found.target.as_str()),
                (authority, target)
            );
            assert_eq!(found.https, url.starts_with("https"));
        }
        assert_eq!(endpoint("https://u:p@a/").unwrap().userinfo, Some("u:p"));
        for url in ["http://a:b/", "http://a:99999/", "ftp://a/", "http://[]:1/"] {
            assert!(endpoint(url).is_none(), "{url}");
        }
    }

    #[test]
    fn credentials_stay_within_their_origin() {
        let asked = "http://u:p@one.example/live";
        assert_eq!(
            resolve(asked, asked, "/b").as_deref(),
            Some("http://u:p@one.example/b")
        );
        assert_eq!(
            resolve(asked, asked, "http://one.example:8000/b").as_deref(),
            Some("http://one.example:8000/b")
        );
        assert_eq!(
            resolve(asked, "http://two.example/", "/b").as_deref(),
            Some("http://two.example/b")
        );
        assert_eq!(shown(asked), "http://one.example/live");
    }
}
