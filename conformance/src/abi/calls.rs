//! Cases that call the library, each in a fresh process: what was called before them is known.

mod misuse;

use std::ffi::CString;

use super::Scene;
use super::library::Library;
use super::names::{ABI, result};
use super::structs::{ClientOptions, Handle, MountOptions, Request, Struct as _};
use crate::case::{Case, Stop, Verdict, expect};

macro_rules! calls {
    ($($id:literal $rule:literal $does:literal $run:path;)*) => {
        pub(super) const CASES: &[Case<Scene>] = &[$(Case {
            id: $id,
            requirement: $rule,
            does: $does,
            run: |s| Box::pin(async move { s.inside($id).await }),
        }),*];

        /// What a case does in its process.
        pub(super) fn named(id: &str) -> Option<fn(&Library) -> Verdict> {
            match id {
                $($id => Some($run),)*
                _ => None,
            }
        }
    };
}

calls! {
    "abi/version" "C-VERSION" "asks for the version, and takes it twice" version;
    "abi/no-init" "C-INIT" "makes a client and a mount before icecast_ext_init" no_init;
    "abi/wrong-init" "C-INIT" "takes other versions, and makes a client and a mount all the same" wrong_init;
    "abi/null" "C-NULL" "calls with NULL where it must not be, and frees NULL" misuse::null;
    "abi/size" "C-SIZE" "calls with structs that are smaller than any header has them" misuse::size;
    "abi/handle" "C-HANDLE" "calls with handles of another kind, and with ones that never were" misuse::handle;
    "abi/freed" "C-FREED" "calls with handles that were freed, and frees them again" misuse::freed;
    "abi/busy" "C-BUSY" "calls with one client in two threads" misuse::busy;
    "abi/error" "C-ERROR" "asks for the texts of errors and results, in two threads" error;
    "abi/values" "C-VALUES" "makes clients and mounts of values that cannot be" values;
    "abi/heads" "C-HEADS" "reads heads that are whole, half and none" heads;
}

const HEAD: &[u8] = b"GET /live.mp3 HTTP/1.1\r\nHost: a\r\n\r\n";

/// Fails unless a call has one of these results.
fn is(call: &str, got: i32, expected: &[i32]) -> Verdict {
    let words: Vec<_> = expected.iter().map(i32::to_string).collect();
    expect(
        expected.contains(&got),
        format!("{call} to return {}", words.join(" or ")),
        got.to_string(),
    )
}

/// What the rest of a case rests on.
fn needs(call: &str, got: i32) -> Verdict {
    match got {
        result::OK => Ok(()),
        _ => Err(Stop::fail(format!("{call} to return 0"), got.to_string())),
    }
}

/// A client's options with a relay; what they point to stays for the process.
fn client_options(library: &Library) -> Result<ClientOptions, Stop> {
    client_options_for(library, "http://localhost:1/live.mp3")
}

fn client_options_for(library: &Library, relay: &str) -> Result<ClientOptions, Stop> {
    let mut options = ClientOptions::new();
    needs(
        "icecast_ext_client_options_init",
        library.client_options_init(Some(&mut options)),
    )?;
    let relay = CString::new(relay).map_err(|error| Stop::Error(error.to_string()))?;
    options.relays = Box::leak(Box::new(relay.into_raw().cast_const()));
    options.relay_count = 1;
    Ok(options)
}

fn mount_options(library: &Library) -> Result<MountOptions, Stop> {
    let mut options = MountOptions::new();
    needs(
        "icecast_ext_mount_options_init",
        library.mount_options_init(Some(&mut options)),
    )?;
    options.path = c"/live.mp3".as_ptr();
    Ok(options)
}

/// A library that may be used, with a client and a mount.
fn ready(library: &Library) -> Result<(Handle, Handle), Stop> {
    needs("icecast_ext_init", library.init(ABI))?;
    let (mut client, mut mount) = (Handle::NULL, Handle::NULL);
    let made = library.client_new(Some(&client_options(library)?), Some(&mut client));
    needs("icecast_ext_client_new", made)?;
    let made = library.mount_new(Some(&mount_options(library)?), Some(&mut mount));
    needs("icecast_ext_mount_new", made)?;
    let both = client != Handle::NULL && mount != Handle::NULL;
    expect(both, "handles", "NULL")?;
    Ok((client, mount))
}

fn version(library: &Library) -> Verdict {
    expect(
        library.abi() == ABI,
        format!("icecast_ext_abi to return {ABI}"),
        library.abi().to_string(),
    )?;
    let version = library.version();
    expect(
        version.as_ref().is_some_and(|text| !text.is_empty()),
        "a text from icecast_ext_version",
        format!("{version:?}"),
    )?;
    for _ in 0..2 {
        is("icecast_ext_init(1)", library.init(ABI), &[result::OK])?;
    }
    ready(library).map(drop)
}

