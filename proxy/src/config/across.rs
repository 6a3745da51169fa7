//! What options mean to one another.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::problem::Findings;
use super::{Admission, Config, Upstream};

/// Repeats on the radio are over by then, mostly.
const SURE: Duration = Duration::from_secs(60);

pub(super) fn check(config: &Config, findings: &mut Findings) {
    what_is_served(config, findings);
    addresses(config, findings);
    tls(config, findings);
    mounts(config, findings);
}

/// A secret that is there, but empty, protects nothing.
fn is_set(secret: Option<&String>) -> bool {
    secret.is_some_and(|secret| !secret.is_empty())
}

fn what_is_served(config: &Config, findings: &mut Findings) {
    let options = &config.options;
    if options.upstream.is_empty() && !is_set(config.source_password.as_ref()) {
        findings.problem(
            "",
            "nothing to serve",
            "name a server with --upstream http://HOST:PORT (upstream in the file), or give sources a password with \
             --source-password to be an origin",
        );
    }
    if !options.upstream.is_empty() && config.source_password.is_some() {
        findings.warn(
            "source-password",
            "is not used: there is an upstream, which asks sources itself",
            "remove it",
        );
    }
    if options.upstream.is_empty() {
        for (name, given) in [
            ("upstream-ca", options.upstream_ca.is_some()),
            ("upstream-admin", options.upstream_admin.is_some()),
            ("peers", !options.peers.is_empty()),
        ] {
            if given {
                findings.warn(
                    name,
                    "is not used: there is no upstream",
                    "remove it, or set upstream",
                );
            }
        }
    }
    if config.peer_proof < SURE {
        findings.warn(
            "peer-proof",
            format!("is {} s", config.peer_proof.as_secs()),
            "a jingle that loops for longer may deceive it: leave it out but for tests",
        );
    }
    let has_ca = options.upstream_ca.is_some() && !config.upstreams.is_empty();
    if has_ca && !config.upstreams.iter().any(|upstream| upstream.tls) {
        findings.warn(
            "upstream-ca",
            "is not used: the upstream is plain http",
            "write https:// in upstream",
        );
    }
    for upstream in &config.upstreams {
        one_upstream(config, upstream, findings);
    }
}

fn one_upstream(config: &Config, upstream: &Upstream, findings: &mut Findings) {
    let address = upstream
        .host
        .trim_matches(['[', ']'])
        .parse::<IpAddr>()
        .ok();
    let near = upstream.host == "localhost" || address.is_some_and(|address| address.is_loopback());
    let secrets = upstream.admin.is_some()
        || config
            .mounts
            .values()
            .any(|mount| mount.pull_credentials.is_some());
    if secrets && !upstream.tls && !near {
        let what = "is plain http to another host, and passwords go there";
        findings.warn("upstream", what, "use https://, or a private network");
    }
    let itself = |bind: &SocketAddr| {
        bind.port() == upstream.port
            && match address {
                Some(address) => {
                    bind.ip() == address || (bind.ip().is_unspecified() && address.is_loopback())
                }
                None => near && (bind.ip().is_unspecified() || bind.ip().is_loopback()),
            }
    };
    let ours = config
        .listen
        .iter()
        .map(|bind| bind.address)
        .chain(config.admin);
    for bind in ours.filter(itself).take(1) {
        let what = format!("is {}, and so is our own address {bind}", upstream.base());
        findings.problem(
            "upstream",
            what,
            "give one of them another port: this would lead back to itself",
        );
    }
}

/// Whether two sockets cannot both be bound.
fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let any = a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() == b.port()
        && a.port() != 0
        && (a.ip() == b.ip() || (any && a.is_ipv4() == b.is_ipv4()))
}

fn addresses(config: &Config, findings: &mut Findings) {
    let name = |tls| if tls { "listen-tls" } else { "listen" };
    let mut taken: Vec<(&str, SocketAddr)> = Vec::new();
    let ours = config
        .listen
        .iter()
        .map(|bind| (name(bind.tls), bind.address));
    for (option, address) in ours.chain(config.admin.map(|address| ("admin", address))) {
        if let Some((other, before)) = taken.iter().find(|(_, other)| collide(*other, address)) {
            let what = format!("has {address}, and {other} has {before}");
            findings.problem(
                option,
                what,
                "an address can be opened once: remove one, or change its port",
            );
        }
        taken.push((option, address));
    }
    match config.admin {
        Some(address) if !address.ip().is_loopback() && !is_set(config.admin_password.as_ref()) => {
            let what = format!("is {address}, which others can reach");
            findings.problem("admin", what, "set admin-password, or listen on 127.0.0.1");
        }
        None if config.admin_password.is_some() => {
            findings.warn(
                "admin-password",
                "is not used: there is no admin address",
                "set admin, as \"127.0.0.1:8101\"",
            );
        }
        _ => {}
    }
    for net in config
        .trusted_proxies
        .iter()
        .filter(|net| net.prefix_len() == 0)
    {
        let what = format!("has {net}: every client may claim any address");
        findings.warn("trusted-proxy", what, "name the proxies in front alone");
    }
}

fn tls(config: &Config, findings: &mut Findings) {
    let tls = config.listen.iter().find(|bind| bind.tls);
    match (tls, config.certificates.is_empty()) {
        (Some(bind), true) => {
            let what = format!("is {}, and there is no certificate", bind.address);
            findings.problem(
                "listen-tls",
                what,
                "add a [[certificate]] with chain and key to the file",
            );
        }
        (None, false) => findings.warn(
            "certificate",
            "is not used: nothing listens with TLS",
            "set listen-tls",
        ),
        _ => {}
    }
}

fn mounts(config: &Config, findings: &mut Findings) {
    for (path, mount) in &config.mounts {
        let option = |option: &str| format!("mount.{path:?}.{option}");
        if mount.admission == Some(Admission::Tunnel) {
            for (name, given) in [
                ("pull-credentials", mount.pull_credentials.is_some()),
                ("window", mount.window.is_some()),
                ("burst", mount.burst.is_some()),
                ("delivery-tick", mount.delivery_tick.is_some()),
                ("vorbis", mount.vorbis.is_some()),
            ] {
                if given {
                    let what = "is not used: a tunnelled mount is never pulled";
                    findings.warn(
                        &option(name),
                        what,
                        "remove it, or choose another admission",
                    );
                }
            }
        }
        if path.contains('%') {
            let what = "has a percent sign: paths are written decoded here";
            findings.warn(
                &format!("mount.{path:?}"),
                what,
                "write \"/a b.mp3\" for /a%20b.mp3",
            );
        }
        if config.upstreams.is_empty()
            && (mount.pull_credentials.is_some() || mount.admission.is_some())
        {
            let what = "asks the upstream, and there is none";
            findings.warn(
                &format!("mount.{path:?}"),
                what,
                "remove admission and pull-credentials",
            );
        }
    }
    let lingers = config
        .always
        .iter()
        .filter(|path| config.mount(path).admission == Some(Admission::Tunnel));
    for path in lingers {
        let what = format!("has {path}, whose admission is tunnel");
        findings.warn(
            "always",
            what,
            "a tunnelled mount is never pulled: remove one of the two",
        );
    }
}
