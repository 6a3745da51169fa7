//! A client, and what it says.

use std::ffi::{CStr, CString};

use icecast_ext::*;

use crate::init;
use crate::mount::last_error;

pub(crate) struct Player {
    pub(crate) handle: *mut Client,
    pub(crate) now: u64,
    /// Preludes and audio.
    pub(crate) heard: Vec<u8>,
    pub(crate) titles: Vec<(u64, String)>,
    pub(crate) lost: Vec<u64>,
    /// What else was said, with words.
    pub(crate) said: Vec<(u32, String)>,
}

/// A step, its words copied.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Connect { host: String, request: String },
    Read(u64),
    Wait(u64),
    Ended(String),
}

/// What suits a radio.
pub(crate) fn radio(options: &mut ClientOptions) {
    options.history = 0;
    options.max_prelude = 16 << 10;
    options.max_relays = 4;
    options.max_url = 256;
}

pub(crate) fn options() -> ClientOptions {
    // SAFETY: zeros are options, and the size is set.
    unsafe {
        let mut options: ClientOptions = std::mem::zeroed();
        options.size = size_of_val(&options);
        assert_eq!(icecast_ext_client_options_init(&mut options), 0);
        options
    }
}

impl Player {
    pub(crate) fn new(relays: &[&str], set: impl FnOnce(&mut ClientOptions)) -> Self {
        init();
        let relays: Vec<CString> = relays
            .iter()
            .map(|url| CString::new(*url).unwrap())
            .collect();
        let list: Vec<_> = relays.iter().map(|url| url.as_ptr()).collect();
        let mut options = options();
        options.relays = list.as_ptr();
        options.relay_count = list.len();
        options.titles = 1;
        options.seed = 42;
        set(&mut options);
        let mut handle = std::ptr::null_mut();
        // SAFETY: the structs are what they say.
        let result = unsafe { icecast_ext_client_new(&options, &mut handle) };
        assert_eq!(result, 0, "{}", last_error());
        Self {
            handle,
            now: 1000,
            heard: Vec::new(),
            titles: Vec::new(),
            lost: Vec::new(),
            said: Vec::new(),
        }
    }

    pub(crate) fn poll(&mut self) -> Step {
        // SAFETY: the struct is what it says, and what it points to stays until the next call.
        unsafe {
            let mut step: ClientStep = std::mem::zeroed();
            step.size = size_of_val(&step);
            assert_eq!(
                icecast_ext_client_poll(self.handle, self.now, &mut step),
                0,
                "{}",
                last_error()
            );
            let text =
                |text: *const std::ffi::c_char| CStr::from_ptr(text).to_string_lossy().into_owned();
            match step.kind {
                ICECAST_EXT_STEP_CONNECT => Step::Connect {
                    host: text(step.host),
                    request: String::from_utf8(
                        std::slice::from_raw_parts(step.request, step.request_length).to_vec(),
                    )
                    .unwrap(),
                },
                ICECAST_EXT_STEP_READ => Step::Read(step.until),
                ICECAST_EXT_STEP_WAIT => Step::Wait(step.until),
                ICECAST_EXT_STEP_ENDED => Step::Ended(text(step.text)),
                other => panic!("step {other}"),
            }
        }
    }

    /// The next request, after waiting.
    pub(crate) fn asks(&mut self) -> (String, String) {
        for _ in 0..1000 {
            match self.poll() {
                Step::Connect { host, request } => return (host, request),
                Step::Wait(until) => self.now = until,
                other => panic!("{other:?}"),
            }
            self.events();
        }
        panic!("it never asks");
    }

    pub(crate) fn received(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let mut taken = 0;
            // SAFETY: the bytes are bytes.
            let result = unsafe {
                icecast_ext_client_received(
                    self.handle,
                    self.now,
                    bytes.as_ptr(),
                    bytes.len(),
                    &mut taken,
                )
            };
            assert!(result == 0 && taken > 0, "{}", last_error());
            bytes = &bytes[taken..];
            self.events();
        }
    }

    pub(crate) fn failed(&mut self) {
        // SAFETY: it ends with a NUL.
        let result = unsafe { icecast_ext_client_failed(self.handle, self.now, c"cut".as_ptr()) };
        assert_eq!(result, 0);
        self.events();
    }

    pub(crate) fn closed(&mut self) {
        // SAFETY: as any call.
        let result = unsafe { icecast_ext_client_closed(self.handle, self.now) };
        assert_eq!(result, 0);
        self.events();
    }

    pub(crate) fn events(&mut self) {
        // SAFETY: the struct is what it says, and what it points to stays until the next call.
        unsafe {
            let mut event: ClientEvent = std::mem::zeroed();
            event.size = size_of_val(&event);
            while icecast_ext_client_event(self.handle, &mut event) == ICECAST_EXT_OK {
                let bytes = std::slice::from_raw_parts(event.bytes, event.length);
                match event.kind {
                    ICECAST_EXT_EVENT_AUDIO | ICECAST_EXT_EVENT_PRELUDE => {
                        self.heard.extend_from_slice(bytes)
                    }
                    ICECAST_EXT_EVENT_TITLE => {
                        let text = String::from_utf8_lossy(bytes).into_owned();
                        self.titles.push((event.offset, text));
                    }
                    ICECAST_EXT_EVENT_LOST => self.lost.push(event.lost),
                    _ => {}
                }
                if !event.text.is_null() {
                    let text = CStr::from_ptr(event.text).to_string_lossy().into_owned();
                    self.said.push((event.kind, text));
                }
            }
            assert_eq!(event.kind, 0);
        }
    }

    pub(crate) fn stats(&self) -> ClientStats {
        // SAFETY: the struct is what it says.
        unsafe {
            let mut stats: ClientStats = std::mem::zeroed();
            stats.size = size_of_val(&stats);
            assert_eq!(icecast_ext_client_stats(self.handle, &mut stats), 0);
            stats
        }
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        // SAFETY: as any call.
        assert_eq!(unsafe { icecast_ext_client_free(self.handle) }, 0);
    }
}
