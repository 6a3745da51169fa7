//! What an Icecast is told: its configuration, and the files that this names.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::PASSWORD;
use crate::module::Module;
use crate::port;

/// Pages, as the distribution has them.
const SHARE: &str = "/usr/share/icecast2";

/// How an Icecast is set up. In every text `{dir}` stands for its own directory, as Icecast sees it.
#[derive(Debug, Clone)]
pub struct Setup {
    /// `<clients>`, relays and listeners together.
    pub clients: u32,
    /// `<burst-size>` in bytes.
    pub burst: usize,
    /// `<queue-size>` in bytes.
    pub queue: usize,
    /// Seconds without a byte after which a source is dropped.
    pub source_timeout: u32,
    /// Any further elements, such as `<mount>`.
    pub more: String,
    /// Whether it is started with the module.
    pub module: Option<Module>,
    /// Objects that are preloaded after it.
    pub preload: Vec<PathBuf>,
    /// Further `NAME=value`, for its environment.
    pub environment: Vec<String>,
    /// A program and its arguments, which becomes the server, with all of that.
    pub through: Vec<String>,
    /// Sockets beside the usual one.
    pub sockets: Vec<Socket>,
    /// Further elements of `<limits>`.
    pub limits: String,
    /// Further elements of `<paths>`.
    pub paths: String,
    /// Files of its own directory, by name. Those in `web/` are pages, beside the usual ones.
    pub files: Vec<(String, Vec<u8>)>,
    /// `<changeowner>`: the user and the group that it becomes; it starts as whoever runs the test, who has to be root.
    pub owner: Option<(&'static str, &'static str)>,
    /// `<chroot>` to its own directory; it starts as whoever runs the test, who has to be root.
    pub jail: bool,
    /// `-b`: it goes to the background.
    pub background: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            clients: 5000,
            burst: 65_536,
            queue: 524_288,
            source_timeout: 10,
            more: String::new(),
            module: None,
            preload: Vec::new(),
            environment: Vec::new(),
            through: Vec::new(),
            sockets: Vec::new(),
            limits: String::new(),
            paths: String::new(),
            files: Vec::new(),
            owner: None,
            jail: false,
            background: false,
        }
    }
}

/// A `<listen-socket>`; its port is a free one.
#[derive(Debug, Clone, Default)]
pub struct Socket {
    /// `<bind-address>`; every address if there is none.
    pub bind: Option<IpAddr>,
    /// `<ssl>`; [`Setup::paths`] has the certificate.
    pub ssl: bool,
    /// `<shoutcast-mount>`: the next port is open, too, for sources that begin with their password.
    pub shoutcast: Option<String>,
}

impl Socket {
    /// A plain one.
    #[must_use]
    pub fn at(bind: impl Into<IpAddr>) -> Self {
        Self {
            bind: Some(bind.into()),
            ..Self::default()
        }
    }

    /// Where it is to listen, and can be reached.
    pub(super) fn free(&self) -> SocketAddr {
        let free = match self.shoutcast {
            Some(_) => port::free_pair(),
            None => port::free(),
        };
        (self.bind.unwrap_or(free.ip()), free.port()).into()
    }

    fn xml(&self, addr: SocketAddr) -> String {
        let mut inner = format!("<port>{}</port>", addr.port());
        if let Some(bind) = self.bind {
            inner += &format!("<bind-address>{bind}</bind-address>");
        }
        if self.ssl {
            inner += "<ssl>1</ssl>";
        }
        if let Some(mount) = &self.shoutcast {
            inner += &format!("<shoutcast-mount>{mount}</shoutcast-mount>");
        }
        format!("<listen-socket>{inner}</listen-socket>\n")
    }
}

impl Setup {
    fn has_pages(&self) -> bool {
        self.jail || self.files.iter().any(|(name, _)| name.starts_with("web/"))
    }

    /// Writes the configuration, as `icecast.xml`.
    pub(super) fn write(
        &self,
        dir: &Path,
        addr: SocketAddr,
        more: &[SocketAddr],
    ) -> io::Result<()> {
        fs::write(dir.join("icecast.xml"), self.xml(dir, addr, more))
    }

    /// Writes what the configuration names.
    pub(super) fn write_files(&self, dir: &Path) -> io::Result<()> {
        if self.has_pages() {
            copy(&Path::new(SHARE).join("web"), &dir.join("web"))?;
        }
        if self.jail {
            copy(&Path::new(SHARE).join("admin"), &dir.join("admin"))?;
            fs::create_dir(dir.join("etc"))?;
            fs::copy("/etc/mime.types", dir.join("etc/mime.types"))?;
        }
        for (name, bytes) in &self.files {
            let file = dir.join(name);
            fs::write(&file, bytes)?;
            // It may be a script.
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
        }
        Ok(())
    }

    fn xml(&self, dir: &Path, addr: SocketAddr, more: &[SocketAddr]) -> String {
        let Self {
            clients,
            burst,
            queue,
            source_timeout,
            ..
        } = self;
        let outside = dir.display().to_string();
        let inside = if self.jail { "" } else { &outside };
        let web = if self.has_pages() { inside } else { SHARE };
        let admin = if self.jail { inside } else { SHARE };
        let base = if self.jail { &outside } else { SHARE };
        let mut sockets = Socket::at(addr.ip()).xml(addr);
        for (socket, addr) in self.sockets.iter().zip(more) {
            sockets += &socket.xml(*addr);
        }
        let pidfile = match self.background {
            true => format!("<pidfile>{outside}/icecast.pid</pidfile>"),
            false => String::new(),
        };
        let owner = self.owner.map_or(String::new(), |(user, group)| {
            format!("<changeowner><user>{user}</user><group>{group}</group></changeowner>")
        });
        let jail = u8::from(self.jail);
        let fill = |text: &str| text.replace("{dir}", inside);
        let (limits, paths, more) = (fill(&self.limits), fill(&self.paths), fill(&self.more));
        format!(
            "<icecast>
  <location>here</location><admin>nobody@localhost</admin><hostname>localhost</hostname>
  <limits>
    <clients>{clients}</clients><sources>50</sources><queue-size>{queue}</queue-size>
    <client-timeout>30</client-timeout><header-timeout>15</header-timeout>
    <source-timeout>{source_timeout}</source-timeout>
    <burst-on-connect>1</burst-on-connect><burst-size>{burst}</burst-size>
    {limits}
  </limits>
  <authentication>
    <source-password>{PASSWORD}</source-password><relay-password>{PASSWORD}</relay-password>
    <admin-user>admin</admin-user><admin-password>{PASSWORD}</admin-password>
  </authentication>
  {sockets}
  <fileserve>1</fileserve>
  <paths>
    <basedir>{base}</basedir><logdir>{inside}/</logdir>
    <webroot>{web}/web</webroot><adminroot>{admin}/admin</adminroot>
    <alias source=\"/\" destination=\"/status.xsl\"/>
    {pidfile}
    {paths}
  </paths>
  <logging><accesslog>access.log</accesslog><errorlog>error.log</errorlog><loglevel>3</loglevel></logging>
  <security><chroot>{jail}</chroot>{owner}</security>
  {more}
</icecast>
"
        )
    }
}

/// A folder's files.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let from = entry?.path();
        // Debian's are links.
        if let Some(name) = from.file_name().filter(|_| from.is_file()) {
            fs::copy(&from, to.join(name))?;
        }
    }
    Ok(())
}
