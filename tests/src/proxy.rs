//! The `icecast-ext` binary.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::net::TcpStream;

use crate::child::{As, Child, Scratch};
use crate::port;

/// Where the binary is. Unless `ICECAST_EXT_BIN` names it, cargo is asked to bring it, and the shared objects beside it, up
/// to date first.
///
/// # Panics
/// If it cannot be built.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(path) = std::env::var_os("ICECAST_EXT_BIN") {
            return path.into();
        }
        // target/PROFILE/deps/this-test, or target/PROFILE/the-benchmark
        let me = std::env::current_exe().expect("this program has a path");
        let folder = me.parent().expect("target/PROFILE");
        let profile = match folder.ends_with("deps") {
            true => folder.parent().expect("target/PROFILE/deps"),
            false => folder,
        };
        let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        build.args(["build", "--quiet", "--workspace", "--lib", "--bins"]);
        build.current_dir(env!("CARGO_MANIFEST_DIR"));
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(
            build.status().expect("cargo starts").success(),
            "cargo build failed"
        );
        profile.join("icecast-ext")
    })
}

/// How a proxy is started.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// `--upstream`; an origin without it.
    pub upstream: Option<String>,
    /// Where it listens; on a free port if unset.
    pub listen: Option<SocketAddr>,
    /// Whether it listens with TLS, too; `config` has the certificates.
    pub tls: bool,
    /// Whether it has a state directory.
    pub state: bool,
    /// Lines for its TOML file; none if empty.
    pub config: String,
    /// Further flags.
    pub flags: Vec<String>,
    /// A command in front of the binary, such as `env A=B`.
    pub wrap: Vec<String>,
    /// Leaves `--listen` out.
    pub given: bool,
    /// Whether it is upgraded: then its successors end with the test, too.
    pub upgrades: bool,
}

/// A running proxy. Killed when dropped; its log is printed if the test failed.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    tls: Option<SocketAddr>,
    setup: Setup,
    child: Option<Child>,
    /// The processes that took over, one after the other.
    heirs: Vec<u32>,
    scratch: Scratch,
}

impl Proxy {
    /// One in front of `upstream`.
    ///
    /// # Errors
    /// If it does not listen within 10 s.
    pub async fn start(upstream: SocketAddr) -> Result<Self> {
        Self::with(Setup::before(upstream)).await
    }

    /// One with a set-up of its own.
    ///
    /// # Errors
    /// If it does not listen within 10 s.
    pub async fn with(setup: Setup) -> Result<Self> {
        let mut why = None;
        for _ in 0..3 {
            let mut proxy = Self {
                addr: setup.listen.unwrap_or_else(port::free),
                tls: setup.tls.then(port::free),
                setup: setup.clone(),
                child: None,
                heirs: Vec::new(),
                scratch: Scratch::new("proxy")?,
            };
            match proxy.restart().await {
                Ok(()) => return Ok(proxy),
                Err(error) => why = Some(error),
            }
        }
        Err(why.context("the proxy does not start")?)
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://127.0.0.1:PORT` and a path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// Where it listens with TLS.
    ///
    /// # Panics
    /// If it does not.
    #[must_use]
    pub fn tls(&self) -> SocketAddr {
        self.tls.expect("a set-up with TLS")
    }

    /// Its state directory.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.scratch.file("state")
    }

