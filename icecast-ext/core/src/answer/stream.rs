//! The head of a stream.

use std::num::NonZeroU32;

use super::{CORS, UNSTORED, line, opening};
use crate::field::{
    Proof, STREAM_OFFSET, STREAM_PROOF, STREAM_WINDOW, StreamOffset, StreamWindow,
    encode_duplicates,
};
use crate::frame::MEDIA_TYPE;
use crate::head::{Version, encode_path};
use crate::stock::{Ask, Stream};

/// What the head of a stream says. The prelude, and then the stream, follow it.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// Where the body begins, and the client's session.
    pub offset: StreamOffset,
    /// What the mount holds.
    pub window: Option<StreamWindow>,
    /// Of the evidence that was sent.
    pub proof: Option<Proof>,
    /// `icy-metaint`: bytes of audio between two blocks.
    pub metaint: Option<NonZeroU32>,
    /// What listeners are told of the stream ([`crate::head::source_lines`], [`crate::head::upstream_lines`]): field lines,
    /// each with its CRLF. `None`: it is a relay feed.
    pub lines: Option<&'a [u8]>,
    /// A player that may resume, and what it is sent.
    pub player: Option<(&'a Ask, &'a Stream)>,
    /// The mount's path, decoded.
    pub path: &'a str,
    /// Base URLs of other relays, which have the stream at the same path; without a trailing slash (R-FIELD-11).
    pub relays: &'a [String],
}

