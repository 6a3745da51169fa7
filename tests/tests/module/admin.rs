//! What an administrator is told.

use std::fmt::{Display, Write as _};

use roxmltree::{Document, Node};

use super::*;

/// Numbers that no two runs have in common.
const TIMELY: [&str; 10] = [
    "server_start",
    "server_start_iso8601",
    "stream_start",
    "stream_start_iso8601",
    "total_bytes_read",
    "total_bytes_sent",
    "client_connections",
    "connections",
    // Whoever asks is one of them, and who has just asked may be.
    "clients",
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

/// Waits until the server says this of a mount: what it says is a little behind what it does.
pub(crate) async fn wait_stat(icecast: &Icecast, mount: &str, name: &str, value: impl Display) {
    let value = value.to_string();
    wait_until(&format!("{name} of {mount}: {value}"), SOON, async || {
        (stat(icecast, mount, name).await == value).then_some(())
    })
    .await;
}

/// Waits until a mount has so many listeners, by the server's own count.
pub(crate) async fn wait_listeners(icecast: &Icecast, mount: &str, count: usize) {
    wait_stat(icecast, mount, "listeners", count).await;
}

/// All that `/admin/stats` says, line by line, but for times and numbers of bytes; once it says that there are so many
/// listeners in all.
pub(crate) async fn stats(icecast: &Icecast, listeners: usize) -> String {
    let listeners = format!("\n  listeners Some(\"{listeners}\")\n");
    wait_until("all that the server has counted", SOON, async || {
        let all = leaves(icecast, &ask(icecast, "/admin/stats").await);
        let counted = all.contains(&listeners) && all.contains("total_bytes_read");
        // One number comes after the other.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let again = leaves(icecast, &ask(icecast, "/admin/stats").await);
        (counted && all == again).then_some(all)
    })
    .await
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
