//! What an administrator is told.

use std::fmt::Write as _;

use roxmltree::{Document, Node};

use super::*;

/// Numbers that no two runs have in common.
const TIMELY: [&str; 9] = [
    "server_start",
    "server_start_iso8601",
    "stream_start",
    "stream_start_iso8601",
    "total_bytes_read",
    "total_bytes_sent",
    "client_connections",
    "connections",
    "Connected",
];

async fn ask(icecast: &Icecast, target: &str) -> String {
    icecast.admin(target).await.unwrap().text()
}

fn child<'a>(node: Node<'a, 'a>, name: &str) -> Option<&'a str> {
    let mut children = node.children();
    children.find(|child| child.has_tag_name(name))?.text()
}

/// What the server says of a mount; `-` if nothing.
pub(crate) async fn stat(icecast: &Icecast, mount: &str, name: &str) -> String {
    let answer = ask(icecast, "/admin/stats").await;
    let document = Document::parse(&answer).unwrap();
    let mut nodes = document.descendants();
    let source = nodes.find(|node| node.attribute("mount") == Some(mount));
    source
        .and_then(|node| child(node, name))
        .unwrap_or("-")
        .to_owned()
}

/// Waits until a mount has so many listeners, by the server's own count.
pub(crate) async fn wait_listeners(icecast: &Icecast, mount: &str, count: usize) {
    let what = format!("{count} listeners of {mount}");
    wait_until(&what, SOON, async || {
        (stat(icecast, mount, "listeners").await == count.to_string()).then_some(())
    })
    .await;
}

/// All that `/admin/stats` says, line by line, but for times and numbers of bytes.
pub(crate) async fn stats(icecast: &Icecast) -> String {
    leaves(icecast, &ask(icecast, "/admin/stats").await)
}

/// All that `/admin/listclients` says of a mount, likewise.
pub(crate) async fn clients(icecast: &Icecast, mount: &str) -> String {
    leaves(
        icecast,
        &ask(icecast, &format!("/admin/listclients?mount={mount}")).await,
    )
}

fn leaves(icecast: &Icecast, text: &str) -> String {
    let document = Document::parse(text).unwrap();
    let mut out = String::new();
    for node in document.descendants().filter(Node::is_element) {
        let name = node.tag_name().name();
        if node.children().any(|child| child.is_element()) {
            let _ = writeln!(out, "{name} {:?}", node.attribute("mount"));
            continue;
        }
        let value = match node.text() {
            Some(_) if TIMELY.contains(&name) => "…".to_owned(),
            Some(_) if name == "ID" => "…".to_owned(),
            // The port is in it.
            Some(text) if name == "listenurl" => seen::plain(text, icecast),
            text => format!("{text:?}"),
        };
        let _ = writeln!(out, "  {name} {value}");
    }
    out
}

/// The number by which the server knows the listener of a mount who has this user agent.
pub(crate) async fn client(icecast: &Icecast, mount: &str, agent: &str) -> String {
    let answer = ask(icecast, &format!("/admin/listclients?mount={mount}")).await;
    let document = Document::parse(&answer).unwrap();
    let mut nodes = document.descendants();
    let listener = nodes
        .find(|node| child(*node, "UserAgent") == Some(agent))
        .unwrap();
    child(listener, "ID").unwrap().to_owned()
}
