//! Loaded as others load it, and called as nobody should: a result each time, and nothing else.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]
#![expect(unsafe_code, reason = "calls a C library, wrongly at that")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use libloading::{Library, Symbol};

const NULL_POINTER: c_int = -1;
const WRONG_SIZE: c_int = -2;
const WRONG_HANDLE: c_int = -3;
const BUSY: c_int = -4;
const WRONG_ABI: c_int = -6;
const INVALID: c_int = -7;
const MALFORMED: c_int = -8;

/// More than any struct of the interface has, its size in front.
#[repr(C, align(16))]
struct Record([u8; 2048]);

impl Record {
    fn sized(size: usize) -> Self {
        let mut record = Self([0; 2048]);
        record.0[..size_of::<usize>()].copy_from_slice(&size.to_ne_bytes());
        record
    }

    fn put<T: Copy>(&mut self, at: usize, value: T) {
        // SAFETY: within the record, which is bytes.
        unsafe {
            self.0
                .as_mut_ptr()
                .add(at)
                .cast::<T>()
                .write_unaligned(value)
        };
    }

    fn at(&mut self) -> *mut c_void {
        self.0.as_mut_ptr().cast()
    }
}

/// Where the library is installed: as the environment says, or under `target`.
fn prefix() -> &'static Path {
    static PREFIX: OnceLock<PathBuf> = OnceLock::new();
    PREFIX.get_or_init(|| {
        if let Some(given) = std::env::var_os("ICECAST_EXT_EMBED") {
            return given.into();
        }
        let prefix = Path::new(env!("CARGO_TARGET_TMPDIR")).join("embed");
        let install = Path::new(env!("CARGO_MANIFEST_DIR")).join("install");
        assert!(
            Command::new(install)
                .arg(&prefix)
                .status()
                .unwrap()
                .success()
        );
        prefix
    })
}

/// The library, in a copy of its own: what one test does to it, no other sees.
struct Loaded(Library);

impl Loaded {
    fn new() -> Self {
        let copy = tempfile::NamedTempFile::new().unwrap();
        std::fs::copy(prefix().join("lib/libicecast_ext.so"), copy.path()).unwrap();
        // SAFETY: nothing runs when it is loaded.
        Self(unsafe { Library::new(copy.path()) }.unwrap())
    }

    fn has(&self, name: &str) -> bool {
        // SAFETY: it is not called.
        unsafe { self.0.get::<*const c_void>(name) }.is_ok()
    }

    fn call<F>(&self, name: &str) -> Symbol<'_, F> {
        // SAFETY: whoever calls it says what it takes, as the header does.
        unsafe { self.0.get(format!("icecast_ext_{name}").as_bytes()) }.unwrap()
    }

    /// A call that takes up to six words.
    fn words(&self, name: &str, words: [usize; 6]) -> c_int {
        type Words = unsafe extern "C" fn(usize, usize, usize, usize, usize, usize) -> c_int;
        let [a, b, c, d, e, f] = words;
        // SAFETY: by the calling conventions of our machines, a function that takes fewer words does not look at the others.
        unsafe { self.call::<Words>(name)(a, b, c, d, e, f) }
    }

    fn init(&self) -> c_int {
        self.words("init", [1, 0, 0, 0, 0, 0])
    }

    fn last_error(&self) -> String {
        let last = self.call::<unsafe extern "C" fn() -> *const c_char>("last_error");
        // SAFETY: it ends with a NUL.
        unsafe { CStr::from_ptr(last()) }
            .to_string_lossy()
            .into_owned()
    }

    fn text(&self, result: c_int) -> String {
        let text = self.call::<unsafe extern "C" fn(c_int) -> *const c_char>("result_text");
        // SAFETY: it ends with a NUL.
        unsafe { CStr::from_ptr(text(result)) }
            .to_string_lossy()
            .into_owned()
    }

    /// A client of one relay.
    fn client(&self, url: &str) -> Result<usize, c_int> {
        let url = CString::new(url).unwrap();
        let list = [url.as_ptr()];
        let mut options = Record::sized(OPTIONS);
        assert_eq!(
            self.words("client_options_init", [options.at().addr(), 0, 0, 0, 0, 0]),
            0
        );
        options.put(8, list.as_ptr());
        options.put(16, 1_usize);
        let mut client = 0_usize;
        match self.words(
            "client_new",
            [options.at().addr(), (&raw mut client).addr(), 0, 0, 0, 0],
        ) {
            0 => Ok(client),
            error => Err(error),
        }
    }

    /// A mount.
    fn mount(&self, path: &str) -> Result<usize, c_int> {
        let path = CString::new(path).unwrap();
        let mut options = Record::sized(MOUNT);
        assert_eq!(
            self.words("mount_options_init", [options.at().addr(), 0, 0, 0, 0, 0]),
            0
        );
        options.put(8, path.as_ptr());
        let mut mount = 0_usize;
        match self.words(
            "mount_new",
            [options.at().addr(), (&raw mut mount).addr(), 0, 0, 0, 0],
        ) {
            0 => Ok(mount),
            error => Err(error),
        }
    }

    /// The answer to a request.
    fn listener(&self, mount: usize, head: &str) -> usize {
        let mut listener = 0_usize;
        let words = [
            mount,
            head.as_ptr().addr(),
            head.len(),
            1000,
            (&raw mut listener).addr(),
            0,
        ];
        assert_eq!(self.words("answer", words), 0, "{}", self.last_error());
        listener
    }
}

