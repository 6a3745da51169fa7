//! Who may look: Basic authentication, and no page that another site made to point here.

use std::net::IpAddr;

use hyper::header::{AUTHORIZATION, HOST};
use hyper::{HeaderMap, Request};
use sha2::{Digest as _, Sha256};

use crate::config::Config;

/// Why somebody may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// 401
    Unauthorized,
    /// 421: without a password, a name that is not ours may be another site's (DNS rebinding).
    Host,
}

/// The host that was asked for, without its port.
pub(crate) fn host<B>(request: &Request<B>) -> Option<String> {
    let authority = request
        .uri()
        .authority()
        .map(|authority| authority.as_str().to_owned());
    let asked =
        authority.or_else(|| Some(request.headers().get(HOST)?.to_str().ok()?.to_owned()))?;
    let host = if asked.starts_with('[') {
        asked.split_inclusive(']').next()?
    } else {
        asked.split(':').next()?
    };
    // It is put into URLs and into a header.
    let plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    (!host.is_empty() && host.chars().all(plain)).then(|| host.to_ascii_lowercase())
}

/// Compares in a time that tells nothing of either.
fn same(a: &[u8], b: &[u8]) -> bool {
    let (a, b) = (Sha256::digest(a), Sha256::digest(b));
    a.iter()
        .zip(b.iter())
        .fold(0, |different, (a, b)| different | (a ^ b))
        == 0
}

fn authorized(headers: &HeaderMap, password: &str) -> bool {
    use base64::Engine as _;
    let given = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let decoded = given
        .split_once(' ')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
        .and_then(|(_, pair)| {
            base64::engine::general_purpose::STANDARD
                .decode(pair.trim())
                .ok()
        })
        .unwrap_or_default();
    same(&decoded, format!("admin:{password}").as_bytes())
}

/// Whether a request may see what is private.
pub(crate) fn judge<B>(config: &Config, request: &Request<B>) -> Result<(), Refusal> {
    if let Some(password) = config
        .admin_password
        .as_deref()
        .filter(|password| !password.is_empty())
    {
        return if authorized(request.headers(), password) {
            Ok(())
        } else {
            Err(Refusal::Unauthorized)
        };
    }
    let host = host(request).ok_or(Refusal::Host)?;
    let public = config
        .public_url
        .as_deref()
        .and_then(|url| url::Url::parse(url).ok());
    let ours = host == "localhost"
        || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
        || public.as_ref().and_then(|url| url.host_str()) == Some(host.as_str());
    if ours { Ok(()) } else { Err(Refusal::Host) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Options;

    fn config(password: Option<&str>) -> Config {
        let options = Options {
            upstream: vec!["http://a".to_owned()],
            admin_password: password.map(str::to_owned),
            public_url: Some("https://radio.example".to_owned()),
            ..Options::default()
        };
        Config::new(options, None).unwrap()
    }

    fn request(name: &str, value: &str) -> Request<()> {
        Request::builder()
            .uri("/")
            .header(name, value)
            .body(())
            .unwrap()
    }

    #[test]
    fn a_name_that_is_not_ours_is_refused_without_a_password() {
        let config = config(None);
        for host in [
            "localhost:8101",
            "127.0.0.1:1",
            "[::1]:8101",
            "radio.example",
            "RADIO.example:8101",
        ] {
            assert_eq!(judge(&config, &request("Host", host)), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example:8101",
            "",
            "a b",
            "radio.example.evil",
            "x\"y",
        ] {
            assert_eq!(
                judge(&config, &request("Host", host)),
                Err(Refusal::Host),
                "{host}"
            );
        }
        assert_eq!(judge(&config, &Request::new(())), Err(Refusal::Host));
    }

    #[test]
    fn a_password_is_wanted_where_there_is_one() {
        let config = config(Some("s3cret"));
        // admin:s3cret, admin:s3cre, admin:, nothing
        let ok = request("Authorization", "Basic YWRtaW46czNjcmV0");
        assert_eq!(judge(&config, &ok), Ok(()));
        for wrong in [
            "Basic YWRtaW46czNjcmU=",
            "Basic YWRtaW46",
            "Basic",
            "Bearer YWRtaW46czNjcmV0",
            "Basic %%",
        ] {
            let wrong = request("Authorization", wrong);
            assert_eq!(judge(&config, &wrong), Err(Refusal::Unauthorized));
        }
        assert_eq!(
            judge(&config, &request("Host", "localhost")),
            Err(Refusal::Unauthorized)
        );
    }
}
