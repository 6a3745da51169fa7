//! An `icecast.xml`, as far as it concerns who stands in front of that server. Pure: text in, values with their lines out.
//! Elements that are not known here are skipped, as Icecast itself does.

pub(crate) mod stats;
mod tree;

use tree::Element;

/// Why a file is no configuration of Icecast.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("line {line}: {why}")]
pub struct XmlError {
    /// From 1.
    pub line: usize,
    /// What is wrong there.
    pub why: String,
}

impl XmlError {
    fn new(line: usize, why: impl Into<String>) -> Self {
        let why = why.into();
        Self { line, why }
    }
}

/// A value, and the line that it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At<T> {
    /// From 1.
    pub line: usize,
    /// What is there.
    pub value: T,
}

/// What the file says.
#[derive(Debug, Default)]
pub struct IcecastXml {
    /// The public name.
    pub hostname: Option<At<String>>,
    /// Where it listens; at least one in a file that works.
    pub sockets: Vec<Socket>,
    /// Clients of all kinds at once.
    pub clients: Option<At<u64>>,
    /// What a listener may be behind, in bytes.
    pub queue_size: Option<At<u64>>,
    /// What a joiner gets at once, in bytes; 0 if `burst-on-connect` is off.
    pub burst_size: Option<At<u64>>,
    /// The user and password of the administrator are in these lines. They are not taken out of the file.
    pub admin_lines: Option<(usize, usize)>,
    /// In the file's order.
    pub mounts: Vec<Mount>,
    /// Streams pulled from elsewhere.
    pub relays: Vec<Relay>,
    /// The server whose streams are all relayed.
    pub master: Option<At<String>>,
    /// `deny-ip`, a file.
    pub deny_ip: Option<At<String>>,
    /// `allow-ip`, a file.
    pub allow_ip: Option<At<String>>,
    /// The file with the certificate.
    pub certificate: Option<At<String>>,
    /// The file with its key, if it is another.
    pub private_key: Option<At<String>>,
    /// Whose `X-Forwarded-For` is believed (icecast-kh).
    pub forwarded_from: Vec<At<String>>,
    /// Paths that stand for others.
    pub aliases: Vec<Alias>,
    /// It sees a part of the file system only, so its paths are others than ours.
    pub chroot: Option<At<String>>,
}

/// A `listen-socket`.
#[derive(Debug)]
pub struct Socket {
    /// Of the element.
    pub line: usize,
    /// 8000 if the file does not say.
    pub port: At<u16>,
    /// An address or a name.
    pub bind: Option<At<String>>,
    /// TLS.
    pub ssl: bool,
    /// `shoutcast-mount`: Shoutcast sources come to the port above.
    pub shoutcast_mount: Option<usize>,
    /// `shoutcast-compat`: only Shoutcast sources come here.
    pub shoutcast_compat: Option<usize>,
}

/// A `mount`.
#[derive(Debug, Default)]
pub struct Mount {
    /// Of the element.
    pub line: usize,
    /// `None`: the settings of all mounts that have none of their own.
    pub name: Option<String>,
    /// Who asks whom whether a listener may come.
    pub authentication: Option<Authentication>,
    /// At most so many; a negative number (no limit) is not here.
    pub max_listeners: Option<At<u64>>,
    /// In seconds; 0 (no limit) is not here.
    pub max_listener_duration: Option<At<u64>>,
    /// In bytes.
    pub burst_size: Option<At<u64>>,
    /// Where listeners go when the source is gone.
    pub fallback: Option<At<String>>,
    /// Or when `max-listeners` is reached.
    pub fallback_when_full: Option<usize>,
    /// A file that each joiner hears first.
    pub intro: Option<At<String>>,
    /// The public lists do not show it.
    pub hidden: Option<usize>,
    /// The first line of fields of its own.
    pub headers: Option<usize>,
}

/// An `authentication` of a mount.
#[derive(Debug)]
pub struct Authentication {
    /// Of the element.
    pub line: usize,
    /// `htpasswd`, `url`, `command` …
    pub kind: String,
    /// Its options.
    pub options: Vec<(String, String)>,
}

