//! A stock Icecast 2.4.4 of its own.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::child::{self, As, Child, Scratch};
use crate::http::{self, Answer};
use crate::{module, port};

mod config;

pub use config::{Setup, Socket};

/// The source password; also the relay's and the administrator's.
pub const PASSWORD: &str = "hackme";

/// Starts a server that goes to the background, and a watchman beside it: whatever becomes of the test, the server ends
/// with it. `$0` is the file with the server's process id.
const BACKGROUND: &str = r#"
exec 3<&0
(cat <&3 >/dev/null; read -r daemon <"$0" && kill -s KILL "$daemon") 2>/dev/null &
exec "$@" </dev/null 3<&-
"#;

/// A running Icecast. Killed when dropped; its log is printed if the test failed.
#[derive(Debug)]
pub struct Icecast {
    addr: SocketAddr,
    sockets: Vec<SocketAddr>,
    setup: Setup,
    /// What was started; in the background somebody else goes on.
    child: Option<Child>,
    scratch: Scratch,
}

impl Icecast {
    /// One with the usual set-up.
    ///
    /// # Errors
    /// If it does not answer within 10 s.
    pub async fn start() -> Result<Self> {
        Self::with(Setup::default()).await
    }

    /// One with a set-up of its own.
    ///
    /// # Errors
    /// If it does not answer within 10 s.
    pub async fn with(setup: Setup) -> Result<Self> {
        if setup.module.is_some() {
            module::shared_object()?;
        }
        // Somebody may take the port between our look and its bind: then it ends at once, and another port is tried.
        let mut failed = None;
        for _ in 0..5 {
            let scratch = Scratch::new("icecast")?;
            let addr = port::free();
            let sockets: Vec<_> = setup.sockets.iter().map(Socket::free).collect();
            setup.write(scratch.path(), addr, &sockets)?;
            setup.write_files(scratch.path())?;
            let mut icecast = Self {
                addr,
                sockets,
                setup: setup.clone(),
                child: None,
                scratch,
            };
            match icecast.restart().await {
                Ok(()) => return Ok(icecast),
                Err(error) => failed = Some(error),
            }
        }
        Err(failed
            .context("never tried")?
            .context("icecast2 does not start"))
    }

    /// Where its sockets beside the usual one listen.
    #[must_use]
    pub fn sockets(&self) -> &[SocketAddr] {
        &self.sockets
    }

