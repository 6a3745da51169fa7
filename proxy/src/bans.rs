//! Who may not connect at all: the ban and allow lists of Icecast (`<deny-ip>`, `<allow-ip>`), read as it reads them.
//!
//! One address a line; an empty line, and one that begins with `#`, is nothing. Who is on the deny list is refused; where
//! there is an allow list, so is everybody who is not on it, even if it is empty. A file is read again when it has changed.
//! If that fails, the old list stays. Icecast compares text; here `192.0.2.0/24`, `192.0.2.*`, other spellings of an address,
//! spaces and a comment at the end of a line are understood as well.

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use ipnet::{IpNet, Ipv4Net};

/// A list is no longer than this: bytes.
const MAX_FILE: u64 = 32 << 20;
/// Lines of a file that are complained about.
const MAX_COMPLAINTS: usize = 5;

/// Networks, and lines that are none.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct List {
    nets: HashSet<IpNet>,
    /// The prefix lengths in it, so that a look-up is one try a length.
    lengths: BTreeSet<(bool, u8)>,
    bad: Vec<usize>,
}

impl List {
    fn parse(text: &str) -> Self {
        let mut list = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            let entry = line.split('#').next().unwrap_or_default().trim();
            if entry.is_empty() {
                continue;
            }
            match network(entry) {
                Some(net) => {
                    let net = net.trunc();
                    list.lengths
                        .insert((net.addr().is_ipv6(), net.prefix_len()));
                    list.nets.insert(net);
                }
                None => list.bad.push(number),
            }
        }
        list
    }

    fn has(&self, address: IpAddr) -> bool {
        let of_kind = |(v6, _): &&(bool, u8)| *v6 == address.is_ipv6();
        self.lengths.iter().filter(of_kind).any(|(_, length)| {
            IpNet::new(address, *length).is_ok_and(|net| self.nets.contains(&net.trunc()))
        })
    }
}

/// An address, a network, or an address with `*` for its last numbers.
fn network(entry: &str) -> Option<IpNet> {
    if let Ok(net) = entry.parse::<IpNet>() {
        return Some(net);
    }
    if let Ok(address) = entry.parse::<IpAddr>() {
        return Some(address.to_canonical().into());
    }
    let parts: Vec<&str> = entry.split('.').collect();
    let fixed = parts.iter().take_while(|part| **part != "*").count();
    if parts.len() != 4 || fixed == 4 || parts[fixed..].iter().any(|part| *part != "*") {
        return None;
    }
    let mut octets = [0; 4];
    for (octet, part) in octets.iter_mut().zip(&parts[..fixed]) {
        *octet = part.parse().ok()?;
    }
    let net = Ipv4Net::new(octets.into(), u8::try_from(fixed * 8).ok()?);
    net.ok().map(IpNet::V4)
}

/// What a change of a file shows by: device aside, `stat` has nothing better.
type Stamp = (Option<std::time::SystemTime>, u64, u64);

/// A list, and the file that it is from.
#[derive(Debug)]
struct Watched {
    option: &'static str,
    path: Option<PathBuf>,
    stamp: Option<Stamp>,
    /// What was complained about last, so that it is said once.
    trouble: Option<String>,
    list: Option<Arc<List>>,
}

impl Watched {
    fn new(option: &'static str) -> Self {
        Self {
            option,
            path: None,
            stamp: None,
            trouble: None,
            list: None,
        }
    }

    fn look(&mut self, path: Option<&Path>) {
        if self.path.as_deref() != path {
            *self = Self {
                path: path.map(Path::to_owned),
                // Until the new one has been read.
                list: self.list.take().filter(|_| path.is_some()),
                ..Self::new(self.option)
            };
        }
        let Some(path) = path else { return };
        match read(path, self.stamp) {
            Ok(None) => self.trouble = None,
            Ok(Some((stamp, list))) => {
                tracing::info!(option = self.option, file = %path.display(), entries = list.nets.len(), "address list read");
                for line in list.bad.iter().take(MAX_COMPLAINTS) {
                    tracing::warn!(option = self.option, file = %path.display(), line, "no address in this line, so it is skipped: write one as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/64");
                }
                (self.stamp, self.trouble, self.list) = (Some(stamp), None, Some(Arc::new(list)));
            }
            Err(error) => {
                let error = error.to_string();
                if self.trouble.as_ref() != Some(&error) {
                    let kept = if self.list.is_some() {
                        "the old list stays"
                    } else {
                        "nobody is refused by it"
                    };
                    tracing::warn!(option = self.option, file = %path.display(), error, "an address list cannot be read: {kept}; make the file readable for this process");
                    self.trouble = Some(error);
                }
            }
        }
    }
}

/// The list in a file; `None` if it is as it was.
fn read(path: &Path, was: Option<Stamp>) -> std::io::Result<Option<(Stamp, List)>> {
    use std::os::unix::fs::MetadataExt as _;
    let about = std::fs::metadata(path)?;
    let stamp = (about.modified().ok(), about.len(), about.ino());
    if was == Some(stamp) {
        return Ok(None);
    }
    if !about.is_file() || about.len() > MAX_FILE {
        let why = format!("it is no file, or has more than {MAX_FILE} bytes");
        return Err(std::io::Error::other(why));
    }
    let text = std::fs::read(path)?;
    Ok(Some((stamp, List::parse(&String::from_utf8_lossy(&text)))))
}

