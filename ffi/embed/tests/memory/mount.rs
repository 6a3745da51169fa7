//! A mount, and what it answers.

use std::ffi::{CStr, CString};

use icecast_ext::*;

use crate::init;

pub(crate) struct Station {
    pub(crate) handle: *mut Mount,
    pub(crate) now: u64,
}

impl Station {
    pub(crate) fn new(set: impl FnOnce(&mut MountOptions)) -> Self {
        init();
        let path = CString::new("/live").unwrap();
        // SAFETY: the structs are what they say.
        unsafe {
            let mut options: MountOptions = std::mem::zeroed();
            options.size = size_of_val(&options);
            assert_eq!(icecast_ext_mount_options_init(&mut options), 0);
            options.path = path.as_ptr();
            set(&mut options);
            let mut handle = std::ptr::null_mut();
            assert_eq!(
                icecast_ext_mount_new(&options, &mut handle),
                0,
                "{}",
                last_error()
            );
            Self {
                handle,
                now: 1_700_000_000_000,
            }
        }
    }

    pub(crate) fn source(&self, head: &str) {
        // SAFETY: the bytes are bytes.
        let result =
            unsafe { icecast_ext_mount_source(self.handle, head.as_ptr(), head.len(), self.now) };
        assert_eq!(result, 0, "{}", last_error());
    }

    /// Opaque bytes.
    pub(crate) fn opaque() -> Self {
        let station = Self::new(|_| {});
        station
            .source("SOURCE /live ICE/1.0\r\nContent-Type: audio/x-test\r\nice-name: Test\r\n\r\n");
        station
    }

    pub(crate) fn body(&self, bytes: &[u8]) -> i32 {
        // SAFETY: the bytes are bytes.
        unsafe { icecast_ext_mount_body(self.handle, bytes.as_ptr(), bytes.len(), self.now) }
    }

    pub(crate) fn title(&self, title: &str) -> i32 {
        // SAFETY: the bytes are bytes.
        unsafe { icecast_ext_mount_title(self.handle, title.as_ptr(), title.len()) }
    }

    pub(crate) fn tick(&mut self) -> i32 {
        self.now += 250;
        icecast_ext_mount_publish(self.handle, self.now)
    }

    pub(crate) fn publish(&mut self, bytes: &[u8]) {
        assert_eq!(self.body(bytes), 0, "{}", last_error());
        assert_eq!(self.tick(), 0);
    }

    pub(crate) fn state(&self) -> MountState {
        // SAFETY: the struct is what it says.
        unsafe {
            let mut state: MountState = std::mem::zeroed();
            state.size = size_of_val(&state);
            assert_eq!(icecast_ext_mount_state(self.handle, &mut state), 0);
            state
        }
    }

    pub(crate) fn epoch(&self) -> String {
        chars(&self.state().epoch)
    }

    pub(crate) fn answer(&self, head: &str) -> Answering {
        let mut handle = std::ptr::null_mut();
        // SAFETY: the bytes are bytes.
        let result = unsafe {
            icecast_ext_answer(
                self.handle,
                head.as_ptr(),
                head.len(),
                self.now,
                &mut handle,
            )
        };
        assert_eq!(result, 0, "{}", last_error());
        Answering { handle }
    }

    pub(crate) fn get(&self, fields: &str) -> Answering {
        self.answer(&format!("GET /live HTTP/1.1\r\nHost: h\r\n{fields}\r\n"))
    }
}

impl Drop for Station {
    fn drop(&mut self) {
        assert_eq!(icecast_ext_mount_free(self.handle), 0);
    }
}

pub(crate) struct Answering {
    pub(crate) handle: *mut Listener,
}

impl Answering {
    /// At most `most` bytes more, and what the last call said.
    pub(crate) fn take(&mut self, now: u64, most: usize) -> (Vec<u8>, i32) {
        let mut out = Vec::new();
        loop {
            // SAFETY: the structs are what they say.
            unsafe {
                let mut pieces: [Piece; 3] = std::mem::zeroed();
                let mut count = 0;
                let result = icecast_ext_listener_pieces(
                    self.handle,
                    now,
                    pieces.as_mut_ptr(),
                    pieces.len(),
                    &mut count,
                );
                let before = out.len();
                for piece in &pieces[..count] {
                    out.extend_from_slice(std::slice::from_raw_parts(piece.bytes, piece.length));
                }
                if result != ICECAST_EXT_OK {
                    assert_eq!(count, 0);
                    return (out, result);
                }
                out.truncate(most);
                assert_eq!(
                    icecast_ext_listener_sent(self.handle, out.len() - before),
                    0
                );
                if out.len() == most {
                    return (out, result);
                }
            }
        }
    }

    /// All there is.
    pub(crate) fn all(&mut self, now: u64) -> (Vec<u8>, i32) {
        self.take(now, usize::MAX)
    }

    /// The head, and what follows it.
    pub(crate) fn split(&mut self, now: u64) -> (String, Vec<u8>, i32) {
        let (bytes, result) = self.all(now);
        let end = bytes
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .expect("a head")
            + 4;
        (
            String::from_utf8(bytes[..end].to_vec()).unwrap(),
            bytes[end..].to_vec(),
            result,
        )
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        assert_eq!(icecast_ext_listener_free(self.handle), 0);
    }
}

pub(crate) fn last_error() -> String {
    // SAFETY: it ends with a NUL.
    unsafe { CStr::from_ptr(icecast_ext_last_error()) }
        .to_string_lossy()
        .into_owned()
}

pub(crate) fn chars(text: &[std::ffi::c_char]) -> String {
    text.iter()
        .take_while(|c| **c != 0)
        .map(|c| char::from(*c as u8))
        .collect()
}

/// The value of a field.
pub(crate) fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.split("\r\n").filter_map(|line| line.split_once(": "));
    lines
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}