impl Authentication {
    /// An option's value.
    #[must_use]
    pub fn option(&self, name: &str) -> Option<&str> {
        let found = self.options.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Whether it asks about sources only: anyone may listen.
    #[must_use]
    pub fn leaves_listeners_alone(&self) -> bool {
        self.kind == "url" && !(self.options.iter()).any(|(name, _)| name.starts_with("listener_"))
    }
}

/// A `relay`.
#[derive(Debug)]
pub struct Relay {
    /// Of the element.
    pub line: usize,
    /// `HOST:PORT`.
    pub server: String,
    /// The mount here.
    pub mount: String,
    /// Starts with its first listener.
    pub on_demand: bool,
}

/// An `alias`.
#[derive(Debug)]
pub struct Alias {
    /// Of the element.
    pub line: usize,
    /// What is asked for.
    pub source: String,
    /// What is meant.
    pub destination: String,
    /// It holds on one port or address only.
    pub bound: bool,
}

/// Reads a file's text. Bytes that are not UTF-8 are taken for Latin-1, as old files are.
pub fn parse(bytes: &[u8]) -> Result<IcecastXml, XmlError> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) if bytes.len() <= tree::MAX_BYTES => {
            bytes.iter().map(|byte| char::from(*byte)).collect()
        }
        Err(_) => return Err(XmlError::new(1, "it is too long to be a configuration")),
    };
    let root = tree::read(&text)?;
    if root.name != "icecast" {
        let why = format!("the file begins with <{}>, not with <icecast>", root.name);
        return Err(XmlError::new(root.line, why));
    }
    let mut read = IcecastXml {
        hostname: string(&root, "hostname"),
        master: string(&root, "master-server"),
        ..IcecastXml::default()
    };
    let port = number(&root, "port")?;
    for element in root.all("listen-socket") {
        read.sockets.push(socket(element)?);
    }
    if let (true, Some(port)) = (read.sockets.is_empty(), port) {
        read.sockets.push(Socket {
            line: port.line,
            port: narrow(port)?,
            bind: string(&root, "bind-address"),
            ssl: false,
            shoutcast_mount: None,
            shoutcast_compat: None,
        });
    }
    for limits in root.all("limits") {
        read.clients = number(limits, "clients")?.or(read.clients);
        read.queue_size = number(limits, "queue-size")?.or(read.queue_size);
        read.burst_size = number(limits, "burst-size")?.or(read.burst_size);
        if let Some(line) = off(limits, "burst-on-connect") {
            read.burst_size = Some(At { line, value: 0 });
        }
    }
    for authentication in root.all("authentication") {
        let lines = |name| authentication.child(name).map(|element| element.line);
        let user = lines("admin-user");
        let password = lines("admin-password");
        read.admin_lines = user.or(password).zip(password).or(read.admin_lines);
    }
    for element in root.all("mount") {
        read.mounts.extend(mount(element)?);
    }
    for element in root.all("relay") {
        read.relays.push(relay(element)?);
    }
    for paths in root.all("paths") {
        read_paths(paths, &mut read);
    }
    for security in root.all("security") {
        if let Some(line) = on(security, "chroot") {
            let basedir = root
                .all("paths")
                .filter_map(|paths| string(paths, "basedir"));
            let value = basedir
                .last()
                .map_or(String::new(), |basedir| basedir.value);
            read.chroot = Some(At { line, value });
        }
    }
    Ok(read)
}

fn read_paths(paths: &Element, read: &mut IcecastXml) {
    let first = |names: &[&str]| names.iter().find_map(|name| string(paths, name));
    read.deny_ip = first(&["deny-ip", "ban-file", "banfile"]).or(read.deny_ip.take());
    read.allow_ip = first(&["allow-ip"]).or(read.allow_ip.take());
    let names = ["tls-certificate", "ssl-certificate", "ssl_certificate"];
    read.certificate = first(&names).or(read.certificate.take());
    read.private_key = first(&["ssl-private-key", "tls-key"]).or(read.private_key.take());
    read.forwarded_from
        .extend(paths.all("x-forwarded-for").map(at));
    for alias in paths.all("alias") {
        let destination = alias.attribute("destination").or(alias.attribute("dest"));
        if let (Some(source), Some(destination)) = (alias.attribute("source"), destination) {
            read.aliases.push(Alias {
                line: alias.line,
                source: source.to_owned(),
                destination: destination.to_owned(),
                bound: alias.attribute("port").is_some()
                    || alias.attribute("bind-address").is_some(),
            });
        }
    }
}

