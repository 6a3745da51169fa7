//! The access log, as Icecast 2.4.4 writes it: one line a request, when it is over.
//!
//! `address - user [date] "GET /live.mp3 HTTP/1.1" status bytes "referer" "agent" seconds`: the combined format with the
//! seconds behind it, in local time. Bytes are those sent, head included. What is unknown is `-`.
//!
//! A thread writes. Whoever has a line never waits for it: what does not fit into the queue, or onto the disk, is counted and
//! said.

use std::fs::File;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Lines that wait for the disk, at most.
const QUEUE: usize = 16_384;
/// What is lost is said so often, at most.
const SAY: Duration = Duration::from_secs(10);
/// How often the writer looks whether there is something to be said although no line comes.
const IDLE: Duration = Duration::from_secs(1);

/// A request that is over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'a> {
    pub(crate) address: IpAddr,
    pub(crate) user: Option<&'a str>,
    /// When it was over.
    pub(crate) end: SystemTime,
    /// Method, target without query, version.
    pub(crate) request: &'a str,
    pub(crate) status: u16,
    /// Sent, with the head.
    pub(crate) bytes: u64,
    pub(crate) referer: &'a str,
    pub(crate) agent: &'a str,
    pub(crate) lasted: Duration,
}

/// As Icecast does it: a dot for whatever could end a field or a line.
fn put(out: &mut String, text: &str, spaces: bool) {
    if text.is_empty() {
        return out.push('-');
    }
    for c in text.chars() {
        match c {
            ' ' if !spaces => out.push('.'),
            '"' | '\\' | '`' => out.push('.'),
            ' '..='~' => out.push(c),
            // Was one octet.
            '\u{fffd}' => out.push('.'),
            other => out.extend(std::iter::repeat_n('.', other.len_utf8())),
        }
    }
}

impl Line<'_> {
    fn encode(&self, zone: &TimeZone) -> String {
        use std::fmt::Write as _;
        let mut out = String::with_capacity(160);
        let _ = write!(out, "{} - ", self.address);
        put(&mut out, self.user.unwrap_or_default(), false);
        let end = Timestamp::try_from(self.end).unwrap_or_default();
        let date = end.to_zoned(zone.clone());
        let _ = write!(out, " [{}] \"", date.strftime("%d/%b/%Y:%H:%M:%S %z"));
        put(&mut out, self.request, true);
        let _ = write!(out, "\" {} {} \"", self.status, self.bytes);
        put(&mut out, self.referer, true);
        out.push_str("\" \"");
        put(&mut out, self.agent, true);
        let _ = writeln!(out, "\" {}", self.lasted.as_secs());
        out
    }
}

enum Order {
    Line(String),
    /// Another file, or the same one anew; none.
    Open(Option<PathBuf>),
    /// Tell when all that came before is written.
    Flush(mpsc::Sender<()>),
}

/// The way to the writer.
#[derive(Debug)]
pub(crate) struct AccessLog {
    orders: SyncSender<Order>,
    zone: TimeZone,
    /// No file: nothing is written.
    on: std::sync::atomic::AtomicBool,
    lost: Arc<AtomicU64>,
    path: Mutex<Option<PathBuf>>,
}

impl AccessLog {
    /// Starts the writer. Fails if the file cannot be opened: better now than after a month without a log.
    pub(crate) fn start(path: Option<&Path>) -> std::io::Result<Self> {
        let file = path.map(open).transpose()?;
        let (orders, inbox) = mpsc::sync_channel(QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        let mut writer = Writer {
            file,
            path: path.map(Path::to_owned),
            torn: false,
            lost: lost.clone(),
            said: None,
        };
        std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || writer.run(&inbox))?;
        Ok(Self {
            orders,
            zone: TimeZone::system(),
            on: path.is_some().into(),
            lost,
            path: Mutex::new(path.map(Path::to_owned)),
        })
    }

