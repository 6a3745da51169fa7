//! Calls as they must not be: NULL, other sizes, handles of others, handles that were freed, two threads.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::{
    HEAD, Library, Verdict, client_options, expect, is, mount_options, needs, ready, result,
};
use crate::abi::structs::{
    ClientOptions, Event, Handle, ListenerState, MountOptions, MountState, Request, Stats, Step,
    Struct,
};

pub(super) fn null(library: &Library) -> Verdict {
    const NULL: &[i32] = &[result::NULL_POINTER];
    let l = library;
    let (client, mount) = ready(l)?;
    let options = client_options(l)?;
    let mount_options = mount_options(l)?;
    let (mut memory, mut taken, mut made) = (0, 0, Handle::NULL);
    for (call, got) in [
        ("client_options_init(NULL)", l.client_options_init(None)),
        ("mount_options_init(NULL)", l.mount_options_init(None)),
        (
            "client_memory(NULL, …)",
            l.client_memory(None, Some(&mut memory)),
        ),
        (
            "client_memory(…, NULL)",
            l.client_memory(Some(&options), None),
        ),
        ("client_new(NULL, …)", l.client_new(None, Some(&mut made))),
        ("client_new(…, NULL)", l.client_new(Some(&options), None)),
        ("client_poll(…, NULL)", l.client_poll(client, 0, None)),
        (
            "client_received(…, NULL, 5, …)",
            l.client_received(client, None, Some(&mut taken)),
        ),
        (
            "client_received(…, NULL)",
            l.client_received(client, Some(b"x"), None),
        ),
        ("client_event(…, NULL)", l.client_event(client, None)),
        ("client_stats(…, NULL)", l.client_stats(client, None)),
        ("mount_new(NULL, …)", l.mount_new(None, Some(&mut made))),
        (
            "mount_new(…, NULL)",
            l.mount_new(Some(&mount_options), None),
        ),
        ("mount_state(…, NULL)", l.mount_state(mount, None)),
        (
            "answer(…, NULL, 5, …)",
            l.answer(mount, None, Some(&mut made)),
        ),
        ("answer(…, NULL)", l.answer(mount, Some(HEAD), None)),
        (
            "request_read(NULL, 5, …)",
            l.request_read(None, Some(&mut Request::new())),
        ),
        ("request_read(…, NULL)", l.request_read(Some(HEAD), None)),
    ] {
        is(&format!("icecast_ext_{call}"), got, NULL)?;
    }
    for (call, got) in [
        ("client_free", l.client_free(Handle::NULL)),
        ("mount_free", l.mount_free(Handle::NULL)),
        ("listener_free", l.listener_free(Handle::NULL)),
    ] {
        is(&format!("icecast_ext_{call}(NULL)"), got, &[result::OK])?;
    }
    expect(made == Handle::NULL, "no handle from a refused call", "one")
}

pub(super) fn size(library: &Library) -> Verdict {
    let l = library;
    let (client, mount) = ready(l)?;
    let mut listener = Handle::NULL;
    needs(
        "icecast_ext_answer",
        l.answer(mount, Some(HEAD), Some(&mut listener)),
    )?;
    // All structs of ABI 1 are larger; a later header's may be larger still.
    for size in [0, 1, size_of::<usize>(), 24] {
        // What has the size is marked, and has to stay so.
        let mut step = Step {
            port: 77,
            ..Step::of_size(size)
        };
        let mut event = Event {
            lost: 77,
            ..Event::of_size(size)
        };
        let mut stats = Stats {
            counts: [77; 10],
            ..Stats::of_size(size)
        };
        let mut state = MountState {
            live: 77,
            ..MountState::of_size(size)
        };
        let mut heard = ListenerState {
            status: 77,
            ..ListenerState::of_size(size)
        };
        let mut request = Request {
            kind: 77,
            ..Request::of_size(size)
        };
        let mut options = ClientOptions {
            miss: 77,
            ..ClientOptions::of_size(size)
        };
        let mut mount_options = MountOptions {
            metaint: 77,
            ..MountOptions::of_size(size)
        };
        let (mut memory, mut made) = (0, Handle::NULL);
        for (call, got) in [
            ("client_poll", l.client_poll(client, 0, Some(&mut step))),
            ("client_event", l.client_event(client, Some(&mut event))),
            ("client_stats", l.client_stats(client, Some(&mut stats))),
            ("mount_state", l.mount_state(mount, Some(&mut state))),
            (
                "listener_state",
                l.listener_state(listener, Some(&mut heard)),
            ),
            (
                "request_read",
                l.request_read(Some(HEAD), Some(&mut request)),
            ),
            (
                "client_options_init",
                l.client_options_init(Some(&mut options)),
            ),
            (
                "client_memory",
                l.client_memory(Some(&options), Some(&mut memory)),
            ),
            ("client_new", l.client_new(Some(&options), Some(&mut made))),
            (
                "mount_options_init",
                l.mount_options_init(Some(&mut mount_options)),
            ),
            (
                "mount_new",
                l.mount_new(Some(&mount_options), Some(&mut made)),
            ),
        ] {
            let call = format!("icecast_ext_{call} with a struct of {size} bytes");
            is(&call, got, &[result::WRONG_SIZE])?;
        }
        let whole = step.port == 77
            && event.lost == 77
            && stats.counts == [77; 10]
            && state.live == 77
            && heard.status == 77
            && request.kind == 77
            && options.miss == 77
            && mount_options.metaint == 77;
        expect(whole, "structs left as they were", "one was written to")?;
    }
    Ok(())
}

