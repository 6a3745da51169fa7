//! What to change in the `icecast.xml`, and what else is worth knowing of that server.

use std::net::IpAddr;
use std::path::Path;

use super::page::Page;
use super::{inner, is_loopback, public};
use crate::icecast_xml::{Alias, IcecastXml};

/// What the operator does, in order.
pub(super) fn write(page: &mut Page, xml: &IcecastXml, file: &Path, port: u16) {
    let name = file.display().to_string();
    page.comment(&format!(
        "Proposed by `icecast-ext propose {name}`: the proxy takes Icecast's public ports, Icecast moves to the loopback \
         interface of the same host. Nothing has been changed yet. Read it all, then:"
    ));
    page.comment(&format!("1. Change {name}:"));
    let ready = inner(xml).is_some_and(is_loopback);
    let moved = inner(xml).filter(|_| !ready);
    if ready {
        page.item(&format!(
            "it listens on loopback port {port} already, and that stays"
        ));
    } else if let Some(socket) = moved {
        let old = socket.port.value;
        page.item(&format!(
            "line {}: <port>{old}</port> becomes <port>{port}</port>",
            socket.port.line
        ));
        let address = "<bind-address>127.0.0.1</bind-address>";
        match &socket.bind {
            Some(bind) => page.item(&format!("line {}: becomes {address}", bind.line)),
            None => page.item(&format!("below it, add {address}")),
        }
    } else {
        page.item(&format!(
            "add <listen-socket><port>{port}</port><bind-address>127.0.0.1</bind-address></listen-socket>"
        ));
    }
    for socket in public(xml).filter(|socket| moved.is_none_or(|moved| moved.line != socket.line)) {
        let old = socket.port.value;
        page.item(&format!(
            "line {}: remove this <listen-socket>; the proxy takes port {old}",
            socket.line
        ));
    }
    for socket in &xml.sockets {
        if let Some(line) = socket.shoutcast_mount {
            let next = socket.port.value.saturating_add(1);
            page.item(&format!(
                "line {line}: Shoutcast sources came to port {next}. If there are any, remove this line and give them a \
                 socket of their own that is not proxied: <listen-socket><port>{next}</port>\
                 <shoutcast-compat>1</shoutcast-compat></listen-socket>, and <shoutcast-mount> beside it"
            ));
        }
        if let Some(line) = socket.shoutcast_compat {
            page.item(&format!(
                "line {line}: stays: Shoutcast sources keep coming to Icecast directly"
            ));
        }
    }
    page.comment(
        "2. Save this as /etc/icecast-ext/icecast-ext.toml (it may hold passwords: root:icecast-ext, mode 0640).",
    );
    page.comment("3. systemctl restart icecast2 && systemctl restart icecast-ext");
    page.comment("4. icecast-ext check --config /etc/icecast-ext/icecast-ext.toml");
    page.blank();
}

/// What is true of this server and no option.
pub(super) fn notes(page: &mut Page, xml: &IcecastXml) {
    let mut notes: Vec<String> = vec![
        "Encoders need no change: they come to the port they know. Let an encoder and whatever sends its titles use the \
         same port: Icecast refuses titles from another address than the source's."
            .to_owned(),
    ];
    if let Some(master) = &xml.master {
        notes.push(format!(
            "Line {}: this server relays all of {}. That goes on; Icecast pulls, the proxy serves what Icecast has.",
            master.line, master.value
        ));
    }
    for relay in &xml.relays {
        let when = if relay.on_demand {
            "starts with the proxy's pull, that is with its first listener"
        } else {
            "goes on"
        };
        notes.push(format!(
            "Line {}: the relay of {} from {} {when}.",
            relay.line, relay.mount, relay.server
        ));
    }
    for alias in &xml.aliases {
        let Alias {
            line,
            source,
            destination,
            bound,
        } = alias;
        if *bound {
            notes.push(format!(
                "Line {line}: the alias {source} holds on one port or address only, and Icecast will no longer see \
                 which one was asked: make it hold everywhere, or ask for {destination}."
            ));
        } else if xml
            .mounts
            .iter()
            .any(|mount| mount.name.as_deref() == Some(destination))
        {
            notes.push(format!(
                "Line {line}: {source} stands for the mount {destination}. It works (tunnelled), but resuming does \
                 not: tell listeners {destination}."
            ));
        }
    }
    if let Some(chroot) = &xml.chroot {
        notes.push(format!(
            "Line {}: Icecast runs in a chroot: put {} in front of the paths of files below.",
            chroot.line,
            if chroot.value.is_empty() {
                "its basedir"
            } else {
                &chroot.value
            }
        ));
    }
    let loopback = |text: &str| {
        text.parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
    };
    match xml.forwarded_from.iter().find(|at| loopback(&at.value)) {
        Some(at) => notes.push(format!(
            "Line {}: Icecast believes our X-Forwarded-For, so tunnelled listeners keep their addresses there.",
            at.line
        )),
        None => notes.push(
            "Icecast 2.4 sees tunnelled and shadowed listeners as 127.0.0.1 (icecast-kh: add \
             <x-forwarded-for>127.0.0.1</x-forwarded-for> to <paths>). The proxy's own log, limits and ban lists know \
             the true address."
                .to_owned(),
        ),
    }
    page.comment("Worth knowing:");
    for note in &notes {
        page.item(note);
    }
    page.blank();
}
