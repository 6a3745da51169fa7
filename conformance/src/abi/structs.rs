//! The structs of ABI 1, field for field. Each begins with its size.

use std::ffi::{c_char, c_void};
use std::ptr;

/// A struct of the header.
pub(super) trait Struct: Sized {
    /// One of zeros, with its size.
    fn new() -> Self;
    /// The same, with a size of another library's.
    fn of_size(size: usize) -> Self;
}

macro_rules! structs {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty = $zero:expr),* $(,)? })*) => {$(
        $(#[$doc])*
        #[repr(C)]
        pub(super) struct $name {
            pub(super) size: usize,
            $(pub(super) $field: $type,)*
        }

        impl Struct for $name {
            fn new() -> Self {
                Self::of_size(size_of::<Self>())
            }

            fn of_size(size: usize) -> Self {
                Self { size, $($field: $zero,)* }
            }
        }
    )*};
}

structs! {
    /// `icecast_ext_client_options`
    ClientOptions {
        relays: *const *const c_char = ptr::null(),
        relay_count: usize = 0,
        agent: *const c_char = ptr::null(),
        seed: u64 = 0,
        epoch: *const c_char = ptr::null(),
        offset: u64 = 0,
        miss: u32 = 0,
        titles: u32 = 0,
        max_lag: u32 = 0,
        silence: u32 = 0,
        give_up: u32 = 0,
        max_relays: u32 = 0,
        max_url: u32 = 0,
        history: u32 = 0,
        max_prelude: u32 = 0,
    }
    /// `icecast_ext_client_step`
    Step {
        kind: u32 = 0,
        tls: u32 = 0,
        port: u32 = 0,
        reserved: u32 = 0,
        until: u64 = 0,
        host: *const c_char = ptr::null(),
        request: *const u8 = ptr::null(),
        request_length: usize = 0,
        text: *const c_char = ptr::null(),
    }
    /// `icecast_ext_client_event`
    Event {
        kind: u32 = 0,
        why: u32 = 0,
        bytes: *const u8 = ptr::null(),
        length: usize = 0,
        text: *const c_char = ptr::null(),
        url: *const u8 = ptr::null(),
        url_length: usize = 0,
        lost: u64 = 0,
        pause: u64 = 0,
        offset: u64 = 0,
        epoch: [u8; 24] = [0; 24],
    }
    /// `icecast_ext_client_stats`
    Stats {
        counts: [u64; 10] = [0; 10],
        epoch: [u8; 24] = [0; 24],
        memory: [usize; 3] = [0; 3],
    }
    /// `icecast_ext_mount_options`
    MountOptions {
        path: *const c_char = ptr::null(),
        server: *const c_char = ptr::null(),
        relays: *const *const c_char = ptr::null(),
        relay_count: usize = 0,
        window: u32 = 0,
        tick: u32 = 0,
        max_bytes: u64 = 0,
        burst: u64 = 0,
        metaint: u32 = 0,
        level: u32 = 0,
        held: u32 = 0,
        reserved: u32 = 0,
    }
    /// `icecast_ext_mount_state`
    MountState {
        live: u32 = 0,
        reserved: u32 = 0,
        counts: [u64; 5] = [0; 5],
        epoch: [u8; 24] = [0; 24],
    }
    /// `icecast_ext_listener_state`
    ListenerState {
        status: u32 = 0,
        streams: u32 = 0,
        audio: u64 = 0,
        offset: u64 = 0,
        epoch: [u8; 24] = [0; 24],
    }
    /// `icecast_ext_request`
    Request {
        kind: u32 = 0,
        authorized: u32 = 0,
        length: usize = 0,
        greeting: *const c_char = ptr::null(),
        farewell: *const c_char = ptr::null(),
        path: [u8; 512] = [0; 512],
        user: [u8; 128] = [0; 128],
        password: [u8; 128] = [0; 128],
    }
}

/// A handle: a number in the shape of a pointer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub(super) struct Handle(pub(super) *mut c_void);

// It is a number, never read through; the library says what threads may do with it.
impl Handle {
    /// None.
    pub(super) const NULL: Self = Self(ptr::null_mut());

    /// A handle as it crosses threads.
    pub(super) fn number(self) -> usize {
        self.0.addr()
    }

    /// And back.
    pub(super) fn numbered(number: usize) -> Self {
        Self(ptr::with_exposed_provenance_mut(number))
    }
}
