//! What the host does next.

use std::ffi::CString;
use std::ffi::c_char;

use icecast_ext_core::client::http::{Act, Dial, HttpClient};

use crate::record::Record;

/// Close the connection, if there is one, open the one to `host` and `port`, and send `request`.
pub const ICECAST_EXT_STEP_CONNECT: u32 = 1;
/// Read; give what came to `icecast_ext_client_received`; poll again after that, and at `until` at the latest.
pub const ICECAST_EXT_STEP_READ: u32 = 2;
/// Close the connection, if there is one, and poll again at `until`.
pub const ICECAST_EXT_STEP_WAIT: u32 = 3;
/// It is over; `text` says why. Close the connection, and free the client.
pub const ICECAST_EXT_STEP_ENDED: u32 = 4;

/// What `icecast_ext_client_poll` says.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ClientStep {
    /// `sizeof` this struct, set by the caller.
    pub size: usize,
    /// One of `ICECAST_EXT_STEP_…`
    pub kind: u32,
    /// To connect: not 0 for TLS, with this host's name.
    pub tls: u32,
    /// To connect: the port.
    pub port: u32,
    /// 0
    pub reserved: u32,
    /// In the host's milliseconds.
    pub until: u64,
    /// To connect: a name or an address, IPv6 without brackets.
    pub host: *const c_char,
    /// To connect: the whole request.
    pub request: *const u8,
    /// Bytes of it.
    pub request_length: usize,
    /// For people; NULL mostly.
    pub text: *const c_char,
}

// SAFETY: `repr(C)`, begins with its size, and holds pointers and numbers alone.
unsafe impl Record for ClientStep {
    const FIRST: usize = size_of::<Self>();
}

/// What a step points to.
#[derive(Default)]
pub(super) struct Words {
    host: CString,
    request: Vec<u8>,
    text: CString,
}

impl Words {
    pub(super) fn tell(&mut self, act: Act, http: &HttpClient) -> ClientStep {
        let mut step = ClientStep {
            size: 0,
            kind: 0,
            tls: 0,
            port: 0,
            reserved: 0,
            until: 0,
            host: std::ptr::null(),
            request: std::ptr::null(),
            request_length: 0,
            text: std::ptr::null(),
        };
        // Rounded up: whoever comes at `until` must not be too early.
        let ms = |until: std::time::Duration| {
            u64::try_from(until.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
        };
        match act {
            Act::Connect(Dial {
                tls,
                host,
                port,
                head,
            }) => {
                self.host = CString::new(host).unwrap_or_default();
                self.request = head;
                step.kind = ICECAST_EXT_STEP_CONNECT;
                step.tls = tls.into();
                step.port = port.into();
                step.host = self.host.as_ptr();
                step.request = self.request.as_ptr();
                step.request_length = self.request.len();
            }
            Act::Read { until } => {
                step.kind = ICECAST_EXT_STEP_READ;
                step.until = ms(until);
            }
            Act::Wait { until } => {
                step.kind = ICECAST_EXT_STEP_WAIT;
                step.until = ms(until);
            }
            Act::Ended => {
                let why = http.client().gave_up().map(|why| why.to_string());
                self.text = CString::new(why.unwrap_or_default()).unwrap_or_default();
                step.kind = ICECAST_EXT_STEP_ENDED;
                step.text = self.text.as_ptr();
            }
        }
        step
    }
}
