//! The servers under test, each started for one run and ended with it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use icecast_ext_tests::child::{As, Child, Scratch};
use icecast_ext_tests::icecast::{self, Icecast};
use icecast_ext_tests::module::Module;
use icecast_ext_tests::proxy::{self, Proxy};
use icecast_ext_tests::{port, tls::Authority};
use serde::{Deserialize, Serialize};

use crate::load::Load;
use crate::process::{Process, children};

/// Who serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Server {
    /// Stock Icecast alone.
    Icecast,
    /// The same with the module loaded.
    Module,
    /// The proxy in front of it.
    Proxy,
    /// nginx in front of it.
    Nginx,
    /// The proxy without an Icecast: sources connect to it.
    Origin,
    /// One `send` a listener a tick, and nothing else.
    Floor,
}

impl Server {
    /// The program that it needs, and the package that has it.
    pub(crate) const fn needs(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Icecast | Self::Module | Self::Proxy => &[("icecast2", "icecast2")],
            Self::Nginx => &[
                ("icecast2", "icecast2"),
                ("nginx", "nginx-light"),
                ("unshare", "util-linux"),
            ],
            Self::Origin | Self::Floor => &[],
        }
    }
}

/// Servers that run.
pub(crate) struct Rig {
    /// Where listeners connect.
    pub(crate) listeners: SocketAddr,
    /// Where sources do.
    pub(crate) source: SocketAddr,
    /// Listeners speak TLS.
    pub(crate) tls: Option<Arc<rustls::ClientConfig>>,
    /// The first is the one that feeds the listeners.
    pub(crate) processes: Vec<Process>,
    _icecast: Option<Icecast>,
    proxy: Option<Proxy>,
    _child: Option<(Child, Scratch)>,
    _authority: Option<Authority>,
}

/// anna:anna, for a mount with accounts.
const USERS: &str = "anna:a70f9e38ff015afaa9ab0aacabee2e13\n";
pub(crate) const ACCOUNT: &str = "Basic YW5uYTphbm5h";

impl Rig {
    pub(crate) async fn start(server: Server, load: &Load) -> Result<Self> {
        let icecast = match server {
            Server::Icecast | Server::Proxy | Server::Nginx => Some(icecast(load, None).await?),
            Server::Module => Some(icecast(load, Some(module(load))).await?),
            Server::Origin | Server::Floor => None,
        };
        let upstream = icecast.as_ref().map(Icecast::addr);
        let mut rig = Self {
            listeners: upstream.unwrap_or_else(port::free),
            source: upstream.unwrap_or_else(port::free),
            tls: None,
            processes: Vec::new(),
            _icecast: None,
            proxy: None,
            _child: None,
            _authority: None,
        };
        match server {
            Server::Icecast | Server::Module => {}
            Server::Proxy | Server::Origin => rig.proxy(upstream, load).await?,
            Server::Nginx => rig.nginx(upstream.context("an upstream")?)?,
            Server::Floor => rig.floor(load)?,
        }
        if let Some(pid) = icecast.as_ref().and_then(Icecast::id) {
            rig.processes.push(Process {
                name: "icecast2",
                pid,
            });
        }
        rig._icecast = icecast;
        Ok(rig)
    }

    /// The last lines that the proxy has logged; warnings alone are.
    pub(crate) fn said(&self) -> Vec<String> {
        let log = self.proxy.as_ref().map(Proxy::log).unwrap_or_default();
        let lines: Vec<_> = log.lines().map(str::to_owned).collect();
        lines[lines.len().saturating_sub(5)..].to_vec()
    }

    async fn proxy(&mut self, upstream: Option<SocketAddr>, load: &Load) -> Result<()> {
        let mut config = format!("delivery-tick = {}\n", load.tick);
        let mut setup = match upstream {
            Some(upstream) => proxy::Setup::before(upstream),
            None => proxy::Setup {
                flags: vec!["--source-password".to_owned(), icecast::PASSWORD.to_owned()],
                ..proxy::Setup::default()
            },
        };
        config += &load.config;
        if load.tls {
            let authority = Authority::new()?;
            let issued = authority.issue("bench", &["127.0.0.1"])?;
            self.tls = Some(authority.client());
            self._authority = Some(authority);
            setup.tls = true;
            config = config + LIMITS + &issued.config();
        } else {
            config += LIMITS;
        }
        if load.accounts {
            config +=
                "[mount.\"/bench\"]\nadmission = \"shadow\"\npull-credentials = \"anna:anna\"\n";
        }
        setup.config = config;
        setup.wrap = vec!["env".to_owned(), "ICECAST_EXT_LOG=warn".to_owned()];
        let proxy = Proxy::with(setup).await?;
        self.listeners = if load.tls { proxy.tls() } else { proxy.addr() };
        if upstream.is_none() {
            self.source = proxy.addr();
        }
        self.processes.push(Process {
            name: "icecast-ext",
            pid: proxy.id().context("the proxy has ended")?,
        });
        self.proxy = Some(proxy);
        Ok(())
    }