    /// Never blocks.
    pub(crate) fn write(&self, line: &Line<'_>) {
        if !self.on.load(Ordering::Relaxed) {
            return;
        }
        if self
            .orders
            .try_send(Order::Line(line.encode(&self.zone)))
            .is_err()
        {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Opens the file anew, which may be another one now, or none: after a rotation or a change of the configuration. Waits
    /// for a place in the queue.
    pub(crate) fn reopen(&self, path: Option<&Path>) {
        *self.path.lock().unwrap_or_else(PoisonError::into_inner) = path.map(Path::to_owned);
        self.on.store(path.is_some(), Ordering::Relaxed);
        // The writer ends with us alone.
        let _ = self.orders.send(Order::Open(path.map(Path::to_owned)));
    }

    /// Waits until what was written so far is in the file, but no longer than `limit`.
    pub(crate) fn flush(&self, limit: Duration) {
        let (done, wait) = mpsc::channel();
        let end = Instant::now() + limit;
        let mut order = Order::Flush(done);
        while let Err(error) = self.orders.try_send(order) {
            let mpsc::TrySendError::Full(back) = error else {
                return;
            };
            if Instant::now() >= end {
                return;
            }
            order = back;
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = wait.recv_timeout(end.saturating_duration_since(Instant::now()));
    }

    /// Lines that were lost so far.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    File::options().create(true).append(true).open(path)
}

struct Writer {
    file: Option<File>,
    path: Option<PathBuf>,
    /// The last write left a part of a line.
    torn: bool,
    lost: Arc<AtomicU64>,
    /// When, and how many had been lost then.
    said: Option<(Instant, u64)>,
}

impl Writer {
    fn run(&mut self, inbox: &Receiver<Order>) {
        loop {
            let mut batch = String::new();
            let mut lines = 0;
            let mut next = match inbox.recv_timeout(IDLE) {
                Ok(order) => Some(order),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            // What has come is written at once, with whatever has come meanwhile.
            while let Some(order) = next {
                match order {
                    Order::Line(line) => {
                        batch.push_str(&line);
                        lines += 1;
                    }
                    Order::Open(path) => {
                        self.write(&std::mem::take(&mut batch), std::mem::take(&mut lines));
                        self.reopen(path);
                    }
                    Order::Flush(done) => {
                        self.write(&std::mem::take(&mut batch), std::mem::take(&mut lines));
                        // Who asked may have given up.
                        let _ = done.send(());
                    }
                }
                next = if batch.len() < 64 << 10 {
                    inbox.try_recv().ok()
                } else {
                    None
                };
            }
            self.write(&batch, lines);
            self.say();
        }
    }

    fn reopen(&mut self, path: Option<PathBuf>) {
        match path.as_deref().map(open).transpose() {
            Ok(file) => {
                (self.file, self.path, self.torn) = (file, path, false);
            }
            Err(error) => {
                let path = path.unwrap_or_default();
                tracing::error!(file = %path.display(), %error, "the access log cannot be opened: lines go on to the old file; mend it and send SIGHUP");
            }
        }
    }

    /// Writes whole lines; what the disk does not take is lost.
    fn write(&mut self, mut batch: &str, mut lines: u64) {
        let Some(file) = &mut self.file else { return };
        if batch.is_empty() {
            return;
        }
        if self.torn {
            match file.write_all(b"\n") {
                Ok(()) => self.torn = false,
                Err(_) => {
                    self.lost.fetch_add(lines, Ordering::Relaxed);
                    return;
                }
            }
        }
        while !batch.is_empty() {
            match file.write(batch.as_bytes()) {
                Ok(n) if n > 0 => {
                    let done = &batch.as_bytes()[..n];
                    let whole = done.iter().filter(|byte| **byte == b'\n').count() as u64;
                    lines -= whole.min(lines);
                    self.torn = done.last() != Some(&b'\n');
                    // Lines are ASCII, so this is a boundary.
                    batch = batch.get(n..).unwrap_or_default();
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => {
                    self.lost.fetch_add(lines, Ordering::Relaxed);
                    return;
                }
            }
        }
    }

    fn say(&mut self) {
        let lost = self.lost.load(Ordering::Relaxed);
        let (since, before) = self
            .said
            .map_or((None, 0), |(when, lost)| (Some(when), lost));
        if lost > before && since.is_none_or(|when| when.elapsed() >= SAY) {
            let file = self.path.clone().unwrap_or_default();
            tracing::error!(file = %file.display(), lines = lost - before, "lines of the access log were lost: is the disk full, or too slow? Listeners are not harmed");
            self.said = Some((Instant::now(), lost));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(agent: &str) -> Line<'_> {
        Line {
            address: [192, 0, 2, 1].into(),
            user: None,
            end: SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_404_157),
            request: "GET /live.mp3 HTTP/1.1",
            status: 200,
            bytes: 66_017,
            referer: "",
            agent,
            lasted: Duration::from_millis(3900),
        }
    }

    #[test]
    fn a_line_is_icecasts_to_the_byte() {
        assert_eq!(
            line("curl/7.88.1").encode(&TimeZone::UTC),
            "192.0.2.1 - - [23/Nov/2026:03:22:37 +0000] \"GET /live.mp3 HTTP/1.1\" 200 66017 \"-\" \"curl/7.88.1\" 3\n"
        );
        let whole = Line {
            user: Some("u \"[] x"),
            referer: "http://r/?q=\"x\" y",
            ..line("\u{e4}A\"g\\e'n`t<x>\u{1}\t\u{fffd}\n end")
        };
        assert_eq!(
            whole.encode(&TimeZone::UTC),
            "192.0.2.1 - u..[].x [23/Nov/2026:03:22:37 +0000] \"GET /live.mp3 HTTP/1.1\" 200 66017 \"http://r/?q=.x. y\" \"..A.g.e'n.t<x>.... end\" 3\n"
        );
    }

    #[test]
    fn a_file_that_was_moved_away_is_made_anew_and_all_is_there_after_a_flush() {
        let dir = tempfile::tempdir().unwrap();
        let (path, old) = (
            dir.path().join("access.log"),
            dir.path().join("access.log.1"),
        );
        let log = AccessLog::start(Some(&path)).unwrap();
        for _ in 0..1000 {
            log.write(&line("a"));
        }
        log.flush(Duration::from_secs(10));
        std::fs::rename(&path, &old).unwrap();
        log.write(&line("b"));
        log.reopen(Some(&path));
        log.write(&line("c"));
        log.flush(Duration::from_secs(10));
        let read = |path| std::fs::read_to_string(path).unwrap();
        assert_eq!(read(&old).lines().count(), 1001);
        assert!(read(&path).contains("\"c\"") && read(&path).lines().count() == 1);
        log.reopen(None);
        log.write(&line("d"));
        log.flush(Duration::from_secs(10));
        assert_eq!((read(&path).lines().count(), log.lost()), (1, 0));
    }

    #[test]
    fn a_full_disk_costs_lines_and_nothing_else() {
        let log = AccessLog::start(Some(Path::new("/dev/full"))).unwrap();
        for _ in 0..100 {
            log.write(&line("a"));
        }
        log.flush(Duration::from_secs(10));
        assert_eq!(log.lost(), 100);
        assert!(AccessLog::start(Some(Path::new("/nowhere/at/all"))).is_err());
    }

    #[test]
    fn a_disk_that_stands_still_stops_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap();
        assert!(made.success());
        // Open for both, so that opening does not wait; nobody reads.
        let reader = File::options().read(true).write(true).open(&pipe).unwrap();
        let log = AccessLog::start(Some(&pipe)).unwrap();
        let long = "x".repeat(200);
        for _ in 0..2 * QUEUE {
            log.write(&line(&long));
        }
        assert!(log.lost() > 0);
        log.flush(Duration::from_millis(10));
        drop(reader);
    }
}
