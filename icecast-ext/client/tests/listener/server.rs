//! A server of few lines, that does whatever a test wants.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use icecast_ext_core::address::{Epoch, Offset, Position};
use icecast_ext_core::field::{From, Resume, StreamOffset};
use socket2::SockRef;

/// A connection, its request read.
pub(crate) struct Conn {
    pub(crate) socket: TcpStream,
    pub(crate) head: String,
    /// How many there were before on this server.
    pub(crate) nth: usize,
}

impl Conn {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The offset asked for; 0 for `live`.
    pub(crate) fn from(&self) -> u64 {
        match Resume::parse(self.field("resume-offset").unwrap().as_bytes())
            .unwrap()
            .from
        {
            From::At(position) => position.offset.get(),
            _ => 0,
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> bool {
        self.socket.write_all(bytes).is_ok()
    }

    /// 200 with `Stream-Offset`.
    pub(crate) fn ok(&mut self, offset: u64) -> bool {
        let head = ok(offset);
        self.send(head.as_bytes())
    }

    pub(crate) fn reset(self) {
        SockRef::from(&self.socket)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }

    /// Closes after what was sent has arrived.
    pub(crate) fn close(mut self) {
        let _ = self.socket.shutdown(Shutdown::Write);
        let _ = self.socket.set_read_timeout(Some(Duration::from_secs(2)));
        let _ = self.socket.read(&mut [0; 64]);
    }

    /// Says nothing more until the client goes.
    pub(crate) fn hang(mut self) {
        let _ = self.socket.read(&mut [0; 64]);
    }
}

/// The head of an answer.
pub(crate) fn ok(offset: u64) -> String {
    let at = Position::new(Epoch::from_bytes([1; 16]), Offset::new(offset).unwrap());
    let field = StreamOffset {
        at,
        prelude: 0,
        session: None,
        spliced: false,
        lost: None,
    }
    .encode();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nConnection: close\r\nStream-Offset: {field}\r\n\r\n"
    )
}

/// Where a server listens, and the heads that it got.
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Each connection is served by `serve`, in a thread of its own.
    pub(crate) fn start(serve: impl Fn(Conn) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/live", listener.local_addr().unwrap());
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (serve, seen) = (Arc::new(serve), heads.clone());
        thread::spawn(move || {
            for (nth, socket) in listener.incoming().flatten().enumerate() {
                let (serve, seen) = (serve.clone(), seen.clone());
                thread::spawn(move || {
                    let _ = socket.set_nodelay(true);
                    if let Some((socket, head)) = read_head(socket) {
                        seen.lock().unwrap().push(head.clone());
                        serve(Conn { socket, head, nth });
                    }
                });
            }
        });
        Self { url, heads }
    }

    pub(crate) fn head(&self, nth: usize) -> String {
        self.heads.lock().unwrap()[nth].clone()
    }
}

fn read_head(mut socket: TcpStream) -> Option<(TcpStream, String)> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        if socket.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    Some((socket, String::from_utf8(head).ok()?))
}

/// Random bytes that never repeat.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[3]
    })
    .take(len)
    .collect()
}
