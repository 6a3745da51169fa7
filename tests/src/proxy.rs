//! The `icecast-ext` binary.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tokio::net::TcpStream;

use crate::child::{As, Child, Scratch};
use crate::port;

/// Where the binary is. Unless `ICECAST_EXT_BIN` names it, cargo is asked to bring it up to date first.
///
/// # Panics
/// If it cannot be built.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(path) = std::env::var_os("ICECAST_EXT_BIN") {
            return path.into();
        }
        // target/PROFILE/deps/this-test
        let me = std::env::current_exe().expect("this test has a path");
        let profile = me
            .parent()
            .and_then(Path::parent)
            .expect("target/PROFILE/deps");
        let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        build.args(["build", "--quiet", "--workspace", "--bins"]);
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
}

/// A running proxy. Killed when dropped; its log is printed if the test failed.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    setup: Setup,
    child: Option<Child>,
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
                setup: setup.clone(),
                child: None,
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

    /// Its state directory.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.scratch.file("state")
    }

    /// Its process id, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Everything it has logged, over all its lives.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.scratch.file("log")).unwrap_or_default())
            .into_owned()
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.child.as_mut().is_some_and(Child::runs)
    }

    /// Its exit code, once it has ended by itself.
    pub fn code(&mut self) -> Option<i32> {
        self.child.as_mut()?.code()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill();
        }
    }

    /// A signal by name.
    ///
    /// # Errors
    /// If it does not run.
    pub fn signal(&mut self, name: &str) -> Result<()> {
        let child = self.child.as_mut().context("the proxy does not run")?;
        Ok(child.signal(name)?)
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
        let mut child = Child::start(As::Me, &args, &self.scratch.file("log"))?;
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

impl Drop for Proxy {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- proxy at {}", self.addr);
        }
    }
}
