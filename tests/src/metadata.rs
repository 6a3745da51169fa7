//! Titles through `/admin/metadata`.

use std::net::SocketAddr;

use anyhow::Result;

use crate::http::{Answer, basic, get};
use crate::icecast::PASSWORD;

/// Sets a mount's title; every byte of it is percent-encoded.
///
/// # Errors
/// If there is no answer.
pub async fn set_title(addr: SocketAddr, mount: &str, title: &str) -> Result<Answer> {
    let mut song = String::new();
    for byte in title.bytes() {
        song.push_str(&format!("%{byte:02x}"));
    }
    let auth = basic("source", PASSWORD);
    let target = format!("/admin/metadata?mode=updinfo&mount={mount}&charset=UTF-8&song={song}");
    get(addr, &target, &[("Authorization", &auth)]).await
}
