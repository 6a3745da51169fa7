//! Requests and answers as bytes. No parser is shared with the product: a judge that shares the defendant's parser
//! shares its bugs.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// An answer's head.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Head {
    /// `HTTP/1.0`, `HTTP/1.1` or `ICY`.
    pub version: String,
    /// The status.
    pub status: u16,
    /// The reason.
    pub reason: String,
    /// Fields in their order, as they came.
    pub fields: Vec<(String, String)>,
    /// Bytes on the wire, the empty line included.
    pub len: usize,
}

impl Head {
    /// The head at the start of `bytes`; `None` while it is incomplete.
    ///
    /// # Errors
    /// If that is no head.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>> {
        let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
            return Ok(None);
        };
        let text = std::str::from_utf8(&bytes[..end])?;
        let mut lines = text.split("\r\n");
        let first = lines.next().context("no status line")?;
        let mut words = first.splitn(3, ' ');
        let version = words.next().unwrap_or_default().to_owned();
        let status = words.next().unwrap_or_default();
        let mut head = Self {
            version,
            status: status
                .parse()
                .with_context(|| format!("status line {first:?}"))?,
            reason: words.next().unwrap_or_default().to_owned(),
            fields: Vec::new(),
            len: end + 4,
        };
        for line in lines {
            let Some((name, value)) = line.split_once(':') else {
                bail!("field line {line:?}");
            };
            head.fields.push((name.to_owned(), value.trim().to_owned()));
        }
        Ok(Some(head))
    }

    /// The first field of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        let field = fields.find(|(field, _)| field.eq_ignore_ascii_case(name));
        field.map(|(_, value)| value.as_str())
    }

    /// Every field of that name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields
            .iter()
            .filter(move |(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// `icy-metaint`.
    #[must_use]
    pub fn metaint(&self) -> Option<usize> {
        self.get("icy-metaint")?.parse().ok()
    }

    /// `Stream-Offset`.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        Place::parse(self.get("Stream-Offset")?)
    }

    /// A member of `Stream-Window`, as text.
    #[must_use]
    pub fn window(&self, member: &str) -> Option<&str> {
        parameter(self.get("Stream-Window")?, ',', member)
    }

    /// A member of `Stream-Window` that is a number.
    #[must_use]
    pub fn window_number(&self, member: &str) -> Option<u64> {
        self.window(member)?.parse().ok()
    }
}

/// `Stream-Offset`, read without the product's help.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// Of the first byte after the prelude.
    pub offset: u64,
    /// The epoch.
    pub epoch: String,
    /// Bytes of prelude.
    pub prelude: usize,
    /// The session, if the listener is aware.
    pub session: Option<String>,
    /// Whether the answer continues across declared splices.
    pub spliced: bool,
    /// Bytes lost, where that is known.
    pub lost: Option<u64>,
}

impl Place {
    fn parse(value: &str) -> Option<Self> {
        let offset = value.split(';').next()?.trim().parse().ok()?;
        let spliced = parameter(value, ';', "spliced");
        Some(Self {
            offset,
            epoch: parameter(value, ';', "epoch")?.to_owned(),
            prelude: parameter(value, ';', "prelude").map_or(Some(0), |text| text.parse().ok())?,
            session: parameter(value, ';', "session").map(str::to_owned),
            spliced: matches!(spliced, Some("" | "?1")),
            lost: parameter(value, ';', "lost").and_then(|text| text.parse().ok()),
        })
    }

    /// The `Resume-Offset` for the byte `further` on.
    #[must_use]
    pub fn resume(&self, further: u64) -> String {
        format!("{};epoch=\"{}\"", self.offset + further, self.epoch)
    }
}

/// The value of a key in a list, unquoted; empty if the key stands alone.
fn parameter<'a>(list: &'a str, separator: char, key: &str) -> Option<&'a str> {
    list.split(separator).find_map(|item| {
        let item = item.trim();
        if item == key {
            return Some("");
        }
        let value = item.strip_prefix(key)?.strip_prefix('=')?;
        // Parameters of a member are not part of its value.
        let value = value.split(';').next().unwrap_or(value);
        Some(value.trim_matches('"'))
    })
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// The head.
    pub head: Head,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// What came back until the peer closed, or until `deadline`.
///
/// # Errors
/// If the connection cannot be made.
pub async fn exchange(addr: SocketAddr, request: &[u8], deadline: Duration) -> Result<Vec<u8>> {
    let mut socket = TcpStream::connect(addr).await?;
    let mut out = Vec::new();
    let talk = async {
        socket.write_all(request).await?;
        socket.read_to_end(&mut out).await
    };
    // A reset after an answer, and a peer that keeps the connection, both leave what has come.
    let _ = tokio::time::timeout(deadline, talk).await;
    Ok(out)
}

/// A connection from one of the addresses `127.0.0.0/8`: to the other side, another client.
///
/// # Errors
/// If it cannot be made.
pub async fn connect_from(from: Ipv4Addr, addr: SocketAddr) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    Ok(socket.connect(addr).await?)
}

/// The answer to a request of raw bytes; the peer has to close within 10 s.
///
/// # Errors
/// If there is no answer that can be read.
pub async fn raw(addr: SocketAddr, request: &[u8]) -> Result<Answer> {
    let bytes = exchange(addr, request, Duration::from_secs(10)).await?;
    let head = Head::parse(&bytes)?
        .with_context(|| format!("no head in {:?}", String::from_utf8_lossy(&bytes)))?;
    let body = bytes[head.len..].to_vec();
    Ok(Answer { head, body })
}

/// A request's head.
#[must_use]
pub fn request(method: &str, target: &str, addr: SocketAddr, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = format!("{method} {target} HTTP/1.1\r\nHost: {addr}\r\n");
    for (name, value) in fields {
        out.push_str(&format!("{name}: {value}\r\n"));
    }
    out.push_str("\r\n");
    out.into_bytes()
}

/// GET of something that ends.
///
/// # Errors
/// If there is no answer that can be read.
pub async fn get(addr: SocketAddr, target: &str, fields: &[(&str, &str)]) -> Result<Answer> {
    raw(addr, &request("GET", target, addr, fields)).await
}

/// The value of `Authorization` for a user and a password.
#[must_use]
pub fn basic(user: &str, password: &str) -> String {
    let pair = format!("{user}:{password}");
    format!(
        "Basic {}",
        base64::engine::general_purpose::STANDARD.encode(pair)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_place() {
        let head =
            b"HTTP/1.1 200 OK\r\nStream-Offset: 12;epoch=\"abc\";prelude=7;spliced;lost=9\r\n\
                     stream-window: first=1, next=22, rate=16000, epoch=\"abc\"\r\n\r\n";
        let head = Head::parse(head).unwrap().unwrap();
        let place = head.place().unwrap();
        assert_eq!((place.offset, place.prelude, place.lost), (12, 7, Some(9)));
        assert!(place.spliced);
        assert_eq!(place.resume(3), "15;epoch=\"abc\"");
        assert_eq!(head.window_number("next"), Some(22));
        assert_eq!(head.window("epoch"), Some("abc"));
    }
}
