//! Whether we take part, and from when on. Whatever speaks against it is one line in the log, and the server runs as stock.

use std::ffi::{CStr, OsStr, OsString};
use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, socket_with};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::{self, Config};
use crate::module::{self, Module};
use crate::real::real;

/// Where the log is by default.
const LOG: &str = "/var/log/icecast2/icecast-ext.log";
/// What the servers that we know say of themselves.
const KNOWN: &[u8] = b"Icecast 2.4.";
/// The server's own files are below.
const HIGH: i32 = 250;
/// No server's program is larger.
const MAX_PROGRAM: u64 = 64 << 20;

/// Before the server's `main`.
#[cfg(not(test))]
#[used]
#[unsafe(link_section = ".init_array")]
static BEGIN: extern "C" fn() = begin;

/// Ready, until the server listens.
static READY: OnceLock<Mutex<Option<Config>>> = OnceLock::new();

#[cfg_attr(test, expect(dead_code, reason = "runs where the module is loaded"))]
extern "C" fn begin() {
    let begun = std::panic::catch_unwind(|| {
        let config = match prepare() {
            Ok(config) => config,
            Err(why) => return aside(&why),
        };
        // SAFETY: the function takes nothing and only stores.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
        let tls = real().ssl.is_some();
        let vorbis = real().ogg.is_some();
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            tls,
            vorbis,
            "ready: one descriptor a listener, as without us"
        );
        if !tls {
            tracing::warn!(
                "libssl is not what is expected: TLS passes through untouched, and does not resume"
            );
        }
        if !vorbis {
            tracing::warn!(
                "libogg is not what is expected: Ogg Vorbis passes through untouched, and does not resume"
            );
        }
        let _ = READY.set(Mutex::new(Some(config)));
    });
    if begun.is_err() {
        aside("a fault of ours at the start");
    }
}

/// One line, and no more of us.
fn aside(why: &str) {
    tracing::warn!(
        why,
        "icecast-ext stands aside: the server runs as if it were not loaded"
    );
    if !tracing::dispatcher::has_been_set() {
        say(&format!("icecast-ext stands aside: {why}"));
    }
}

/// Before `main` standard error is still what the server was started with; it need not take anything.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

extern "C" fn in_child() {
    if module::get().is_some() {
        module::forked();
    }
}

fn prepare() -> Result<Config, String> {
    // A program that only starts the server passes everything on to it.
    is_known()?;
    leave_children_alone();
    if !is_first() {
        return Err("another module of its kind is loaded already".to_owned());
    }
    if real().libc.is_none() {
        return Err("libc lacks a function that is needed".to_owned());
    }
    let config = match std::env::var_os(config::VARIABLE) {
        None => Config::default(),
        Some(path) => {
            // SAFETY: the server has no other thread before its `main`. Its scripts are not to know.
            unsafe { std::env::remove_var(config::VARIABLE) };
            let path = Path::new(&path);
            let text = std::fs::read_to_string(path);
            let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
            let config = Config::parse(&text);
            config.map_err(|error| format!("{}: {error}", path.display()))?
        }
    };
    let limit = getrlimit(Resource::Nofile);
    let path = config.log.as_deref().unwrap_or(Path::new(LOG));
    match log_to(path, &config, limit.current) {
        Err(why) if config.log.is_some() => return Err(why),
        Err(why) => say(&format!("icecast-ext has no log: {why}")),
        Ok(()) => {}
    }
    raise_descriptors(&limit);
    Ok(config)
}

/// Scripts that the server starts run without us.
fn leave_children_alone() {
    let Ok(all) = std::env::var("LD_PRELOAD") else {
        return;
    };
    let ours = own_name();
    let name = |path: &str| Path::new(path).file_name().map(OsStr::to_owned);
    let others: Vec<&str> = all
        .split([':', ' '])
        .filter(|path| name(path).is_some_and(|name| Some(name) != ours))
        .collect();
    // SAFETY: the server has no other thread before its `main`.
    unsafe {
        if others.is_empty() {
            std::env::remove_var("LD_PRELOAD");
        } else {
            std::env::set_var("LD_PRELOAD", others.join(":"));
        }
    }
}

/// Our file's name.
fn own_name() -> Option<OsString> {
    // SAFETY: all of it may be zero, and dladdr fills it with what stays as long as we are loaded.
    let name = unsafe {
        let mut object: libc::Dl_info = std::mem::zeroed();
        let inside: *const OnceLock<Mutex<Option<Config>>> = &raw const READY;
        if libc::dladdr(inside.cast(), &raw mut object) == 0 || object.dli_fname.is_null() {
            return None;
        }
        CStr::from_ptr(object.dli_fname)
    };
    let path = Path::new(OsStr::from_bytes(name.to_bytes()));
    Some(path.file_name()?.to_owned())
}

