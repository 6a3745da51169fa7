//! Stock players: they know nothing of us. A room for each family says how it is started, what of its file is the
//! stream's, and what it says about titles.
//!
//! A [`Player`] is one at work. Browsers are players too; they are sent to a [`page`].

pub mod chromium;
pub mod curl;
pub mod ffmpeg;
pub mod firefox;
pub mod gstreamer;
pub mod liquidsoap;
pub mod mpd;
pub mod mplayer;
pub mod mpv;
pub mod page;
pub mod streamripper;
pub mod vlc;
pub mod wget;
pub mod wire;

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use tokio::task::JoinHandle;

use crate::child::{As, Child, Scratch};

/// A family of players, and how it is used.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// As the documents call it.
    pub name: &'static str,
    /// What is started.
    pub program: &'static str,
    /// Arguments that make it say its version.
    version: &'static [&'static str],
    /// Whom it runs as.
    who: As,
    /// Writes what it wants to find in its directory.
    prepare: fn(&Wish<'_>) -> io::Result<()>,
    /// Everything behind the program's name.
    args: fn(&Wish<'_>) -> Vec<String>,
    /// Bytes at the start of its file that are its own.
    own: fn(&[u8]) -> usize,
    /// What it writes before a title.
    title: Option<&'static str>,
}

/// What a player is to do.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// What to play.
    pub url: &'a str,
    /// Whether to ask for titles, where that is a question.
    pub icy: bool,
    /// Its own directory.
    pub dir: &'a Path,
}

impl Wish<'_> {
    /// Where to write what comes.
    #[must_use]
    pub fn file(&self) -> String {
        self.dir.join(HEARD).display().to_string()
    }
}

const HEARD: &str = "heard";

/// What most of them have in common.
const PLAIN: Family = Family {
    name: "",
    program: "",
    version: &["--version"],
    who: As::Me,
    prepare: |_| Ok(()),
    args: |_| Vec::new(),
    own: |_| 0,
    title: None,
};

impl Family {
    /// Whether it is not there; says so loudly.
    #[must_use]
    pub fn missing(&self) -> bool {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let there = std::env::split_paths(&path).any(|dir| dir.join(self.program).is_file());
        if !there {
            eprintln!(
                "\n*** SKIPPED: there is no {} ({}) ***\n",
                self.name, self.program
            );
        }
        !there
    }

    /// Whether it shows a [`page`], and writes no file.
    #[must_use]
    pub fn browses(&self) -> bool {
        [chromium::CHROMIUM.program, firefox::FIREFOX.program].contains(&self.program)
    }

    /// Its version, in its own words.
    #[must_use]
    pub fn version(&self) -> String {
        // Some refuse to say anything to root.
        let nobody = ["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"];
        let mut command = Command::new("setpriv");
        if self.who == As::Nobody && rustix::process::geteuid().is_root() {
            command.args(nobody);
        }
        command.arg(self.program).args(self.version);
        let text = command.output().map_or_else(
            |_| String::new(),
            |out| String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned(),
        );
        let mut words = text.split_whitespace();
        let number = words.find(|word| {
            word.starts_with(|first: char| first.is_ascii_digit()) && word.contains('.')
        });
        number
            .unwrap_or("?")
            .trim_end_matches(['-', ','])
            .to_owned()
    }
}

#[derive(Debug)]
enum Run {
    Program(Child),
    /// Somebody starts a program again and again.
    Hands(JoinHandle<()>),
}

/// A player at work. It ends when dropped.
#[derive(Debug)]
pub struct Player {
    family: Family,
    run: Run,
    scratch: Scratch,
}

impl Player {
    /// Starts one.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(family: Family, url: &str, icy: bool) -> Result<Self> {
        let scratch = Scratch::new(family.program)?;
        let wish = Wish {
            url,
            icy,
            dir: scratch.path(),
        };
        (family.prepare)(&wish)?;
        let run = if family.program == curl::CURL.program {
            Run::Hands(curl::hands(&wish))
        } else {
            // Some write to their home, and must not find another's.
            let home = format!("HOME={}", scratch.path().display());
            let mut args = vec!["env".to_owned(), home, family.program.to_owned()];
            args.extend((family.args)(&wish));
            let child = Child::start(family.who, &args, &scratch.file("log"));
            Run::Program(child.with_context(|| format!("{args:?}"))?)
        };
        Ok(Self {
            family,
            run,
            scratch,
        })
    }

    /// Whether it still plays.
    pub fn runs(&mut self) -> bool {
        match &mut self.run {
            Run::Program(child) => child.runs(),
            Run::Hands(task) => !task.is_finished(),
        }
    }

    /// Bytes in its file.
    #[must_use]
    pub fn len(&self) -> u64 {
        std::fs::metadata(self.file()).map_or(0, |meta| meta.len())
    }

    /// Whether it has written nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What it has written of the stream.
    #[must_use]
    pub fn heard(&self) -> Vec<u8> {
        let mut bytes = std::fs::read(self.file()).unwrap_or_default();
        let own = (self.family.own)(&bytes);
        bytes.drain(..own);
        bytes
    }

    /// Titles that it has shown, each once until another comes.
    #[must_use]
    pub fn titles(&self) -> Vec<String> {
        let Some(before) = self.family.title else {
            return Vec::new();
        };
        let output = self.output();
        let shown = output.split(before).skip(1);
        let mut titles: Vec<String> = shown
            .filter_map(|text| text.lines().next())
            .map(|title| title.trim().to_owned())
            .collect();
        titles.dedup();
        titles
    }

    /// What it has said.
    #[must_use]
    pub fn output(&self) -> String {
        match &self.run {
            Run::Program(child) => child.output(),
            Run::Hands(_) => {
                std::fs::read_to_string(self.scratch.file(curl::SAID)).unwrap_or_default()
            }
        }
    }

    /// Where its files are.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.scratch.path()
    }

    /// Ends it.
    pub fn stop(&mut self) {
        match &mut self.run {
            Run::Program(child) => child.kill(),
            Run::Hands(task) => task.abort(),
        }
    }

    fn file(&self) -> PathBuf {
        self.scratch.file(HEARD)
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.stop();
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