/// `sizeof` on machines of 64 bits.
const OPTIONS: usize = 96;
const MOUNT: usize = 72;
const GET: &str = "GET / HTTP/1.0\r\n\r\n";

/// Every call that has a handle: its name, and which handle.
const CALLS: [(&str, &str); 20] = [
    ("client_poll", "client"),
    ("client_received", "client"),
    ("client_closed", "client"),
    ("client_failed", "client"),
    ("client_event", "client"),
    ("client_stats", "client"),
    ("client_free", "client"),
    ("mount_source", "mount"),
    ("mount_body", "mount"),
    ("mount_title", "mount"),
    ("mount_feed", "mount"),
    ("mount_fed", "mount"),
    ("mount_gone", "mount"),
    ("mount_publish", "mount"),
    ("mount_state", "mount"),
    ("mount_free", "mount"),
    ("listener_pieces", "listener"),
    ("listener_sent", "listener"),
    ("listener_state", "listener"),
    ("listener_free", "listener"),
];

#[test]
fn every_name_of_the_header_is_there() {
    let library = Loaded::new();
    let header = std::fs::read_to_string(prefix().join("include/icecast_ext.h")).unwrap();
    let names: Vec<&str> = header
        .lines()
        .filter_map(|line| line.split_once('(')?.0.rsplit([' ', '*']).next())
        .filter(|name| name.starts_with("icecast_ext_") && !name.ends_with('_'))
        .collect();
    assert!(names.len() > 30, "{names:?}");
    for name in names {
        assert!(library.has(name), "{name}");
    }
    assert!(!library.has("icecast_ext_nothing"));
}

#[test]
fn a_library_of_another_abi_is_refused_clearly() {
    let library = Loaded::new();
    assert_eq!(library.client("http://a/"), Err(WRONG_ABI));
    assert_eq!(library.mount("/a"), Err(WRONG_ABI));
    assert_eq!(
        library.last_error(),
        "call icecast_ext_init(ICECAST_EXT_ABI) first"
    );
    assert_eq!(library.words("init", [2, 0, 0, 0, 0, 0]), WRONG_ABI);
    assert_eq!(
        library.last_error(),
        "the header is of ABI 2, the library of ABI 1: build against the header that came with it"
    );
    assert_eq!(library.client("http://a/"), Err(WRONG_ABI));
    assert_eq!((library.init(), library.init()), (0, 0));
    let client = library.client("http://a/").unwrap();
    assert_eq!(library.words("client_free", [client, 0, 0, 0, 0, 0]), 0);
    assert_eq!(library.words("abi", [0; 6]), 1);
}