/// Fails if anything can be made.
fn nothing_is_made(library: &Library, when: &str) -> Verdict {
    let (mut client, mut mount) = (Handle::NULL, Handle::NULL);
    let options = client_options(library)?;
    let made = library.client_new(Some(&options), Some(&mut client));
    is(
        &format!("icecast_ext_client_new {when}"),
        made,
        &[result::WRONG_ABI],
    )?;
    let options = mount_options(library)?;
    let made = library.mount_new(Some(&options), Some(&mut mount));
    is(
        &format!("icecast_ext_mount_new {when}"),
        made,
        &[result::WRONG_ABI],
    )?;
    expect(
        client == Handle::NULL && mount == Handle::NULL,
        format!("no handle {when}"),
        "one",
    )
}

fn no_init(library: &Library) -> Verdict {
    nothing_is_made(library, "before icecast_ext_init")
}

fn wrong_init(library: &Library) -> Verdict {
    for abi in [0, ABI + 1, u32::MAX] {
        let call = format!("icecast_ext_init({abi})");
        is(&call, library.init(abi), &[result::WRONG_ABI])?;
        nothing_is_made(library, &format!("after {call}"))?;
    }
    // And it recovers.
    ready(library).map(drop)
}

fn error(library: &Library) -> Verdict {
    let got = library.client_new(None, None);
    expect(got < 0, "a refusal of NULL", got.to_string())?;
    let text = library.last_error();
    expect(
        text.as_ref().is_some_and(|text| !text.is_empty()),
        "a text from icecast_ext_last_error after a failed call",
        format!("{text:?}"),
    )?;
    let elsewhere = std::thread::scope(|scope| {
        let asked = scope.spawn(|| library.last_error());
        asked.join().unwrap_or_default()
    });
    expect(
        elsewhere.as_deref() == Some(""),
        "an empty text in a thread in which nothing failed",
        format!("{elsewhere:?}"),
    )?;
    for got in (-20..20).chain([i32::MIN, i32::MAX]) {
        let text = library.result_text(got);
        expect(
            text.as_ref().is_some_and(|text| !text.is_empty()),
            format!("a text for the result {got}"),
            format!("{text:?}"),
        )?;
    }
    Ok(())
}

fn values(library: &Library) -> Verdict {
    needs("icecast_ext_init", library.init(ABI))?;
    let invalid = &[result::INVALID];
    for relay in ["ftp://localhost/live.mp3", "no URL at all", ""] {
        let options = client_options_for(library, relay)?;
        let got = library.client_new(Some(&options), Some(&mut Handle::NULL.clone()));
        is(
            &format!("icecast_ext_client_new with the relay {relay:?}"),
            got,
            invalid,
        )?;
    }
    type Change = fn(&mut ClientOptions);
    let changes: [(&str, Change); 4] = [
        ("no relays", |options| options.relay_count = 0),
        ("miss = 9", |options| options.miss = 9),
        ("max_relays = 17", |options| options.max_relays = 17),
        ("epoch = \"x\"", |options| options.epoch = c"x".as_ptr()),
    ];
    for (what, change) in changes {
        let mut options = client_options(library)?;
        change(&mut options);
        let got = library.client_new(Some(&options), Some(&mut Handle::NULL.clone()));
        is(&format!("icecast_ext_client_new with {what}"), got, invalid)?;
    }
    type MountChange = fn(&mut MountOptions);
    let changes: [(&str, MountChange); 4] = [
        ("metaint = 1", |options| options.metaint = 1),
        ("level = 3", |options| options.level = 3),
        ("held = 0", |options| options.held = 0),
        ("tick = 1", |options| options.tick = 1),
    ];
    for (what, change) in changes {
        let mut options = mount_options(library)?;
        change(&mut options);
        let got = library.mount_new(Some(&options), Some(&mut Handle::NULL.clone()));
        is(&format!("icecast_ext_mount_new with {what}"), got, invalid)?;
    }
    Ok(())
}

fn heads(library: &Library) -> Verdict {
    let read = |head: &[u8], request: &mut Request| library.request_read(Some(head), Some(request));
    for length in 0..HEAD.len() {
        let got = read(&HEAD[..length], &mut Request::new());
        is(
            &format!(
                "icecast_ext_request_read with {length} of {} bytes",
                HEAD.len()
            ),
            got,
            &[result::INCOMPLETE],
        )?;
    }
    let mut request = Request::new();
    let with_body = [HEAD, b"body"].concat();
    is(
        "icecast_ext_request_read",
        read(&with_body, &mut request),
        &[result::OK],
    )?;
    expect(
        request.kind == 1
            && request.length == HEAD.len()
            && request.path.starts_with(b"/live.mp3\0"),
        format!("kind 1, {} bytes, /live.mp3", HEAD.len()),
        format!("kind {}, {} bytes", request.kind, request.length),
    )?;
    for bad in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"[..],
        b"GET /../live.mp3 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /live.mp3 HTTP/1.1\nHost: a\n\n",
        b"GET /live.mp3 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        &[b'a'; 20_000],
    ] {
        let got = read(bad, &mut Request::new());
        let shown = String::from_utf8_lossy(&bad[..bad.len().min(24)]).into_owned();
        is(
            &format!("icecast_ext_request_read with {shown:?}"),
            got,
            &[result::MALFORMED],
        )?;
    }
    Ok(())
}