/// Held until the server listens: by then every module has been loaded.
fn claim_of_ours() -> MutexGuard<'static, Option<OwnedFd>> {
    static CLAIM: Mutex<Option<OwnedFd>> = Mutex::new(None);
    CLAIM.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A name that one process can have once.
fn is_first() -> bool {
    let name = format!("icecast-ext-preload-{}", std::process::id());
    let claim = || -> rustix::io::Result<bool> {
        let address = SocketAddrUnix::new_abstract_name(name.as_bytes())?;
        let socket = socket_with(
            AddressFamily::UNIX,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC,
            None,
        )?;
        match bind(&socket, &address) {
            Err(rustix::io::Errno::ADDRINUSE) => Ok(false),
            other => other.map(|()| {
                *claim_of_ours() = Some(socket);
                true
            }),
        }
    };
    // Where there are no such names, there is no second module either, for all that is known.
    claim().unwrap_or(true)
}

fn is_known() -> Result<(), String> {
    let program = Path::new("/proc/self/exe");
    let name = std::fs::read_link(program).unwrap_or_default();
    let size = std::fs::metadata(program).map_or(u64::MAX, |meta| meta.len());
    let known = size < MAX_PROGRAM
        && std::fs::read(program).is_ok_and(|bytes| memchr::memmem::find(&bytes, KNOWN).is_some());
    if known {
        return Ok(());
    }
    let name = name.display();
    Err(format!(
        "{name} is not Icecast 2.4, the server that is known here"
    ))
}

/// Opened now: later the server may be in a jail, and somebody else. Kept where descriptors of the server's do not come, if it may
/// have so many.
fn log_to(path: &Path, config: &Config, most: Option<u64>) -> Result<(), String> {
    let wrong = |error: &dyn std::fmt::Display| {
        format!(
            "{}: {error}: name a file that can be written, as log = \"/var/log/icecast-ext.log\" in the file that {} names",
            path.display(),
            config::VARIABLE
        )
    };
    let file = File::options().create(true).append(true).open(path);
    let file = file.map_err(|error| wrong(&error))?;
    let high = most.map_or(HIGH, |most| {
        HIGH.min(i32::try_from(most / 2).unwrap_or(HIGH))
    });
    let high = rustix::io::fcntl_dupfd_cloexec(&file, high).map_err(|error| wrong(&error))?;
    let level = config.log_level.as_deref().unwrap_or("info");
    let filter = tracing_subscriber::EnvFilter::try_new(level);
    let filter =
        filter.map_err(|error| format!("log-level {level:?}: {error}: write \"info\", say"))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(Mutex::new(File::from(high)))
        .init();
    Ok(())
}

fn raise_descriptors(limit: &Rlimit) {
    if limit.current < limit.maximum {
        let raised = Rlimit {
            current: limit.maximum,
            ..*limit
        };
        match setrlimit(Resource::Nofile, raised) {
            Ok(()) => tracing::info!(from = limit.current, to = limit.maximum, "open files"),
            Err(error) => {
                tracing::warn!(%error, limit = limit.current, "the limit of open files stays")
            }
        }
    }
}

/// The server listens: the first time, the loops start. True if we are at work.
pub(crate) fn at_listen() -> bool {
    drop(claim_of_ours().take());
    let Some(ready) = READY.get() else {
        return false;
    };
    let config = ready.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(config) = config {
        match without_signals(|| crate::hooks::inside(|| Module::start(config))) {
            Ok(_) => {
                // SAFETY: the function takes nothing.
                unsafe { libc::atexit(at_exit) };
                tracing::info!("at work");
            }
            Err(error) => aside(&error.to_string()),
        }
    }
    module::get().is_some()
}

extern "C" fn at_exit() {
    let _ = std::panic::catch_unwind(|| {
        if let Some(module) = module::get() {
            module.stop();
        }
    });
}

/// Threads that are started within take no signals: they are the server's. glibc's own stay, which setuid needs.
fn without_signals<R>(body: impl FnOnce() -> R) -> R {
    // SAFETY: both sets are plain memory that the calls fill, and the mask is the calling thread's.
    unsafe {
        let mut all = std::mem::zeroed();
        let mut before = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, &raw mut before);
        let result = body();
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut());
        result
    }
}

/// As long as the kernel allows.
pub(crate) fn backlog() -> i32 {
    let text = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap_or_default();
    text.trim().parse().unwrap_or(128)
}
