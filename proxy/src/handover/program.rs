//! How this process was started, so that it can be started again.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use anyhow::Context as _;

/// The hidden flag of the process that comes.
const TAKE_OVER: &str = "--take-over";

/// The program's path, and its arguments.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
}

impl Program {
    /// Of this process, to be asked at its start. The path by which it was called: the file there may be a new one by then.
    pub(crate) fn this() -> anyhow::Result<Self> {
        let mut arguments = std::env::args_os();
        let name = arguments.next().unwrap_or_default();
        let path = resolve(Path::new(&name)).map_or_else(std::env::current_exe, Ok);
        Ok(Self {
            path: path.context("this program's path is not known")?,
            arguments: arguments.filter(|argument| argument != TAKE_OVER).collect(),
        })
    }

    /// Starts it again; its standard input is `stdin`.
    pub(super) fn start(&self, stdin: OwnedFd) -> anyhow::Result<Child> {
        Command::new(&self.path)
            .args(&self.arguments)
            .arg(TAKE_OVER)
            // It names this process, and the watchdog is the main one's.
            .env_remove("WATCHDOG_PID")
            .stdin(Stdio::from(stdin))
            .spawn()
            .with_context(|| format!("cannot start {}", self.path.display()))
    }
}

/// As a shell would find it.
fn resolve(name: &Path) -> Option<PathBuf> {
    if name.components().count() > 1 {
        return std::path::absolute(name).ok();
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
        .and_then(|file| std::path::absolute(file).ok())
}

/// What a process that must leave nothing behind is tied to: it stops when this ends.
#[derive(Debug, Clone)]
pub(crate) struct Leash(pub(super) Arc<OwnedFd>);

impl Leash {
    /// Standard input.
    pub(crate) fn stdin() -> std::io::Result<Self> {
        let copy = std::io::stdin().as_fd().try_clone_to_owned()?;
        Ok(Self(Arc::new(copy)))
    }

    /// Returns when it has ended.
    pub(crate) async fn ended(&self) {
        let Ok(copy) = self.0.try_clone() else {
            return;
        };
        // It may block for ever: a thread of its own, that nobody waits for.
        let (send, receive) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let mut scrap = [0; 256];
            let mut file = File::from(copy);
            while matches!(file.read(&mut scrap), Ok(1..)) {}
            // Whoever waited may have gone.
            let _ = send.send(());
        });
        let _ = receive.await;
    }
}