    /// As its manual has it for streams: no buffering, a worker a core.
    fn nginx(&mut self, upstream: SocketAddr) -> Result<()> {
        let scratch = Scratch::new("nginx")?;
        self.listeners = port::free();
        let (dir, listen) = (scratch.path().display(), self.listeners);
        let config = format!(
            "daemon off; user root; worker_processes auto; pid {dir}/pid; error_log {dir}/error.log;\n\
             worker_rlimit_nofile 60000;\n\
             events {{ worker_connections 30000; }}\n\
             http {{ access_log off; client_body_temp_path {dir}/a; proxy_temp_path {dir}/b;\n\
             fastcgi_temp_path {dir}/c; uwsgi_temp_path {dir}/d; scgi_temp_path {dir}/e;\n\
             server {{ listen {listen} backlog=4096; location / {{ proxy_pass http://{upstream}; proxy_buffering off; proxy_read_timeout 60s; }} }} }}\n"
        );
        let file = scratch.file("nginx.conf");
        std::fs::write(&file, config)?;
        // A name space of processes of its own: its workers outlive a master that is killed, but not that.
        let mut args = ["unshare", "--pid", "--fork", "--kill-child"]
            .map(str::to_owned)
            .to_vec();
        if !rustix::process::geteuid().is_root() {
            args.push("--map-root-user".to_owned());
        }
        args.extend(["nginx", "-c", &file.display().to_string()].map(str::to_owned));
        let mut child = Child::start(As::Me, &args, &scratch.file("log"))?;
        answers(&mut child, self.listeners)?;
        let masters = children(child.id());
        let workers = masters.iter().flat_map(|master| children(*master));
        self.processes
            .extend(workers.map(|pid| Process { name: "nginx", pid }));
        ensure!(!self.processes.is_empty(), "nginx has no workers");
        self._child = Some((child, scratch));
        Ok(())
    }

    fn floor(&mut self, load: &Load) -> Result<()> {
        let scratch = Scratch::new("floor")?;
        let me = std::env::current_exe()?.display().to_string();
        let (listen, source) = (self.listeners.to_string(), self.source.to_string());
        let tick = load.tick.to_string();
        let args = [
            me.as_str(),
            "floor",
            "--listen",
            &listen,
            "--source",
            &source,
            "--tick",
            &tick,
        ];
        let args = args.map(str::to_owned);
        let mut child = Child::start(As::Me, &args, &scratch.file("log"))?;
        answers(&mut child, self.listeners)?;
        self.processes.push(Process {
            name: "floor",
            pid: child.id(),
        });
        self._child = Some((child, scratch));
        Ok(())
    }
}

/// What strangers may take is not what is measured here.
const LIMITS: &str = "[limits]\nconnections-per-address = 0\njoins-per-second = 0\nresumes-per-second = 0\nwindow-bytes-per-minute = 0\n";

fn module(load: &Load) -> Module {
    let config = format!(
        "log = \"{{dir}}/module.log\"\nlog-level = \"warn\"\ndelivery-tick = {}\n",
        load.tick
    );
    Module { config }
}

async fn icecast(load: &Load, module: Option<Module>) -> Result<Icecast> {
    let more = match load.accounts {
        true => {
            "<mount type=\"normal\"><mount-name>/bench</mount-name><authentication type=\"htpasswd\">\
             <option name=\"filename\" value=\"{dir}/users\"/>\
             <option name=\"allow_duplicate_users\" value=\"1\"/></authentication></mount>"
        }
        false => "",
    };
    let setup = icecast::Setup {
        clients: 30_000,
        more: more.to_owned(),
        module,
        ..icecast::Setup::default()
    };
    let icecast = Icecast::with(setup).await?;
    std::fs::write(icecast.file("users"), USERS)?;
    Ok(icecast)
}

/// Waits until somebody accepts there.
fn answers(child: &mut Child, address: SocketAddr) -> Result<()> {
    for _ in 0..500 {
        if std::net::TcpStream::connect(address).is_ok() {
            return Ok(());
        }
        if !child.runs() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    bail!("it does not listen: {}", child.output())
}
