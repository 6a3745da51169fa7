//! System calls of a process that fail when a test says so: a shared object of C that is preloaded into it.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::child::Scratch;

const SOURCE: &str = include_str!("faults.c");
/// Bytes of a rule there.
const RULE: usize = 32;
/// Where a rule says how many calls it was for, and how many of them failed.
const MET: usize = 24;
const DONE: usize = 28;

/// What can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// `accept`
    Accept,
    /// `recv`
    Recv,
    /// `send`
    Send,
    /// `writev`
    Writev,
    /// `fcntl`
    Fcntl,
    /// `setsockopt`
    Setsockopt,
    /// `pthread_create`
    Thread,
    /// `epoll_create1`
    Epoll,
    /// `epoll_ctl`
    EpollCtl,
    /// `eventfd`
    Eventfd,
}

const CALLS: usize = 10;

/// `errno`, as Linux has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Errno {
    /// None: the call is let through, with seven bytes at most.
    Short = 0,
    /// Nothing now.
    Again = 11,
    /// No memory.
    NoMemory = 12,
    /// Too many open files in this process.
    Files = 24,
    /// No room: too many watches, for one.
    NoSpace = 28,
    /// The peer has closed.
    Pipe = 32,
    /// The peer has gone before it was accepted.
    Aborted = 103,
    /// The peer has reset.
    Reset = 104,
}

/// When a call fails, and how.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// How.
    pub error: Errno,
    /// Of so many calls one fails, the first one first.
    pub every: u32,
    /// So many calls do not, before.
    pub skip: u32,
    /// So many at most.
    pub most: u32,
    /// Only on connections with this peer.
    pub port: Option<u16>,
    /// Only if the module makes the call.
    pub module: bool,
}

impl Rule {
    /// Every call fails.
    #[must_use]
    pub const fn always(error: Errno) -> Self {
        Self {
            error,
            every: 1,
            skip: 0,
            most: u32::MAX,
            port: None,
            module: false,
        }
    }

    /// Of so many calls one fails.
    #[must_use]
    pub const fn every(every: u32, error: Errno) -> Self {
        Self {
            every,
            ..Self::always(error)
        }
    }
}

/// The shared object, and what it has been told.
#[derive(Debug)]
pub struct Faults {
    scratch: Scratch,
    rules: File,
}

impl Faults {
    /// Compiles it. No call fails yet.
    ///
    /// # Errors
    /// If there is no compiler, or no room.
    pub fn new() -> Result<Self> {
        let scratch = Scratch::new("faults")?;
        compile(SOURCE, &scratch.file("faults.so"), &["-fPIC", "-shared"])?;
        let path = scratch.file("rules");
        let rules = File::options()
            .create_new(true)
            .read(true)
            .write(true)
            .open(&path)?;
        rules.set_len((CALLS * RULE) as u64)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666))?;
        Ok(Self { scratch, rules })
    }

    /// What is to be preloaded, after everything that is to be tried.
    #[must_use]
    pub fn object(&self) -> PathBuf {
        self.scratch.file("faults.so")
    }

    /// `NAME=value` that the process needs in its environment.
    #[must_use]
    pub fn environment(&self) -> String {
        format!("FAULTS={}", self.scratch.file("rules").display())
    }

    /// From now on a call fails by this rule alone, and is counted anew.
    ///
    /// # Errors
    /// If the rule cannot be written.
    pub fn set(&self, call: Call, rule: Rule) -> io::Result<()> {
        // Nothing fails by half of a rule.
        self.end(call)?;
        let words = [
            rule.error as u32,
            rule.skip,
            rule.most,
            rule.port.map_or(0, u32::from),
            u32::from(rule.module),
            0,
            0,
        ];
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let at = (call as usize * RULE) as u64;
        self.rules.write_all_at(&bytes, at + 4)?;
        self.rules.write_all_at(&rule.every.to_ne_bytes(), at)
    }

    /// The call fails no more.
    ///
    /// # Errors
    /// If that cannot be written.
    pub fn end(&self, call: Call) -> io::Result<()> {
        self.rules
            .write_all_at(&[0; 4], (call as usize * RULE) as u64)
    }

    fn word(&self, call: Call, at: usize) -> u32 {
        let mut word = [0; 4];
        let read = self
            .rules
            .read_exact_at(&mut word, (call as usize * RULE + at) as u64);
        read.map_or(0, |()| u32::from_ne_bytes(word))
    }

    /// How many calls there were, since its rule was set.
    #[must_use]
    pub fn met(&self, call: Call) -> u32 {
        self.word(call, MET)
    }

    /// How many of them failed.
    #[must_use]
    pub fn done(&self, call: Call) -> u32 {
        self.word(call, DONE)
    }
}

/// Compiles a program or an object of C.
///
/// # Errors
/// If there is no compiler, or it complains.
pub fn compile(source: &str, out: &Path, more: &[&str]) -> Result<()> {
    let file = out.with_extension("c");
    std::fs::write(&file, source)?;
    let mut command = Command::new("cc");
    command.args(["-std=gnu17", "-Wall", "-Wextra", "-Werror", "-O1", "-o"]);
    command.arg(out).arg(&file).args(more);
    let done = command.output().context("cc starts")?;
    ensure!(
        done.status.success(),
        "cc: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    Ok(())
}