#[test]
fn null_is_a_result_everywhere() {
    let library = Loaded::new();
    assert_eq!(library.init(), 0);
    for (name, _) in CALLS {
        let result = library.words(name, [0; 6]);
        let harmless = name.ends_with("_free");
        assert_eq!(result, if harmless { 0 } else { NULL_POINTER }, "{name}");
    }
    for name in [
        "client_options_init",
        "client_memory",
        "client_new",
        "mount_options_init",
        "mount_new",
        "answer",
        "refuse",
    ] {
        assert_eq!(library.words(name, [0; 6]), NULL_POINTER, "{name}");
    }
    assert_eq!(
        library.words("request_read", [GET.as_ptr().addr(), GET.len(), 0, 0, 0, 0]),
        NULL_POINTER
    );
    // The handle is right, and nothing else is.
    let (client, mount) = (
        library.client("http://a/").unwrap(),
        library.mount("/a").unwrap(),
    );
    let listener = library.listener(0, GET);
    for (name, handle) in [
        ("client_poll", client),
        ("client_event", client),
        ("client_stats", client),
        ("mount_state", mount),
        ("listener_pieces", listener),
        ("listener_state", listener),
    ] {
        assert_eq!(
            library.words(name, [handle, 0, 0, 0, 0, 0]),
            NULL_POINTER,
            "{name}"
        );
    }
    for (name, handle) in [
        ("client_received", client),
        ("mount_body", mount),
        ("mount_fed", mount),
        ("mount_title", mount),
        ("mount_source", mount),
    ] {
        let at = if name == "client_received" {
            [handle, 0, 0, 9, 0, 0]
        } else {
            [handle, 0, 9, 0, 0, 0]
        };
        assert_eq!(library.words(name, at), NULL_POINTER, "{name}");
    }
    for (name, handle) in [
        ("client_free", client),
        ("mount_free", mount),
        ("listener_free", listener),
    ] {
        assert_eq!(library.words(name, [handle, 0, 0, 0, 0, 0]), 0);
    }
}

#[test]
fn a_handle_that_is_none_is_told_from_one_that_is() {
    let library = Loaded::new();
    assert_eq!(library.init(), 0);
    let (client, mount) = (
        library.client("http://a/").unwrap(),
        library.mount("/a").unwrap(),
    );
    let listener = library.listener(0, GET);
    let freed = |kind: &str| {
        let handle = match kind {
            "client" => library.client("http://a/").unwrap(),
            "mount" => library.mount("/a").unwrap(),
            _ => library.listener(0, GET),
        };
        assert_eq!(
            library.words(&format!("{kind}_free"), [handle, 0, 0, 0, 0, 0]),
            0
        );
        handle
    };
    let mut bytes = Record::sized(2048);
    for (name, kind) in CALLS {
        let others = [("client", client), ("mount", mount), ("listener", listener)];
        let mut wrong: Vec<usize> = others
            .iter()
            .filter(|(other, _)| *other != kind)
            .map(|(_, handle)| *handle)
            .collect();
        wrong.extend([
            freed(kind),
            bytes.at().addr(),
            1,
            usize::MAX,
            usize::MAX / 2,
            client ^ 1 << 40,
        ]);
        for handle in wrong {
            let result = library.words(
                name,
                [
                    handle,
                    bytes.at().addr(),
                    0,
                    bytes.at().addr(),
                    bytes.at().addr(),
                    0,
                ],
            );
            assert_eq!(
                result,
                WRONG_HANDLE,
                "{name} {handle:#x}: {}",
                library.text(result)
            );
        }
    }
    for (name, handle) in [
        ("client_free", client),
        ("mount_free", mount),
        ("listener_free", listener),
    ] {
        assert_eq!(library.words(name, [handle, 0, 0, 0, 0, 0]), 0);
        assert_eq!(
            library.words(name, [handle, 0, 0, 0, 0, 0]),
            WRONG_HANDLE,
            "freed twice"
        );
    }
}

#[test]
fn a_struct_of_another_size_is_refused_and_a_larger_one_is_served() {
    let library = Loaded::new();
    assert_eq!(library.init(), 0);
    let client = library.client("http://a/").unwrap();
    for size in [0, 8, 16, OPTIONS - 1] {
        let mut record = Record::sized(size);
        assert_eq!(
            library.words("client_options_init", [record.at().addr(), 0, 0, 0, 0, 0]),
            WRONG_SIZE
        );
        assert!(
            library.last_error().contains("sizeof"),
            "{}",
            library.last_error()
        );
        assert_eq!(
            library.words("client_poll", [client, 0, record.at().addr(), 0, 0, 0]) < 0,
            size < 64
        );
    }
    // A host that was built against a later header: fine, as long as it asks for nothing new.
    let url = CString::new("http://a/").unwrap();
    let list = [url.as_ptr()];
    let mut later = Record::sized(OPTIONS + 64);
    assert_eq!(
        library.words("client_options_init", [later.at().addr(), 0, 0, 0, 0, 0]),
        0
    );
    later.put(8, list.as_ptr());
    later.put(16, 1_usize);
    let mut made = 0_usize;
    let new = [later.at().addr(), (&raw mut made).addr(), 0, 0, 0, 0];
    assert_eq!(
        library.words("client_new", new),
        0,
        "{}",
        library.last_error()
    );
    assert_eq!(library.words("client_free", [made, 0, 0, 0, 0, 0]), 0);
    later.put(OPTIONS + 60, 1_u8);
    let new = [later.at().addr(), (&raw mut made).addr(), 0, 0, 0, 0];
    assert_eq!((library.words("client_new", new), made), (WRONG_SIZE, 0));
    assert_eq!(library.words("client_free", [client, 0, 0, 0, 0, 0]), 0);
}

