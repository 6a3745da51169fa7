//! Single values: text in, what it means out, or what is wrong and what to write instead.

use url::Url;

use super::{Credentials, Upstream};

/// What is wrong, and what to do.
pub(super) type Wrong = (String, &'static str);

impl Upstream {
    pub(super) fn parse(text: &str) -> Result<Self, Wrong> {
        let url = Url::parse(text).map_err(|error| {
            (
                format!("is {text:?}, no URL ({error})"),
                "write http://127.0.0.1:8000, say",
            )
        })?;
        let tls = match url.scheme() {
            "http" => false,
            "https" => true,
            _ => {
                let what = format!("is {text:?}");
                return Err((what, "only http:// and https:// are served"));
            }
        };
        if !url.username().is_empty() || url.password().is_some() {
            let remedy = "leave the credentials out; a mount's pull-credentials and upstream-admin are their places";
            return Err(("has a user or a password in it".to_owned(), remedy));
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() {
            return Err((
                format!("is {text:?}"),
                "name the server alone, without a path",
            ));
        }
        let Some(host) = url.host_str() else {
            return Err((format!("is {text:?}"), "name a host: http://HOST:PORT"));
        };
        Ok(Self {
            host: host.to_owned(),
            port: url.port_or_known_default().unwrap_or(80),
            tls,
            ca: None,
            admin: None,
        })
    }
}

impl Credentials {
    /// Neither part is ever in the error.
    pub(super) fn parse(text: &str) -> Result<Self, Wrong> {
        let remedy = "write it as \"USER:PASSWORD\"";
        let Some((user, password)) = text.split_once(':') else {
            return Err(("has no colon in it".to_owned(), remedy));
        };
        if user.is_empty() || text.contains(char::is_control) {
            return Err((
                "has no user before the colon, or a control character".to_owned(),
                remedy,
            ));
        }
        Ok(Self {
            user: user.to_owned(),
            password: password.to_owned(),
        })
    }
}

/// `http://HOST[:PORT][/PATH]` that listeners are told, without a slash at the end.
pub(super) fn base_url(text: &str) -> Result<String, Wrong> {
    let what = || format!("is {text:?}");
    let url = Url::parse(text).map_err(|error| {
        (
            format!("is {text:?}, no URL ({error})"),
            "write https://radio.example, say",
        )
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err((what(), "only http:// and https:// are told to listeners"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err((
            "has a user or a password in it".to_owned(),
            "leave it out: everybody is told this",
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err((
            what(),
            "leave out what follows ? or #: a mount's path is added to it",
        ));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// The decoded path of a mount.
pub(super) fn mount(text: &str) -> Result<(), Wrong> {
    let what = || format!("is {text:?}");
    if !text.starts_with('/') {
        return Err((what(), "a mount begins with a slash, as \"/live.mp3\""));
    }
    if text.contains(char::is_control)
        || text.contains("//")
        || text.split('/').any(|part| matches!(part, "." | ".."))
    {
        return Err((what(), "no request can have such a path"));
    }
    Ok(())
}
