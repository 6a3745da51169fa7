//! Loaded as others load it, and called as nobody should: a result each time, and nothing else.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]
#![expect(unsafe_code, reason = "calls a C library, wrongly at that")]

mod loaded;

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use libloading::{Library, Symbol};
use loaded::*;

const NULL_POINTER: c_int = -1;
const WRONG_SIZE: c_int = -2;
const WRONG_HANDLE: c_int = -3;
const BUSY: c_int = -4;
const WRONG_ABI: c_int = -6;
const INVALID: c_int = -7;
const MALFORMED: c_int = -8;

/// Every call that has a handle: its name, and which handle.
const CALLS: [(&str, &str); 21] = [
    ("client_poll", "client"),
    ("client_received", "client"),
    ("client_closed", "client"),
    ("client_failed", "client"),
    ("client_move", "client"),
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