/// How many networks a list has, and the lines that are none.
pub(crate) fn survey(path: &Path) -> std::io::Result<(usize, Vec<usize>)> {
    let (_, list) = read(path, None)?.unwrap_or_default();
    Ok((list.nets.len(), list.bad))
}

#[derive(Debug)]
struct Lists {
    deny: Watched,
    allow: Watched,
}

/// Both lists as they are used: who asks never waits for the disk.
#[derive(Debug, Default, Clone)]
struct Used {
    deny: Option<Arc<List>>,
    allow: Option<Arc<List>>,
}

/// Both lists.
#[derive(Debug)]
pub(crate) struct Bans {
    lists: Mutex<Lists>,
    used: RwLock<Used>,
}

impl Bans {
    /// Reads both for the first time.
    pub(crate) fn new(deny: Option<&Path>, allow: Option<&Path>) -> Self {
        let bans = Self {
            lists: Mutex::new(Lists {
                deny: Watched::new("deny-ip"),
                allow: Watched::new("allow-ip"),
            }),
            used: RwLock::default(),
        };
        bans.look(deny, allow);
        bans
    }

    /// Reads what has changed. The files are those of the configuration as it is now. Blocks on the disk.
    pub(crate) fn look(&self, deny: Option<&Path>, allow: Option<&Path>) {
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        lists.deny.look(deny);
        lists.allow.look(allow);
        let used = Used {
            deny: lists.deny.list.clone(),
            allow: lists.allow.list.clone(),
        };
        *self.used.write().unwrap_or_else(PoisonError::into_inner) = used;
    }

    /// Whether this address may not connect.
    pub(crate) fn refuse(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let used = self.used.read().unwrap_or_else(PoisonError::into_inner);
        let on = |list: &Option<Arc<List>>| list.as_ref().map(|list| list.has(address));
        on(&used.deny) == Some(true) || on(&used.allow) == Some(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(bans: &Bans, address: &str) -> bool {
        bans.refuse(address.parse().unwrap())
    }

    #[test]
    fn a_file_is_read_as_icecast_reads_it_and_networks_too() {
        let text = "# 192.0.2.1\n192.0.2.2\r\n 192.0.2.3 \n192.0.2.4 # why\n\n198.51.100.0/24\n203.0.113.*\n\
                    nonsense\n2001:db8::7\n2001:db8:1::/48\n10.*.1.*\n::ffff:192.0.2.9";
        let list = List::parse(text);
        let on = |address: &str| list.has(address.parse().unwrap());
        for address in [
            "192.0.2.2",
            "192.0.2.3",
            "192.0.2.4",
            "198.51.100.77",
            "203.0.113.5",
            "2001:db8::7",
            "2001:db8:1:2:3::4",
            "192.0.2.9",
        ] {
            assert!(on(address), "{address}");
        }
        for address in [
            "192.0.2.1",
            "198.51.101.1",
            "2001:db8::8",
            "10.0.1.0",
            "::1",
        ] {
            assert!(!on(address), "{address}");
        }
        assert_eq!(list.bad, [8, 11]);
    }

    #[test]
    fn deny_beats_allow_and_an_empty_allow_list_refuses_everybody() {
        let dir = tempfile::tempdir().unwrap();
        let (deny, allow) = (dir.path().join("deny"), dir.path().join("allow"));
        std::fs::write(&deny, "192.0.2.1\n").unwrap();
        std::fs::write(&allow, "192.0.2.1\n192.0.2.2\n").unwrap();
        let bans = Bans::new(Some(&deny), Some(&allow));
        assert!(refused(&bans, "192.0.2.1") && refused(&bans, "192.0.2.3"));
        assert!(!refused(&bans, "192.0.2.2") && !refused(&bans, "::ffff:192.0.2.2"));
        std::fs::write(&allow, "# nobody\n").unwrap();
        bans.look(Some(&deny), Some(&allow));
        assert!(refused(&bans, "192.0.2.2"));
        bans.look(None, None);
        assert!(!refused(&bans, "192.0.2.1"));
    }

    #[test]
    fn a_list_that_cannot_be_read_any_more_stays() {
        let dir = tempfile::tempdir().unwrap();
        let deny = dir.path().join("deny");
        let bans = Bans::new(Some(&deny), None);
        assert!(!refused(&bans, "192.0.2.1"), "there is none yet");
        std::fs::write(&deny, "192.0.2.1\n").unwrap();
        bans.look(Some(&deny), None);
        assert!(refused(&bans, "192.0.2.1"));
        std::fs::remove_file(&deny).unwrap();
        bans.look(Some(&deny), None);
        assert!(refused(&bans, "192.0.2.1"));
        std::fs::write(&deny, "192.0.2.22\n").unwrap();
        bans.look(Some(&deny), None);
        assert!(!refused(&bans, "192.0.2.1") && refused(&bans, "192.0.2.22"));
        std::fs::create_dir(dir.path().join("d")).unwrap();
        bans.look(Some(&dir.path().join("d")), None);
        assert!(refused(&bans, "192.0.2.22"));
    }
}
