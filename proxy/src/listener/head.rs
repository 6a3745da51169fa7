//! Heads of listeners' answers.

use std::num::NonZeroU32;

use icecast_ext_core::field::{StreamOffset, encode_duplicates};
use icecast_ext_core::frame::MEDIA_TYPE;
use icecast_ext_core::head::{Request, encode_path};
use icecast_ext_core::stock::Ask;

use crate::answer::{Answer, CORS, date, reason, version};
use crate::server::Server;
use crate::station::Station;

/// What the head of an answer says.
pub(super) struct Head<'a> {
    pub(super) status: u16,
    pub(super) offset: StreamOffset,
    pub(super) metaint: Option<NonZeroU32>,
    /// The upstream's fields, as lines; `None`: it is a relay feed.
    pub(super) lines: Option<&'a [u8]>,
    /// Whose fields are chosen, and those that it gets besides.
    pub(super) stock: Option<(&'a Ask, Vec<(&'static str, String)>)>,
}

impl Head<'_> {
    pub(super) fn encode(
        &self,
        server: &Server,
        station: &Station,
        request: &Request<'_>,
    ) -> Vec<u8> {
        let mut head = format!(
            "{} {} {}\r\nDate: {}\r\nConnection: close\r\nCache-Control: no-cache, no-store\r\n",
            version(request.version),
            self.status,
            reason(self.status),
            date()
        )
        .into_bytes();
        match self.lines {
            None => head.extend_from_slice(format!("Content-Type: {MEDIA_TYPE}\r\n").as_bytes()),
            Some(lines) => {
                let lines = lines.split_inclusive(|&byte| byte == b'\n');
                let borne = |line: &&[u8]| {
                    let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
                    let name = String::from_utf8_lossy(name);
                    self.stock.as_ref().is_none_or(|(ask, _)| ask.bears(&name))
                };
                lines
                    .filter(borne)
                    .for_each(|line| head.extend_from_slice(line));
            }
        }
        let mut field = |name: &str, value: &str| {
            head.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        };
        for (name, value) in CORS {
            field(name, value);
        }
        for (name, value) in self.stock.iter().flat_map(|(_, fields)| fields) {
            field(name, value);
        }
        if let Some(metaint) = self.metaint {
            field("icy-metaint", &metaint.to_string());
        }
        field("Stream-Offset", &self.offset.encode());
        if let Some(window) = station.mount.window() {
            field("Stream-Window", &window.encode());
        }
        let config = server.config();
        if !config.relays.is_empty() {
            let path = encode_path(&station.path);
            let links: Vec<String> = config
                .relays
                .iter()
                .map(|base| format!("{base}{path}"))
                .collect();
            field("Link", &encode_duplicates(links.iter().map(String::as_str)));
        }
        head.extend_from_slice(b"\r\n");
        head
    }
}

pub(crate) fn accepts_feed(request: &Request<'_>) -> bool {
    let accept = request.field("Accept").unwrap_or_default();
    String::from_utf8_lossy(&accept).split(',').any(|member| {
        member
            .split(';')
            .next()
            .is_some_and(|kind| kind.trim().eq_ignore_ascii_case(MEDIA_TYPE))
    })
}

/// OPTIONS on a mount: what a page on another origin may send (R-HTTP-4).
pub(super) fn preflight() -> Answer {
    let mut answer = Answer::new(204, "")
        .field("Allow", "GET, HEAD, OPTIONS")
        .field("Access-Control-Allow-Methods", "GET, HEAD")
        .field(
            "Access-Control-Allow-Headers",
            "Resume-Offset, Icy-MetaData, Range",
        )
        .field("Access-Control-Max-Age", "86400");
    for (name, value) in CORS {
        answer = answer.field(name, value);
    }
    answer
}
