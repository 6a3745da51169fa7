//! `icecast-ext propose icecast.xml`: the configuration of a proxy in front of that server, on the same host, with the
//! reason of every line, and what to change in the `icecast.xml`. Changes nothing.

mod mounts;
mod page;
mod steps;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::icecast_xml::{IcecastXml, Socket, parse};
use page::Page;

/// Flags of `propose`.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// The server's configuration, such as /etc/icecast2/icecast.xml
    #[arg(value_name = "ICECAST.XML")]
    pub file: PathBuf,
}

/// Prints the proposal to standard output.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    use std::io::Write as _;
    let file = &arguments.file;
    let bytes = std::fs::read(file).with_context(|| {
        format!(
            "cannot read {}: Debian lets root and icecast2 read it, so try sudo",
            file.display()
        )
    })?;
    let xml = parse(&bytes).with_context(|| format!("{} is not understood", file.display()))?;
    let text = propose(&xml, file);
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("writing the proposal")
}

/// The proposal as text: TOML that `--config` takes as it is.
#[must_use]
pub fn propose(xml: &IcecastXml, file: &Path) -> String {
    let mut page = Page::default();
    let inner = inner_port(xml);
    steps::write(&mut page, xml, file, inner);
    steps::notes(&mut page, xml);
    addresses(&mut page, xml, inner);
    buffers(&mut page, xml);
    rights(&mut page, xml);
    limits(&mut page, xml);
    mounts::write(&mut page, xml);
    page.text()
}

fn is_loopback(socket: &Socket) -> bool {
    socket.bind.as_ref().is_some_and(|bind| {
        bind.value == "localhost"
            || bind
                .value
                .parse()
                .is_ok_and(|address: IpAddr| address.is_loopback())
    })
}

/// A socket that listeners and sources come to from outside.
fn public(xml: &IcecastXml) -> impl Iterator<Item = &Socket> {
    (xml.sockets.iter()).filter(|socket| socket.shoutcast_compat.is_none() && !is_loopback(socket))
}

/// The socket that the proxy comes to: there already, or one that moves.
fn inner(xml: &IcecastXml) -> Option<&Socket> {
    let plain = |socket: &&Socket| !socket.ssl && socket.shoutcast_compat.is_none();
    let ready = xml
        .sockets
        .iter()
        .find(|socket| plain(socket) && is_loopback(socket));
    ready.or_else(|| public(xml).find(plain))
}

fn inner_port(xml: &IcecastXml) -> u16 {
    let socket = inner(xml);
    if let Some(socket) = socket.filter(|socket| is_loopback(socket)) {
        return socket.port.value;
    }
    let port = socket.map_or(8000, |socket| socket.port.value);
    let taken = |port: u16| xml.sockets.iter().any(|other| other.port.value == port);
    let first = port.checked_add(10_000).unwrap_or(port / 2 + 10_000);
    (first..=u16::MAX)
        .chain(1024..first)
        .find(|port| !taken(*port))
        .unwrap_or(18_000)
}

fn addresses(page: &mut Page, xml: &IcecastXml, port: u16) {
    page.why("Icecast, once it has moved (see 1 above).");
    page.string("upstream", &format!("http://127.0.0.1:{port}"));
    if let Some((user, password)) = xml.admin_lines {
        page.why(&format!(
            "Optional: lets the proxy see hidden mounts and their limits. The account is in lines {user} and {password}."
        ));
        page.off("upstream-admin", "\"admin:password\"");
    }
    let mut plain = Vec::new();
    let mut tls = Vec::new();
    let mut lines = Vec::new();
    for socket in public(xml) {
        let port = socket.port.value;
        let address = match &socket.bind {
            None => format!("0.0.0.0:{port}"),
            Some(bind) => match bind.value.parse::<IpAddr>() {
                Ok(address) => std::net::SocketAddr::new(address, port).to_string(),
                Err(_) => {
                    page.why(&format!(
                        "Line {}: {} is a name; put its address below in the place of 0.0.0.0.",
                        bind.line, bind.value
                    ));
                    format!("0.0.0.0:{port}")
                }
            },
        };
        lines.push(socket.line.to_string());
        let list = if socket.ssl { &mut tls } else { &mut plain };
        if !list.contains(&address) {
            list.push(address);
        }
    }
    if plain.is_empty() && tls.is_empty() {
        page.why("Icecast had no public port; this is ours.");
        plain.push("0.0.0.0:8100".to_owned());
    } else {
        page.why(&format!(
            "The ports that were Icecast's (lines {}), so that no address changes. With IPv6, add \"[::]:PORT\".",
            lines.join(", ")
        ));
    }
    page.strings("listen", &plain);
    if !tls.is_empty() {
        page.why("Icecast's TLS ports; the certificate is below.");
        page.strings("listen-tls", &tls);
    }
    if let Some(hostname) = xml
        .hostname
        .as_ref()
        .filter(|name| name.value != "localhost")
    {
        let first = public(xml).next();
        let tls = first.is_some_and(|socket| socket.ssl);
        let port = first.map_or(8100, |socket| socket.port.value);
        let scheme = if tls { "https" } else { "http" };
        if url::Host::parse(&hostname.value).is_ok() {
            page.why(&format!(
                "What `listenurl` in the stats says, from <hostname> in line {}. Without it: the name that was asked for.",
                hostname.line
            ));
            page.string(
                "public-url",
                &format!("{scheme}://{}:{port}", hostname.value),
            );
        } else {
            page.why(&format!(
                "Line {}: {} is not the name of a host.",
                hostname.line, hostname.value
            ));
            page.off("public-url", "\"https://radio.example\"");
        }
    }
    let others: Vec<String> = (xml.forwarded_from.iter())
        .filter(|at| {
            at.value
                .parse()
                .is_ok_and(|address: IpAddr| !address.is_loopback())
        })
        .map(|at| at.value.clone())
        .collect();
    if !others.is_empty() {
        page.why("Icecast believed their X-Forwarded-For; now they come to the proxy.");
        page.strings("trusted-proxy", &others);
    }
    page.why("The status page, /metrics and /healthz. From elsewhere: an ssh tunnel, or a public address and admin-password.");
    page.string("admin", "127.0.0.1:8101");
    page.blank();
}

