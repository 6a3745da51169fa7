//! What the client's kernel has not taken yet. A reset throws it away.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

/// A client that has stopped to read will not take more.
const LONG: Duration = Duration::from_millis(300);

/// Waits until everything is acknowledged, but not long; what is not then.
pub(super) async fn settle(socket: &TcpStream) -> u64 {
    let start = Instant::now();
    loop {
        let left = unacknowledged(socket).unwrap_or(0);
        if left == 0 || start.elapsed() > LONG {
            return left;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// From the kernel's table of connections, since the call for it would be unsafe code.
fn unacknowledged(socket: &TcpStream) -> Option<u64> {
    let (local, peer) = (socket.local_addr().ok()?, socket.peer_addr().ok()?);
    let wanted = (hex(local)?, hex(peer)?);
    let table = std::fs::read_to_string("/proc/net/tcp").ok()?;
    table.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let ends = (words.next()?.to_owned(), words.next()?.to_owned());
        let queues = words.nth(1)?;
        let (to_send, _) = queues.split_once(':')?;
        (ends == wanted).then(|| u64::from_str_radix(to_send, 16).ok())?
    })
}

fn hex(addr: SocketAddr) -> Option<String> {
    let SocketAddr::V4(addr) = addr else {
        return None;
    };
    // In the order of the machine's bytes.
    let ip = u32::from_ne_bytes(addr.ip().octets());
    Some(format!("{ip:08X}:{:04X}", addr.port()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn tells_what_a_client_that_does_not_read_has_not_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        server.write_all(b"abc").await.unwrap();
        assert_eq!(settle(&server).await, 0);
        let mut sent = 3;
        while let Ok(n) = server.try_write(&[0; 64 << 10]) {
            sent += n as u64;
        }
        let left = settle(&server).await;
        assert!(left > 0 && left < sent, "{left} of {sent}");
        drop(server);
        let mut got = Vec::new();
        client.read_to_end(&mut got).await.unwrap();
        assert_eq!(got.len() as u64, sent);
    }
}