#[test]
fn an_argument_that_cannot_be_is_named() {
    let library = Loaded::new();
    assert_eq!(library.init(), 0);
    for (url, says) in [
        ("", "\"\" is not an http or https URL"),
        ("ftp://a/", "\"ftp://a/\" is not"),
        ("http://a:99999999/", "is not an http"),
    ] {
        assert_eq!(library.client(url), Err(INVALID), "{url}");
        assert!(
            library.last_error().contains(says),
            "{url}: {}",
            library.last_error()
        );
    }
    assert_eq!(
        library.client(&format!("http://a/{}", "x".repeat(3000))),
        Err(INVALID)
    );
    for path in ["", "live", "/"] {
        assert_eq!(library.mount(path), Err(INVALID));
        assert!(
            library.last_error().contains("no mount such as /live.mp3"),
            "{}",
            library.last_error()
        );
    }
    let mount = library.mount("/a").unwrap();
    let source = |head: &str| {
        library.words(
            "mount_source",
            [mount, head.as_ptr().addr(), head.len(), 0, 0, 0],
        )
    };
    assert_eq!(source("SOURCE /a ICE/1.0\r\n"), MALFORMED);
    assert!(
        library.last_error().contains("not whole"),
        "{}",
        library.last_error()
    );
    assert_eq!(source("\u{1}\r\n\r\n"), MALFORMED);
    let listener = library.listener(mount, GET);
    assert_eq!(
        library.words("listener_sent", [listener, 1 << 30, 0, 0, 0, 0]),
        INVALID
    );
    for result in [
        -1, -2, -3, -4, -5, -6, -7, -8, -9, -10, -11, 0, 1, 2, 3, 4, 5,
    ] {
        assert_ne!(library.text(result), library.text(77), "{result}");
    }
    assert_eq!(library.words("listener_free", [listener, 0, 0, 0, 0, 0]), 0);
    assert_eq!(library.words("mount_free", [mount, 0, 0, 0, 0, 0]), 0);
}

#[test]
fn a_second_thread_is_told_that_it_is_one() {
    let library = Loaded::new();
    assert_eq!(library.init(), 0);
    let client = library.client("http://a/").unwrap();
    let (stop, busy) = (AtomicBool::new(false), AtomicBool::new(false));
    let work = || {
        let mut record = Record::sized(2048);
        while !stop.load(Ordering::Relaxed) {
            let result = library.words("client_poll", [client, 0, record.at().addr(), 0, 0, 0]);
            assert!([0, BUSY].contains(&result), "{}", library.text(result));
            if result == BUSY {
                busy.store(true, Ordering::Relaxed);
                stop.store(true, Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        scope.spawn(work);
        let begin = std::time::Instant::now();
        while !stop.load(Ordering::Relaxed) && begin.elapsed() < std::time::Duration::from_secs(20)
        {
            std::thread::yield_now();
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(busy.load(Ordering::Relaxed), "they never met");
    // Freed while others call: they get a result, too.
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut record = Record::sized(2048);
                while !stop.load(Ordering::Relaxed) {
                    let result =
                        library.words("client_poll", [client, 0, record.at().addr(), 0, 0, 0]);
                    assert!(
                        [0, BUSY, WRONG_HANDLE].contains(&result),
                        "{}",
                        library.text(result)
                    );
                    if result == WRONG_HANDLE {
                        break;
                    }
                }
            });
        }
        assert_eq!(library.words("client_free", [client, 0, 0, 0, 0, 0]), 0);
        stop.store(true, Ordering::Relaxed);
    });
}