fn buffers(page: &mut Page, xml: &IcecastXml) {
    page.why("The journal of the back buffers: a crash or a restart then loses nobody's place.");
    page.string("state", "/var/lib/icecast-ext");
    page.why("Seconds that a listener may be away and lose nothing. Memory: about 2 MB a mount for 120 s of 128 kbit/s.");
    page.plain("window", "120");
    match &xml.burst_size {
        Some(burst) => {
            page.why(&format!(
                "Bytes that a joiner gets at once, as in line {}.",
                burst.line
            ));
            if burst.value < 65_536 / 2 {
                page.why(
                    "It is small. Leave it so here if you want low latency, but set <burst-size>65536</burst-size> in \
                     Icecast, whose burst then serves the proxy: by it a broken connection between the two is healed.",
                );
            }
            page.plain("burst", &burst.value.min(16 << 20).to_string());
        }
        None => {
            page.why("Bytes that a joiner gets at once: Icecast's default.");
            page.plain("burst", "65536");
        }
    }
    page.blank();
}

fn rights(page: &mut Page, xml: &IcecastXml) {
    if public(xml).any(|socket| socket.port.value < 1024) {
        page.why("A port below 1024 is opened as root; then rights are dropped to this user. (Under the package's unit: not needed.)");
        page.off("user", "\"icecast-ext\"");
    }
    if let Some(file) = &xml.deny_ip {
        page.why(&format!(
            "Line {}: the same ban list, read by both.",
            file.line
        ));
        page.string("deny-ip", &file.value);
    }
    if let Some(file) = &xml.allow_ip {
        page.why(&format!(
            "Line {}: the same allow list. It must let 127.0.0.1 in: the proxy itself.",
            file.line
        ));
        page.string("allow-ip", &file.value);
    }
    page.why("One line a listener in Icecast's format, across resumes; Icecast's own log knows the proxy's pulls only.");
    page.off("access-log", "\"/var/log/icecast-ext/access.log\"");
    page.blank();
}

fn limits(page: &mut Page, xml: &IcecastXml) {
    if let Some(clients) = &xml.clients {
        page.table("limits");
        page.why(&format!(
            "<clients> of line {}. Fanned out listeners cost Icecast nothing any more: raise it as your uplink allows.",
            clients.line
        ));
        page.plain("listeners", &clients.value.to_string());
        page.blank();
    }
    let tls = public(xml).find(|socket| socket.ssl);
    if let Some(file) = &xml.certificate {
        let key = xml.private_key.as_ref().unwrap_or(file);
        page.why(&format!(
            "Line {}: Icecast's PEM file{}. The user icecast-ext must be able to read it.",
            file.line,
            if key == file {
                " holds both parts"
            } else {
                " and its key"
            }
        ));
        if tls.is_some() {
            page.tables("certificate");
            page.string("chain", &file.value);
            page.string("key", &key.value);
        } else {
            page.why("No socket of Icecast uses it. To use it here, add listen-tls = [\"0.0.0.0:8443\"] above, and:");
            page.why("[[certificate]]");
            page.off("chain", &page::quoted(&file.value));
            page.off("key", &page::quoted(&key.value));
        }
        page.blank();
    } else if tls.is_some() {
        page.why("Icecast has a TLS socket but names no certificate; the proxy needs one:");
        page.tables("certificate");
        page.string("chain", "/etc/icecast-ext/fullchain.pem");
        page.string("key", "/etc/icecast-ext/privkey.pem");
        page.blank();
    }
}

#[cfg(test)]
mod tests;
