//! This machine: files, ports, descriptors, memory, the user.

use std::net::SocketAddr;
use std::path::Path;

use rustix::fs::{Access, access};

use super::report::Section;
use crate::config::Config;
use crate::descriptors;

/// The journals of a few mounts, bytes: with less free the disk is as good as full.
const LITTLE_SPACE: u64 = 256 << 20;

/// A certificate that ends sooner is a warning: days.
const SOON: u64 = 14;

/// Bytes of memory; `None` if it is not known.
pub(super) fn memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Files that are read, and directories that are written to.
pub(super) fn files(config: &Config, section: &mut Section) {
    if let Some(dir) = &config.state {
        state(dir, section);
    }
    for (option, file) in [("deny-ip", &config.deny_ip), ("allow-ip", &config.allow_ip)] {
        let Some(file) = file else { continue };
        let name = file.display().to_string();
        match crate::bans::survey(file) {
            Ok((0, _)) if option == "allow-ip" => section.error(
                option,
                format!("{name} has no address in it, so everybody is refused"),
                "add addresses, or remove the option",
            ),
            Ok((count, bad)) => {
                section.ok(option, format!("{name}: {count} addresses or networks"));
                if let Some(line) = bad.first() {
                    let says = format!(
                        "{name}:{line} is no address, and skipped; such lines: {}",
                        bad.len()
                    );
                    section.warn(
                        option,
                        says,
                        "write 192.0.2.7, 192.0.2.0/24 or 2001:db8::/64",
                    );
                }
            }
            Err(error) => section.error(
                option,
                format!("{name}: {error}"),
                "let the user of the proxy read it",
            ),
        }
    }
    if let Some(file) = &config.access_log {
        let dir = file
            .parent()
            .filter(|dir| !dir.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let exists = file.exists();
        let asked = if exists {
            access(file, Access::WRITE_OK)
        } else {
            access(dir, Access::WRITE_OK | Access::EXEC_OK)
        };
        let name = file.display();
        match asked {
            Ok(()) => section.ok("access-log", format!("{name} can be written")),
            Err(error) => section.error(
                "access-log",
                format!("{name}: {error}"),
                format!("install -d -o icecast-ext {}", dir.display()),
            ),
        }
    }
}

fn state(dir: &Path, section: &mut Section) {
    let name = dir.display();
    let make = format!("install -d -o icecast-ext -m 0750 {name}");
    match std::fs::metadata(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let parent = dir.parent().unwrap_or(Path::new("/"));
            match access(parent, Access::WRITE_OK | Access::EXEC_OK) {
                Ok(()) => section.ok("state", format!("{name} will be made")),
                Err(_) => section.error(
                    "state",
                    format!("{name} does not exist, and cannot be made"),
                    make,
                ),
            }
            return;
        }
        Err(error) => return section.error("state", format!("{name}: {error}"), make),
        Ok(about) if !about.is_dir() => {
            return section.error("state", format!("{name} is not a directory"), make);
        }
        Ok(_) => {}
    }
    if let Err(error) = access(dir, Access::WRITE_OK | Access::READ_OK | Access::EXEC_OK) {
        return section.error(
            "state",
            format!("{name}: {error}; without it a restart forgets everything"),
            make,
        );
    }
    match rustix::fs::statvfs(dir) {
        Ok(about) => {
            let free = about.f_bavail.saturating_mul(about.f_frsize);
            let says = format!(
                "{name} can be written, {:.1} GB are free",
                free as f64 / 1e9
            );
            if free < LITTLE_SPACE {
                section.warn(
                    "state",
                    says,
                    "a journal takes about twice its mount's window: make room",
                );
            } else {
                section.ok("state", says);
            }
        }
        Err(error) => section.warn(
            "state",
            format!("{name}: its free space is not known: {error}"),
            "",
        ),
    }
}

/// Certificates: whether they can be used, for which names, and how long.
pub(super) fn certificates(config: &Config, section: &mut Section) {
    let tls = config.listen.iter().any(|bind| bind.tls);
    for files in &config.certificates {
        let chain = files.chain.display().to_string();
        let renew = "renew it (certbot renew); new files are noticed without a reload";
        match crate::tls::look(files) {
            Err(error) if tls => section.error(
                "certificate",
                format!("{error:#}"),
                "listen-tls cannot be opened without it",
            ),
            Err(error) => section.warn(
                "certificate",
                format!("{error:#}"),
                "it is not used, as there is no listen-tls",
            ),
            Ok((names, ends)) => {
                let names = if names.is_empty() {
                    "no name".to_owned()
                } else {
                    names.join(", ")
                };
                match ends.duration_since(std::time::SystemTime::now()) {
                    Err(_) => section.error(
                        "certificate",
                        format!("{chain}: {names}; it has ended"),
                        renew,
                    ),
                    Ok(left) => {
                        let days = left.as_secs() / 86_400;
                        let says = format!("{chain}: {names}; {days} days left");
                        if days < SOON {
                            section.warn("certificate", says, renew)
                        } else {
                            section.ok("certificate", says)
                        }
                    }
                }
            }
        }
    }
}

