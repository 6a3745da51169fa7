//! The bar, and Ctrl-C.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use indicatif::{ProgressBar, ProgressStyle};

/// How far the benchmark is.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    stop: Arc<AtomicBool>,
}

impl Progress {
    /// `seconds`: how long it will take, more or less. `stop`: somebody has had enough.
    pub(crate) fn new(seconds: u64, stop: Arc<AtomicBool>) -> Result<Self> {
        let bar = ProgressBar::new(seconds * 10);
        let style = "{bar:30} {percent:>3} %  {elapsed_precise} of about {eta_precise} more  {msg}";
        bar.set_style(ProgressStyle::with_template(style)?);
        Ok(Self { bar, stop })
    }

    /// What is done now.
    pub(crate) fn say(&self, what: String) {
        if self.bar.is_hidden() {
            eprintln!("{what}");
        }
        self.bar.set_message(what);
    }

    /// Above the bar.
    pub(crate) fn line(&self, what: &str) {
        match self.bar.is_hidden() {
            true => eprintln!("{what}"),
            false => self.bar.println(what),
        }
    }

    /// So many seconds of the estimate are over.
    pub(crate) fn reach(&self, seconds: u64) {
        self.bar.set_position(seconds * 10);
    }

    /// Lets time pass.
    pub(crate) fn pause(&self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        loop {
            ensure!(!self.stop.load(Ordering::Relaxed), "stopped");
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(Duration::from_millis(100)));
            self.bar.tick();
        }
    }

    /// It is over.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