impl Head<'_> {
    /// What goes over the wire. `date` is the value of `Date`.
    #[must_use]
    pub fn encode(&self, asked: Version, date: &str) -> Vec<u8> {
        let status = self.player.map_or(200, |(_, stream)| stream.status());
        let mut head = opening(asked, status, date);
        line(&mut head, UNSTORED.0, UNSTORED.1);
        match self.lines {
            None => line(&mut head, "Content-Type", MEDIA_TYPE),
            Some(lines) => lines
                .split_inclusive(|&byte| byte == b'\n')
                .filter(|line| self.bears(line))
                .for_each(|line| head.extend_from_slice(line)),
        }
        for (name, value) in CORS {
            line(&mut head, name, value);
        }
        let player = self.player.map(|(_, stream)| stream.fields());
        for (name, value) in player.unwrap_or_default() {
            line(&mut head, name, &value);
        }
        if let Some(metaint) = self.metaint {
            line(&mut head, "icy-metaint", &metaint.to_string());
        }
        line(&mut head, STREAM_OFFSET, &self.offset.encode());
        if let Some(proof) = self.proof {
            line(&mut head, STREAM_PROOF, &proof.encode());
        }
        if let Some(window) = self.window {
            line(&mut head, STREAM_WINDOW, &window.encode());
        }
        if !self.relays.is_empty() {
            let path = encode_path(self.path);
            let links: Vec<String> = self
                .relays
                .iter()
                .map(|base| base.to_owned() + &path)
                .collect();
            let links = encode_duplicates(links.iter().map(String::as_str));
            line(&mut head, "Link", &links);
        }
        head.extend_from_slice(b"\r\n");
        head
    }

    /// Whether the listener can bear this line of the stream's (R-STOCK-15).
    fn bears(&self, line: &[u8]) -> bool {
        let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
        let name = String::from_utf8_lossy(name);
        self.player.is_none_or(|(ask, _)| ask.bears(&name))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::address::{Epoch, Offset, Position, Session, Window};
    use crate::codec::Format;
    use crate::head::{Request, Target};
    use crate::stock::{Join, Level, Reply, Terms};
    use crate::timeline::{Begin, Timeline};
    use crate::wanted::Wanted;

    const DATE: &str = "Thu, 01 Jan 1970 00:00:00 GMT";
    const LINES: &[u8] = b"Content-Type: audio/mpeg\r\nicy-name: \xe9\r\n";
    const EPOCH: Epoch = Epoch::from_bytes([0; 16]);

    fn offset() -> StreamOffset {
        StreamOffset {
            at: Position::new(EPOCH, Offset::ZERO),
            prelude: 3,
            session: Some(Session::from_bytes([0; 16])),
            spliced: false,
            lost: None,
        }
    }

    fn head() -> Head<'static> {
        Head {
            offset: offset(),
            window: None,
            proof: None,
            metaint: None,
            lines: Some(LINES),
            player: None,
            path: "/a b",
            relays: &[],
        }
    }

    fn text(head: &Head<'_>) -> String {
        let text = head.encode(Version::Http11, DATE);
        String::from_utf8_lossy(&text).into_owned()
    }

    #[test]
    fn a_client_is_told_where_it_is_and_where_else_it_could_go() {
        let relays = ["http://one:8000".to_owned(), "https://two".to_owned()];
        let head = Head {
            window: Some(StreamWindow {
                epoch: EPOCH,
                window: Window {
                    first: Offset::ZERO,
                    next: Offset::ZERO,
                },
                rate: Some(16_000),
            }),
            metaint: NonZeroU32::new(8192),
            relays: &relays,
            ..head()
        };
        let cors: String = CORS
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        assert_eq!(
            text(&head),
            format!(
                "HTTP/1.1 200 OK\r\nDate: {DATE}\r\nConnection: close\r\nCache-Control: no-cache, no-store\r\n\
                 Content-Type: audio/mpeg\r\nicy-name: \u{fffd}\r\n{cors}icy-metaint: 8192\r\n\
                 Stream-Offset: 0;epoch=\"AAAAAAAAAAAAAAAAAAAAAA\";prelude=3;session=\"AAAAAAAAAAAAAAAAAAAAAA\"\r\n\
                 Stream-Window: first=0, next=0, rate=16000, epoch=\"AAAAAAAAAAAAAAAAAAAAAA\"\r\n\
                 Link: <http://one:8000/a%20b>; rel=duplicate, <https://two/a%20b>; rel=duplicate\r\n\r\n"
            )
        );
    }

    #[test]
    fn a_relay_feed_has_a_type_of_its_own() {
        let feed = text(&Head {
            lines: None,
            ..head()
        });
        assert!(
            feed.contains("\r\nContent-Type: application/vnd.icecast-ext.relay\r\n"),
            "{feed}"
        );
        assert!(
            !feed.contains("audio/mpeg") && !feed.contains("icy-name:"),
            "{feed}"
        );
    }

    /// What a player is told of a mount that holds two seconds.
    fn player(fields: &str) -> String {
        let mut timeline = Timeline::new(16_000);
        timeline.begin(Begin {
            epoch: EPOCH,
            first: Offset::ZERO,
            declared: false,
            format: Format::Opaque,
            tick_ms: 250,
            fields: Bytes::new(),
        });
        timeline.grow(32_000);
        let head = format!("GET /a%20b HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        let (request, _) = Request::parse(head.as_bytes()).unwrap().unwrap();
        let target = Target::parse(request.target).unwrap();
        let wanted = Wanted::of(&request, &target, Level::Ranges).unwrap();
        let ask = wanted.stock.unwrap();
        let terms = Terms {
            fresh: Join::from_bytes([0; 6]),
            metaint: NonZeroU32::new(16_000).unwrap(),
            late: true,
        };
        let Ok(Reply::Stream(stream)) = ask.decide(&timeline, &terms) else {
            panic!("no stream");
        };
        text(&Head {
            offset: stream.start.field(),
            metaint: stream.metaint,
            player: Some((&ask, &stream)),
            ..super::tests::head()
        })
    }

    #[test]
    fn a_player_gets_the_fields_of_a_file_and_only_those_that_it_can_bear() {
        let whole = player("Range: bytes=0-\r\nIcy-MetaData: 1\r\nUser-Agent: Lavf/60\r\n");
        assert!(whole.starts_with("HTTP/1.1 200 OK\r\n"), "{whole}");
        for field in [
            "icy-name: ",
            "icy-metaint: 16000\r\n",
            "Accept-Ranges: bytes\r\n",
            "Set-Cookie: icx-",
        ] {
            assert!(
                whole.contains(&format!("\r\n{field}")),
                "{field} in {whole}"
            );
        }
        let part = player("Range: bytes=1000-\r\n");
        assert!(
            part.starts_with("HTTP/1.1 206 Partial Content\r\n"),
            "{part}"
        );
        assert!(
            part.contains("\r\nContent-Range: bytes 1000-999999999999/1000000000000\r\n"),
            "{part}"
        );
        assert!(!part.contains("icy-name:"), "{part}");
    }
}
