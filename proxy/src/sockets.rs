//! Listening sockets: opened here, or by systemd.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, bail, ensure};
use listenfd::ListenFd;
use socket2::SockRef;
use tokio::net::TcpListener;

use crate::config::{Bind, Config};
use crate::handover::{Door, Doors, Way};

/// Connections that may wait to be accepted. The kernel takes no more than net.core.somaxconn, so that this is the operator's to say.
const BACKLOG: i32 = 65_535;
/// What the kernel's default is, since 5.4. With it 10,000 connects within a second were accepted, none of them late.
const ENOUGH: u32 = 4096;

/// A socket that listens.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) listener: TcpListener,
    pub(crate) tls: bool,
}

/// One that systemd opened.
#[derive(Debug)]
struct Activated {
    listener: std::net::TcpListener,
    address: SocketAddr,
    /// `FileDescriptorName=`; the socket unit's name if that has none.
    name: String,
}

static ACTIVATED: Mutex<Vec<Activated>> = Mutex::new(Vec::new());

/// Takes what systemd opened for this process. To be called before there are threads: it changes the environment.
///
/// # Errors
/// One of them is no TCP socket that listens.
pub(crate) fn take_activated() -> anyhow::Result<()> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':').map(str::to_owned);
    let mut given = ListenFd::from_env();
    let mut taken = Vec::new();
    for index in 0..given.len() {
        let name = names.next().unwrap_or_default();
        let listener = given
            .take_tcp_listener(index)
            .and_then(|listener| listener.ok_or_else(|| std::io::Error::other("it is taken")))
            .with_context(|| format!("socket {index} ({name:?}) from systemd: only ListenStream= with an address and a port is served"))?;
        let address = listener.local_addr().context("a socket from systemd")?;
        ensure!(
            SockRef::from(&listener).is_listener().unwrap_or(false),
            "socket {index} ({name:?}, {address}) from systemd does not listen: Accept=no is needed"
        );
        taken.push(Activated {
            listener,
            address,
            name,
        });
    }
    *ACTIVATED.lock().unwrap_or_else(PoisonError::into_inner) = taken;
    Ok(())
}

/// All that is configured: what systemd has opened is taken, the rest is opened. Without `listen` and `listen-tls`, what systemd has
/// opened is all.
///
/// # Errors
/// An address is in use or not allowed; systemd has opened one that is not configured.
pub(crate) fn open(config: &Config, doors: &Doors) -> anyhow::Result<Vec<Open>> {
    let mut given = std::mem::take(&mut *ACTIVATED.lock().unwrap_or_else(PoisonError::into_inner));
    given.extend(doors.given().into_iter().map(|(door, socket)| Activated {
        listener: socket.into(),
        address: door.address,
        name: match door.way {
            Way::Tls => "tls".to_owned(),
            Way::Plain | Way::Admin => String::new(),
        },
    }));
    let free = config.options.listen.is_empty() && config.options.listen_tls.is_empty();
    if free && !given.is_empty() {
        return given
            .into_iter()
            .map(|socket| {
                let tls = socket.name == "tls";
                ensure!(
                    !tls || !config.certificates.is_empty(),
                    "systemd has opened {} for TLS: add a [[certificate]] with chain and key to the file",
                    socket.address
                );
                from_systemd(socket, tls, doors)
            })
            .collect();
    }
    let mut opened = Vec::new();
    for &Bind { address, tls } in &config.listen {
        let found = given.iter().position(|socket| serves(socket, address));
        opened.push(match found.map(|index| given.swap_remove(index)) {
            Some(socket) => from_systemd(socket, tls, doors)?,
            None => Open {
                listener: doors
                    .open(door(address, tls, false), || bind(address, &config.listen))
                    .map_err(|error| refused(address, error))?,
                tls,
            },
        });
    }
    if let Some(Activated { address, name, .. }) = given.first() {
        bail!(
            "systemd has opened {address} ({name:?}), which is in neither `listen` nor `listen-tls`: add it there, \
             take both options out to serve whatever systemd opens, or take it out of the .socket unit"
        );
    }
    Ok(opened)
}

/// Whether a socket is what was asked for. One for all of IPv6 that takes IPv4 too serves all of IPv4.
fn serves(socket: &Activated, asked: SocketAddr) -> bool {
    let both = || {
        SockRef::from(&socket.listener)
            .only_v6()
            .is_ok_and(|only| !only)
    };
    socket.address == asked
        || (socket.address.port() == asked.port()
            && socket.address.ip().is_unspecified()
            && socket.address.is_ipv6()
            && asked.ip().is_unspecified()
            && asked.is_ipv4()
            && both())
}

fn door(address: SocketAddr, tls: bool, given: bool) -> Door {
    Door {
        address,
        way: if tls { Way::Tls } else { Way::Plain },
        given,
    }
}

fn from_systemd(socket: Activated, tls: bool, doors: &Doors) -> anyhow::Result<Open> {
    tracing::info!(address = %socket.address, name = socket.name, tls, "opened by systemd");
    let door = door(socket.address, tls, true);
    let listener = doors.keep(door, socket.listener)?;
    Ok(Open { listener, tls })
}

fn refused(address: SocketAddr, error: std::io::Error) -> anyhow::Error {
    let remedy = match error.kind() {
        std::io::ErrorKind::AddrInUse => "another process has it: `ss -ltnp` says which",
        std::io::ErrorKind::PermissionDenied => {
            "ports below 1024 need root (and `user`), CAP_NET_BIND_SERVICE, or a socket from systemd"
        }
        std::io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address: `ip address` lists those it has"
        }
        _ => "is the address right?",
    };
    anyhow::Error::new(error).context(format!("cannot listen on {address}: {remedy}"))
}

/// A listening socket that another process may take over at once, with a backlog for a storm of reconnects. `[::]` takes
/// IPv4 too, unless `all` has a socket of its own for that.
fn bind(address: SocketAddr, all: &[Bind]) -> std::io::Result<std::net::TcpListener> {
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
    Ok(socket.into())
}

/// If fewer may wait to be accepted than a storm of reconnects needs: what is wrong, and what to do.
pub(crate) fn short_backlog() -> Option<(String, String)> {
    // Of this network namespace. Where it cannot be read, nothing is known to be wrong.
    let text = std::fs::read_to_string("/proc/sys/net/core/somaxconn").ok()?;
    short(text.trim().parse().ok()?)
}

fn short(most: u32) -> Option<(String, String)> {
    (most < ENOUGH).then(|| {
        let says = format!(
            "net.core.somaxconn is {most}: when all reconnect at once, so many wait to be accepted, and the others try again a second later, or give up"
        );
        let remedy = format!(
            "sysctl -w net.core.somaxconn={ENOUGH}, and in /etc/sysctl.d for the next boot; then restart, for sockets that are open"
        );
        (says, remedy)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backlog_that_the_kernel_cuts_short_is_said() {
        let (says, remedy) = short(128).unwrap();
        assert!(says.contains("somaxconn is 128"), "{says}");
        assert!(remedy.contains("net.core.somaxconn=4096"), "{remedy}");
        assert_eq!(short(4096), None);
    }

    #[test]
    fn both_families_listen_on_one_port() {
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
