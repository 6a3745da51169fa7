//! Listening sockets.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use crate::config::Bind;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 4096;

/// A listening socket that another process may take over at once, with a backlog for a storm of reconnects. `[::]` takes
/// IPv4 too, unless `all` has a socket of its own for that.
pub(crate) fn bind(address: SocketAddr, all: &[Bind]) -> std::io::Result<TcpListener> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        let beside = all
            .iter()
            .any(|other| other.address.is_ipv4() && other.address.port() == address.port());
        socket.set_only_v6(beside)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_families_listen_on_one_port() {
        let v4 = bind(SocketAddr::from(([0, 0, 0, 0], 0)), &[]).unwrap();
        let port = v4.local_addr().unwrap().port();
        let bind_to = |address| Bind {
            address,
            tls: false,
        };
        let all = [
            bind_to(SocketAddr::from(([0, 0, 0, 0], port))),
            bind_to(SocketAddr::from(([0u16; 8], port))),
        ];
        match bind(all[1].address, &all) {
            Ok(v6) => assert!(v6.local_addr().unwrap().is_ipv6()),
            Err(error) => assert_ne!(error.kind(), std::io::ErrorKind::AddrInUse, "{error}"),
        }
    }
}