    /// How it was set up.
    #[must_use]
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its process id, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        let child = self.child.as_ref()?;
        match self.setup.background {
            true => self.daemon(),
            false => Some(child.id()),
        }
    }

    /// Who went to the background, if he still runs.
    fn daemon(&self) -> Option<u32> {
        let id = std::fs::read_to_string(self.scratch.file("icecast.pid")).ok()?;
        let id = id.trim().parse().ok()?;
        let name = std::fs::read_to_string(format!("/proc/{id}/comm")).ok()?;
        (name.trim() == "icecast2").then_some(id)
    }

    /// Whether it runs.
    pub fn runs(&mut self) -> bool {
        match &mut self.child {
            Some(child) if !self.setup.background => child.runs(),
            Some(_) => self.daemon().is_some(),
            None => false,
        }
    }

    /// The exit code of what was started, once it has ended by itself.
    pub fn code(&mut self) -> Option<i32> {
        self.child.as_mut()?.code()
    }

    /// What it has written to its standard output and error.
    #[must_use]
    pub fn output(&self) -> String {
        self.read("output.log")
    }

    /// What is in a file of its own directory, such as `access.log`; nothing if there is none.
    #[must_use]
    pub fn read(&self, name: &str) -> String {
        let bytes = std::fs::read(self.scratch.file(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// `http://127.0.0.1:PORT` and a path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// A file in its own directory, for password files and the like.
    #[must_use]
    pub fn file(&self, name: &str) -> std::path::PathBuf {
        self.scratch.file(name)
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if self.setup.background {
            // It may have ended by itself, meanwhile.
            let _ = self.signal("KILL");
            let _ = std::fs::remove_file(self.scratch.file("icecast.pid"));
        }
        if let Some(mut child) = self.child.take() {
            child.kill();
        }
    }

    /// A signal by name, such as `STOP` or `CONT`.
    ///
    /// # Errors
    /// If it does not run.
    pub fn signal(&mut self, name: &str) -> Result<()> {
        let id = self.id().context("icecast does not run")?;
        child::signal(id, name).with_context(|| format!("icecast, {id}"))
    }

    /// Lets it read another configuration.
    ///
    /// # Errors
    /// If that cannot be written, or it does not run.
    pub fn reload(&mut self, setup: Setup) -> Result<()> {
        setup.write(self.scratch.path(), self.addr, &self.sockets)?;
        self.setup = setup;
        self.signal("HUP")
    }

    /// Starts it again on the same port and waits until it answers.
    ///
    /// # Errors
    /// If it does not within 10 s, or one of its sockets is another's.
    pub async fn restart(&mut self) -> Result<()> {
        self.kill();
        let starts = self.starts();
        self.child = Some(self.launch()?);
        let start = Instant::now();
        while !self.runs()
            || self.starts() == starts
            || !self.sleeps()
            || http::get(self.addr, "/status-json.xsl", &[]).await.is_err()
        {
            if self.has_ended() || start.elapsed() > Duration::from_secs(10) {
                let output = self.output();
                self.kill();
                bail!("icecast2 does not answer: {output}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let id = self.id().context("it runs")?;
        if self.setup.module.is_some() {
            module::is_loaded(id)?;
        }
        // It goes on with those that it has got.
        ensure!(
            !self.output().contains("Could not create listener socket"),
            "a port is taken"
        );
        Ok(())
    }

    /// How often it has started, by its log.
    fn starts(&self) -> usize {
        self.read("error.log").matches("server started").count()
    }

    /// Whether none of its threads has something to do. A connection that comes before its thread for statistics has run
    /// for the first time is the end of it: that thread then counts up what is not there yet.
    fn sleeps(&self) -> bool {
        let Some(id) = self.id() else {
            return false;
        };
        let Ok(tasks) = std::fs::read_dir(format!("/proc/{id}/task")) else {
            return false;
        };
        // PID (NAME) STATE …
        let runs = |stat: String| {
            stat.rsplit_once(") ")
                .is_some_and(|(_, rest)| rest.starts_with('R'))
        };
        let stats = tasks
            .flatten()
            .map(|task| std::fs::read_to_string(task.path().join("stat")));
        !stats.flatten().any(runs)
    }

    fn launch(&self) -> Result<Child> {
        let mut args = vec!["/usr/bin/env".to_owned()];
        let mut preload = Vec::new();
        if let Some(module) = &self.setup.module {
            args.push(module.environment(self.scratch.path())?);
            preload.push(module::shared_object()?);
        }
        preload.extend_from_slice(&self.setup.preload);
        args.extend(module::preload(&preload));
        args.extend_from_slice(&self.setup.environment);
        args.extend_from_slice(&self.setup.through);
        let config = self.scratch.file("icecast.xml").display().to_string();
        args.extend(["/usr/bin/icecast2".to_owned(), "-c".to_owned(), config]);
        // It refuses to run as root, but not to start.
        let becomes = self.setup.jail || self.setup.owner.is_some();
        let who = if becomes { As::Me } else { As::Nobody };
        let output = self.scratch.file("output.log");
        if !self.setup.background {
            return Ok(Child::start(who, &args, &output)?);
        }
        let pidfile = self.scratch.file("icecast.pid").display().to_string();
        let shell = ["/bin/sh".to_owned(), "-c".to_owned(), BACKGROUND.to_owned()];
        let args = [&shell[..], &[pidfile], &args, &["-b".to_owned()]].concat();
        Ok(Child::tied(who, &args, &output)?)
    }

    fn has_ended(&mut self) -> bool {
        // Who goes to the background is gone early, and has left somebody else.
        match self.setup.background {
            true => self.code().is_some_and(|code| code != 0),
            false => !self.runs(),
        }
    }

    /// GET with the administrator's password.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn admin(&self, target: &str) -> Result<Answer> {
        let auth = http::basic("admin", PASSWORD);
        http::get(self.addr, target, &[("Authorization", &auth)]).await
    }

    /// Whether `/status-json.xsl` lists a mount. That is a little later than it can be heard.
    pub async fn has(&self, mount: &str) -> bool {
        let listed = format!(":{}{mount}\"", self.addr.port());
        match http::get(self.addr, "/status-json.xsl", &[]).await {
            Ok(answer) => answer.text().contains(&listed),
            Err(_) => false,
        }
    }

    /// Waits until a mount has a source.
    ///
    /// # Panics
    /// If it has none within 15 s.
    pub async fn wait_mount(&self, mount: &str) {
        let what = format!("{mount} at icecast");
        crate::wait::wait_until(&what, Duration::from_secs(15), || async {
            self.has(mount).await.then_some(())
        })
        .await;
    }
}

impl Drop for Icecast {
    fn drop(&mut self) {
        let runs = self.runs();
        self.kill();
        if std::thread::panicking() {
            let log = self.read("error.log");
            let lines: Vec<_> = log.lines().collect();
            let state = if runs { "running" } else { "not running" };
            eprintln!("--- icecast at {}, {state}, its last lines:", self.addr);
            for line in &lines[lines.len().saturating_sub(40)..] {
                eprintln!("    {line}");
            }
        }
    }
}
