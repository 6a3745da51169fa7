//! Processes that end with the test, however that ends.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock, mpsc};

/// A process of ours. Killed when dropped, and by the kernel when this process dies.
#[derive(Debug)]
pub struct Child {
    inner: std::process::Child,
    name: String,
    log: PathBuf,
}

/// Whom a process runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum As {
    /// Whoever runs the test.
    Me,
    /// `nobody`, if the test runs as root: Icecast refuses to run as root.
    Nobody,
}

impl Child {
    /// Starts `args`; both outputs are appended to `log`.
    ///
    /// # Errors
    /// If the program or `setpriv` cannot be started.
    pub fn start(who: As, args: &[String], log: &Path) -> io::Result<Self> {
        Self::spawn(who, args, log, Stdio::null())
    }

    /// As [`Child::start`], with a standard input that ends when this is dropped, and when this process dies: for a process
    /// whose successors must end then, too.
    ///
    /// # Errors
    /// If the program or `setpriv` cannot be started.
    pub fn tied(who: As, args: &[String], log: &Path) -> io::Result<Self> {
        Self::spawn(who, args, log, Stdio::piped())
    }

    fn spawn(who: As, args: &[String], log: &Path, stdin: Stdio) -> io::Result<Self> {
        let out = File::options().create(true).append(true).open(log)?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        if who == As::Nobody && std::fs::metadata("/proc/self")?.uid() == 0 {
            command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]);
        }
        command.arg("--").args(args);
        command.stdin(stdin);
        command.stdout(out.try_clone()?).stderr(out);
        Ok(Self {
            inner: spawn(command)?,
            name: args.first().cloned().unwrap_or_default(),
            log: log.to_path_buf(),
        })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.inner.id()
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.inner.try_wait(), Ok(None))
    }

    /// Its exit code, once it has ended by itself.
    pub fn code(&mut self) -> Option<i32> {
        self.inner.try_wait().ok().flatten()?.code()
    }

    /// Waits until it ends by itself; its exit code.
    pub fn wait(&mut self) -> Option<i32> {
        self.inner.wait().ok()?.code()
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) {
        // Both fail only if it is gone already.
        let _ = self.inner.kill();
        let _ = self.inner.wait();
    }

    /// A signal by name, such as `STOP`, `CONT` or `TERM`.
    ///
    /// # Errors
    /// If `kill` cannot be started or refuses.
    pub fn signal(&mut self, name: &str) -> io::Result<()> {
        signal(self.id(), name)
    }

    /// What it has written.
    #[must_use]
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }
}

/// Sends a signal by name to a process.
///
/// # Errors
/// If `kill` cannot be started or refuses.
pub fn signal(process: u32, name: &str) -> io::Result<()> {
    let done = Command::new("kill")
        .args(["-s", name, &process.to_string()])
        .status()?;
    if done.success() {
        Ok(())
    } else {
        Err(io::Error::other(format!("kill -s {name} failed")))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let output = self.output();
            let lines: Vec<_> = output.lines().collect();
            let from = lines.len().saturating_sub(60);
            eprintln!(
                "--- {} ({}), its last lines:",
                self.name,
                self.log.display()
            );
            for line in &lines[from..] {
                eprintln!("    {line}");
            }
        }
    }
}

/// A death signal is tied to the thread that made the process, so one thread, which never ends, makes them all.
fn spawn(command: Command) -> io::Result<std::process::Child> {
    type Order = (Command, mpsc::Sender<io::Result<std::process::Child>>);
    static NURSERY: OnceLock<Mutex<mpsc::Sender<Order>>> = OnceLock::new();
    let nursery = NURSERY.get_or_init(|| {
        let (sender, orders) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, reply) in orders {
                // The asker waits for the reply, so it cannot be gone.
                let _ = reply.send(command.spawn());
            }
        });
        Mutex::new(sender)
    });
    let (reply, answer) = mpsc::channel();
    nursery
        .lock()
        .map_err(|_| io::Error::other("the nursery has panicked"))?
        .send((command, reply))
        .map_err(io::Error::other)?;
    answer.recv().map_err(io::Error::other)?
}

/// A directory that everybody may write to; it is kept, and named on stderr, if the test fails.
#[derive(Debug)]
pub struct Scratch(Option<tempfile::TempDir>);

impl Scratch {
    /// A new one.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn new(name: &str) -> io::Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::Builder::new()
            .prefix(&format!("icx-{name}-"))
            .tempdir()?;
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777))?;
        Ok(Self(Some(dir)))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0
            .as_ref()
            .map_or(Path::new("/nonexistent"), |dir| dir.path())
    }

    /// A file in it.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(dir) = self.0.take()
        {
            eprintln!("kept: {}", dir.keep().display());
        }
    }
}