    /// Its process id, while it runs; of the process that serves, if it was upgraded.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        let heir = self.heirs.last().copied();
        heir.or(self.child.as_ref().map(Child::id))
    }

    /// SIGUSR2 to the process that serves. Returns when it has handed over, or has said that it could not.
    ///
    /// # Errors
    /// If it has failed, or says nothing within 20 s.
    pub async fn upgrade(&mut self) -> Result<u32> {
        const DONE: &str = "another process has taken over pid=";
        let pid = self.id().context("the proxy does not run")?;
        let before = self.log().len();
        ensure!(kill("USR2", pid)?, "{pid} has gone");
        let start = Instant::now();
        loop {
            let log = self.log();
            let new = &log[before..];
            if let Some(at) = new.find(DONE) {
                let number = new[at + DONE.len()..].split_whitespace().next();
                let heir = number.unwrap_or_default().parse()?;
                self.heirs.push(heir);
                return Ok(heir);
            }
            ensure!(!new.contains("the upgrade has failed"), "{new}");
            ensure!(
                start.elapsed() < Duration::from_secs(20),
                "no answer: {new}"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Everything it has logged, over all its lives.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.scratch.file("log")).unwrap_or_default())
            .into_owned()
    }

    /// Whether it still runs; if it was upgraded, whether its successor does.
    pub fn runs(&mut self) -> bool {
        match self.heirs.last() {
            Some(heir) => runs(*heir),
            None => self.first_runs(),
        }
    }

    /// Whether the process still runs that was started first.
    pub fn first_runs(&mut self) -> bool {
        self.child.as_mut().is_some_and(Child::runs)
    }

    /// Its exit code, once it has ended by itself.
    pub fn code(&mut self) -> Option<i32> {
        self.child.as_mut()?.code()
    }

    /// SIGKILL to every process that has served here. Returns once they have gone, and their listening sockets with them.
    pub fn kill(&mut self) {
        for heir in &self.heirs {
            // It may have ended.
            let _ = kill("KILL", *heir);
        }
        if let Some(mut child) = self.child.take() {
            child.kill();
        }
        let end = Instant::now() + Duration::from_secs(10);
        for heir in std::mem::take(&mut self.heirs) {
            while lives(heir) && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    /// A signal by name.
    ///
    /// # Errors
    /// If it does not run.
    pub fn signal(&mut self, name: &str) -> Result<()> {
        let pid = self.id().context("the proxy does not run")?;
        ensure!(kill(name, pid)?, "kill -s {name} {pid} failed");
        Ok(())
    }

    /// Writes another configuration file, which a SIGHUP makes it read. It must have been started with one.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn rewrite(&mut self, config: &str) -> Result<()> {
        config.clone_into(&mut self.setup.config);
        Ok(std::fs::write(self.scratch.file("config.toml"), config)?)
    }

    /// Starts it again, on the same port and state.
    ///
    /// # Errors
    /// If it does not listen within 10 s.
    pub async fn restart(&mut self) -> Result<()> {
        self.kill();
        let mut args = self.setup.wrap.clone();
        args.extend([binary().display().to_string(), "serve".to_owned()]);
        if !self.setup.given {
            args.extend(["--listen".to_owned(), self.addr.to_string()]);
        }
        if let Some(tls) = self.tls {
            args.extend(["--listen-tls".to_owned(), tls.to_string()]);
        }
        if let Some(upstream) = &self.setup.upstream {
            args.extend(["--upstream".to_owned(), upstream.clone()]);
        }
        if self.setup.state {
            args.extend(["--state".to_owned(), self.state().display().to_string()]);
        }
        if !self.setup.config.is_empty() {
            let path = self.scratch.file("config.toml");
            std::fs::write(&path, &self.setup.config)?;
            args.extend(["--config".to_owned(), path.display().to_string()]);
        }
        args.extend(self.setup.flags.iter().cloned());
        let log = self.scratch.file("log");
        let mut child = if self.setup.upgrades {
            args.push("--until-stdin-closes".to_owned());
            Child::tied(As::Me, &args, &log)?
        } else {
            Child::start(As::Me, &args, &log)?
        };
        let start = Instant::now();
        loop {
            let answers = TcpStream::connect(self.addr).await.is_ok();
            if !child.runs() || start.elapsed() > Duration::from_secs(10) {
                bail!("icecast-ext does not listen: {}", child.output());
            }
            if answers {
                self.child = Some(child);
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Setup {
    /// In front of `upstream`.
    #[must_use]
    pub fn before(upstream: SocketAddr) -> Self {
        Self {
            upstream: Some(format!("http://{upstream}")),
            ..Self::default()
        }
    }
}

/// False if there is no such process.
fn kill(name: &str, pid: u32) -> Result<bool> {
    let mut kill = Command::new("kill");
    kill.args(["-s", name, &pid.to_string()])
        .stderr(Stdio::null());
    Ok(kill.status()?.success())
}

/// Not a zombie either: nobody may be there to bury it.
fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')')
        .next()
        .and_then(|rest| rest.split_whitespace().next())
        .is_some_and(|state| state != "Z")
}

/// Any of its threads runs: only with the last of them do its sockets close.
fn lives(pid: u32) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"));
    runs(pid) || tasks.is_ok_and(|tasks| tasks.count() > 1)
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- proxy at {}", self.addr);
        }
    }
}