/// Fails unless every call with these handles is refused.
fn refused(l: &Library, client: Handle, mount: Handle, listener: Handle, why: &str) -> Verdict {
    let (mut taken, mut made) = (0, Handle::NULL);
    let wrong = &[result::WRONG_HANDLE];
    for (call, got) in [
        (
            "client_poll",
            l.client_poll(client, 0, Some(&mut Step::new())),
        ),
        (
            "client_received",
            l.client_received(client, Some(b"x"), Some(&mut taken)),
        ),
        ("client_closed", l.client_closed(client)),
        (
            "client_event",
            l.client_event(client, Some(&mut Event::new())),
        ),
        (
            "client_stats",
            l.client_stats(client, Some(&mut Stats::new())),
        ),
        ("client_free", l.client_free(client)),
        (
            "mount_state",
            l.mount_state(mount, Some(&mut MountState::new())),
        ),
        ("mount_publish", l.mount_publish(mount)),
        ("answer", l.answer(mount, Some(HEAD), Some(&mut made))),
        ("mount_free", l.mount_free(mount)),
        (
            "listener_state",
            l.listener_state(listener, Some(&mut ListenerState::new())),
        ),
        ("listener_sent", l.listener_sent(listener, 0)),
        ("listener_free", l.listener_free(listener)),
    ] {
        is(
            &format!("icecast_ext_{call} with a handle {why}"),
            got,
            wrong,
        )?;
    }
    Ok(())
}

pub(super) fn handle(library: &Library) -> Verdict {
    let (client, mount) = ready(library)?;
    let mut listener = Handle::NULL;
    let made = library.answer(mount, Some(HEAD), Some(&mut listener));
    needs("icecast_ext_answer", made)?;
    refused(library, mount, listener, client, "of another kind")?;
    for number in [1, 0x1000, usize::MAX, client.number() ^ 1 << 20] {
        let never = Handle::numbered(number);
        refused(library, never, never, never, "that never was")?;
    }
    // Those that are alive were not harmed.
    needs("icecast_ext_client_free", library.client_free(client))?;
    needs("icecast_ext_listener_free", library.listener_free(listener))?;
    needs("icecast_ext_mount_free", library.mount_free(mount))
}

pub(super) fn freed(library: &Library) -> Verdict {
    let (client, mount) = ready(library)?;
    let mut listener = Handle::NULL;
    let made = library.answer(mount, Some(HEAD), Some(&mut listener));
    needs("icecast_ext_answer", made)?;
    needs("icecast_ext_client_free", library.client_free(client))?;
    needs("icecast_ext_mount_free", library.mount_free(mount))?;
    // A mount's listeners go on without it.
    let state = library.listener_state(listener, Some(&mut ListenerState::new()));
    is(
        "icecast_ext_listener_state after its mount was freed",
        state,
        &[result::OK],
    )?;
    needs("icecast_ext_listener_free", library.listener_free(listener))?;
    refused(library, client, mount, listener, "that was freed")?;
    // Also once others have come into being where they were.
    let _others = ready(library)?;
    refused(
        library,
        client,
        mount,
        listener,
        "that was freed, with others alive",
    )
}

pub(super) fn busy(library: &Library) -> Verdict {
    let (client, _) = ready(library)?;
    let number = client.number();
    let (stop, busy, wrong) = (
        AtomicBool::new(false),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    );
    // Whatever else the results are, they are not errors of these calls.
    let count = |got: i32| match got {
        result::BUSY => busy.fetch_add(1, Ordering::Relaxed),
        0.. => 0,
        _ => wrong.fetch_add(1, Ordering::Relaxed),
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let client = Handle::numbered(number);
                while !stop.load(Ordering::Relaxed) {
                    count(library.client_stats(client, Some(&mut Stats::new())));
                    count(library.client_poll(client, 0, Some(&mut Step::new())));
                }
            });
        }
        let end = Instant::now() + Duration::from_secs(20);
        while busy.load(Ordering::Relaxed) == 0 && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        stop.store(true, Ordering::Relaxed);
    });
    expect(
        wrong.into_inner() == 0,
        "0 or BUSY from each call",
        "another error",
    )?;
    expect(
        busy.into_inner() > 0,
        format!("{} for a second thread, now and then", result::BUSY),
        "never, in 20 s of two threads",
    )
}