fn socket(element: &Element) -> Result<Socket, XmlError> {
    let port = number(element, "port")?;
    let tls_mode = string(element, "tls-mode").is_some_and(|mode| mode.value != "disabled");
    Ok(Socket {
        line: element.line,
        port: narrow(port.unwrap_or(At {
            line: element.line,
            value: 8000,
        }))?,
        bind: string(element, "bind-address"),
        ssl: on(element, "ssl").or(on(element, "tls")).is_some() || tls_mode,
        shoutcast_mount: string(element, "shoutcast-mount").map(|mount| mount.line),
        shoutcast_compat: on(element, "shoutcast-compat"),
    })
}

fn mount(element: &Element) -> Result<Option<Mount>, XmlError> {
    let name = string(element, "mount-name").map(|name| name.value);
    let default = element.attribute("type") == Some("default");
    if name.is_none() && !default {
        return Ok(None);
    }
    let authentication = element
        .child("authentication")
        .map(|element| Authentication {
            line: element.line,
            // 2.5 has roles in it, and any of them may refuse a listener.
            kind: element.attribute("type").unwrap_or("role").to_owned(),
            options: (element.all("option"))
                .filter_map(|option| {
                    let text = |name| option.attribute(name).map(str::to_owned);
                    Some((text("name")?, text("value")?))
                })
                .collect(),
        });
    let fallback = string(element, "fallback-mount");
    Ok(Some(Mount {
        line: element.line,
        name: name.filter(|_| !default),
        authentication,
        max_listeners: number(element, "max-listeners")?,
        max_listener_duration: number(element, "max-listener-duration")?
            .filter(|seconds| seconds.value > 0),
        burst_size: number(element, "burst-size")?,
        fallback,
        fallback_when_full: on(element, "fallback-when-full"),
        intro: string(element, "intro"),
        hidden: on(element, "hidden"),
        headers: element.child("http-headers").map(|headers| headers.line),
    }))
}

fn relay(element: &Element) -> Result<Relay, XmlError> {
    // icecast-kh names the servers of a relay in elements of their own.
    let host = element
        .child("host")
        .or(element.child("master"))
        .unwrap_or(element);
    let server = string(host, "server").or(string(host, "ip"));
    let server = server.map_or("127.0.0.1".to_owned(), |server| server.value);
    let port = number(host, "port")?.map_or(8000, |port| port.value);
    let remote = string(host, "mount").map_or("/".to_owned(), |mount| mount.value);
    let local = string(element, "local-mount").map(|mount| mount.value);
    Ok(Relay {
        line: element.line,
        server: format!("{server}:{port}"),
        mount: local.unwrap_or(remote),
        on_demand: on(element, "on-demand").is_some(),
    })
}

fn at(element: &Element) -> At<String> {
    At {
        line: element.line,
        value: element.text.clone(),
    }
}

fn string(parent: &Element, name: &str) -> Option<At<String>> {
    let found = parent.child(name).map(at);
    found.filter(|text| !text.value.is_empty())
}

/// `None` if it is not there, or negative, which says "no limit" where it says anything.
fn number(parent: &Element, name: &str) -> Result<Option<At<u64>>, XmlError> {
    let Some(text) = string(parent, name) else {
        return Ok(None);
    };
    let number: i64 = text.value.parse().map_err(|_| {
        let value: String = text.value.chars().take(40).collect();
        XmlError::new(text.line, format!("<{name}> is {value:?}, not a number"))
    })?;
    let line = text.line;
    Ok(u64::try_from(number).ok().map(|value| At { line, value }))
}

fn narrow(port: At<u64>) -> Result<At<u16>, XmlError> {
    let line = port.line;
    match u16::try_from(port.value) {
        Ok(value) if value > 0 => Ok(At { line, value }),
        _ => Err(XmlError::new(line, format!("{} is not a port", port.value))),
    }
}

/// The line of a switch that is on.
fn on(parent: &Element, name: &str) -> Option<usize> {
    let element = parent.child(name)?;
    let text = element.text.to_ascii_lowercase();
    let yes = matches!(text.as_str(), "yes" | "true" | "on")
        || text.parse::<i64>().is_ok_and(|number| number != 0);
    yes.then_some(element.line)
}

/// The line of a switch that is there and off.
fn off(parent: &Element, name: &str) -> Option<usize> {
    let element = parent.child(name)?;
    (!element.text.is_empty() && on(parent, name).is_none()).then_some(element.line)
}

#[cfg(test)]
mod tests;
