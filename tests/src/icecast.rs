//! A stock Icecast 2.4.4 of its own.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::child::{As, Child, Scratch};
use crate::http::{self, Answer};
use crate::port;

/// The source password; also the relay's and the administrator's.
pub const PASSWORD: &str = "hackme";

/// How an Icecast is set up.
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
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            clients: 5000,
            burst: 65_536,
            queue: 524_288,
            source_timeout: 10,
            more: String::new(),
        }
    }
}

/// A running Icecast. Killed when dropped; its log is printed if the test failed.
#[derive(Debug)]
pub struct Icecast {
    addr: SocketAddr,
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
        // Somebody may take the port between our look and its bind: then it ends at once, and another port is tried.
        for _ in 0..5 {
            let scratch = Scratch::new("icecast")?;
            let addr = port::free();
            std::fs::write(scratch.file("icecast.xml"), config(&setup, addr, &scratch))?;
            let mut icecast = Self {
                addr,
                child: None,
                scratch,
            };
            if icecast.restart().await.is_ok() {
                return Ok(icecast);
            }
        }
        bail!("icecast2 does not start")
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its process id, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
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
        if let Some(mut child) = self.child.take() {
            child.kill();
        }
    }

    /// A signal by name, such as `STOP` or `CONT`.
    ///
    /// # Errors
    /// If it does not run.
    pub fn signal(&mut self, name: &str) -> Result<()> {
        let child = self.child.as_mut().context("icecast does not run")?;
        Ok(child.signal(name)?)
    }

    /// Starts it again on the same port and waits until it answers.
    ///
    /// # Errors
    /// If it does not within 10 s.
    pub async fn restart(&mut self) -> Result<()> {
        self.kill();
        let config = self.scratch.file("icecast.xml").display().to_string();
        let args = ["/usr/bin/icecast2".to_owned(), "-c".to_owned(), config];
        let mut child = Child::start(As::Nobody, &args, &self.scratch.file("output.log"))?;
        let start = Instant::now();
        loop {
            if http::get(self.addr, "/status-json.xsl", &[]).await.is_ok() && child.runs() {
                self.child = Some(child);
                return Ok(());
            }
            if !child.runs() || start.elapsed() > Duration::from_secs(10) {
                bail!("icecast2 does not answer: {}", child.output());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
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

fn config(setup: &Setup, addr: SocketAddr, scratch: &Scratch) -> String {
    let Setup {
        clients,
        burst,
        queue,
        source_timeout,
        more,
    } = setup;
    let dir = scratch.path().display();
    let port = addr.port();
    format!(
        "<icecast>
  <location>here</location><admin>nobody@localhost</admin><hostname>localhost</hostname>
  <limits>
    <clients>{clients}</clients><sources>50</sources><queue-size>{queue}</queue-size>
    <client-timeout>30</client-timeout><header-timeout>15</header-timeout>
    <source-timeout>{source_timeout}</source-timeout>
    <burst-on-connect>1</burst-on-connect><burst-size>{burst}</burst-size>
  </limits>
  <authentication>
    <source-password>{PASSWORD}</source-password><relay-password>{PASSWORD}</relay-password>
    <admin-user>admin</admin-user><admin-password>{PASSWORD}</admin-password>
  </authentication>
  <listen-socket><port>{port}</port><bind-address>127.0.0.1</bind-address></listen-socket>
  <fileserve>1</fileserve>
  <paths>
    <basedir>/usr/share/icecast2</basedir><logdir>{dir}</logdir>
    <webroot>/usr/share/icecast2/web</webroot><adminroot>/usr/share/icecast2/admin</adminroot>
    <alias source=\"/\" destination=\"/status.xsl\"/>
  </paths>
  <logging><accesslog>access.log</accesslog><errorlog>error.log</errorlog><loglevel>3</loglevel></logging>
  <security><chroot>0</chroot></security>
  {}
</icecast>
",
        more.replace("{dir}", &dir.to_string())
    )
}

impl Drop for Icecast {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read(self.scratch.file("error.log")).unwrap_or_default();
            let log = String::from_utf8_lossy(&log);
            let lines: Vec<_> = log.lines().collect();
            eprintln!("--- icecast at {}, its last lines:", self.addr);
            for line in &lines[lines.len().saturating_sub(40)..] {
                eprintln!("    {line}");
            }
        }
    }
}