/// Listening addresses: free, or ours already.
pub(super) fn ports(config: &Config, section: &mut Section) {
    let ours = config
        .listen
        .iter()
        .map(|bind| (if bind.tls { "listen-tls" } else { "listen" }, bind.address));
    for (option, address) in ours.chain(config.admin.map(|address| ("admin", address))) {
        let about = format!("{option} {address}");
        match try_bind(address) {
            Ok(()) => section.ok(about, "is free"),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => match holder(address) {
                Some((id, name)) if matches!(name.as_str(), "icecast-ext" | "systemd") => {
                    section.ok(about, format!("is held by {name} (process {id})"));
                }
                Some((id, name)) => {
                    let remedy = if name.starts_with("icecast") {
                        "move Icecast to a loopback port: `icecast-ext propose /etc/icecast2/icecast.xml` says how".to_owned()
                    } else {
                        format!("stop it, or choose another address for {option}")
                    };
                    section.error(about, format!("is held by {name} (process {id})"), remedy);
                }
                None => section.warn(about, "is in use, and this user may not see by whom", "if it is not icecast-ext: sudo ss -ltnp"),
            },
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => section.warn(
                about,
                "may not be opened by this user",
                "below 1024: the package's unit may (CAP_NET_BIND_SERVICE); or start as root with user set",
            ),
            Err(error) if error.kind() == std::io::ErrorKind::AddrNotAvailable => {
                section.error(about, "is no address of this machine", "`ip address` lists them; 0.0.0.0 takes all");
            }
            Err(error) => section.error(about, error.to_string(), ""),
        }
    }
}

/// Binds and lets go at once: nobody can connect meanwhile.
fn try_bind(address: SocketAddr) -> std::io::Result<()> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())
}

/// Who listens there, as far as we may see it.
fn holder(address: SocketAddr) -> Option<(u32, String)> {
    let mut inodes = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = std::fs::read_to_string(table).unwrap_or_default();
        for line in text.lines().skip(1) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let port = words.get(1).and_then(|local| local.rsplit(':').next());
            let port = port.and_then(|port| u16::from_str_radix(port, 16).ok());
            // 0A: it listens.
            if port == Some(address.port()) && words.get(3) == Some(&"0A") {
                inodes.extend(words.get(9).map(|inode| format!("socket:[{inode}]")));
            }
        }
    }
    let holders = std::fs::read_dir("/proc")
        .ok()?
        .flatten()
        .filter_map(|process| {
            let id: u32 = process.file_name().to_str()?.parse().ok()?;
            let held = std::fs::read_dir(process.path().join("fd")).ok()?.flatten();
            let mut targets = held.filter_map(|held| std::fs::read_link(held.path()).ok());
            targets
                .any(|target| {
                    inodes
                        .iter()
                        .any(|inode| target.as_os_str() == inode.as_str())
                })
                .then_some(id)
        });
    // A socket of systemd's is held by the service too: that one counts.
    let id = holders.max()?;
    let name = std::fs::read_to_string(format!("/proc/{id}/comm")).ok()?;
    Some((id, name.trim().to_owned()))
}

/// How many connections this process may have, and as whom.
pub(super) fn process(config: &Config, section: &mut Section) {
    let most = descriptors::possible();
    match descriptors::shortage(most, config) {
        Some((says, remedy)) => section.warn("descriptors", says, remedy),
        None if most == u64::MAX => section.ok("descriptors", "as many as there are"),
        None => {
            let room = descriptors::listeners(most, config);
            section.ok("descriptors", format!("{most}: room for {room} listeners"));
        }
    }
    match crate::sockets::short_backlog() {
        Some((says, remedy)) => section.warn("backlog", says, remedy),
        None => section.ok(
            "backlog",
            "as many may wait to be accepted as come in a storm",
        ),
    }
    if let Some(user) = &config.user {
        let known = nix::unistd::User::from_name(user).is_ok_and(|user| user.is_some());
        if !known {
            section.error(
                "user",
                format!("there is no user {user}"),
                format!("adduser --system --group {user}"),
            );
        } else if rustix::process::geteuid().is_root() {
            section.ok("user", format!("{user} exists"));
        } else {
            section.warn(
                "user",
                format!("{user} exists, but only root can become another user"),
                "remove it, or start as root",
            );
        }
    }
}
