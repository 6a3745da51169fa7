//! A loaded library, and calls into it. This is the one room of the suite with `unsafe` in it, and it is entered in a process of its
//! own: a library that breaks its word takes nothing with it but that process.
#![expect(unsafe_code, reason = "calls into a shared object")]

use std::ffi::{CStr, c_char};
use std::path::Path;
use std::ptr;

use libloading::Library as Loaded;

use super::structs::{
    ClientOptions, Event, Handle, ListenerState, MountOptions, MountState, Request, Stats, Step,
};

/// The calls that cases make.
pub(super) struct Library {
    loaded: Loaded,
}

/// Calls a function of the library by its name.
macro_rules! call {
    ($self:ident.$name:ident($($value:expr => $type:ty),*) -> $result:ty) => {{
        type Function = unsafe extern "C" fn($($type),*) -> $result;
        // SAFETY: the header declares this name with this signature; that the library exports it was asked before. The pointers
        // are NULL or from references, alive for the call; the header promises that handles are never read through.
        unsafe {
            match $self.loaded.get::<Function>(stringify!($name)) {
                Ok(function) => function($($value),*),
                Err(_) => std::process::exit(super::NO_SUCH_NAME),
            }
        }
    }};
}

fn read<T>(value: Option<&T>) -> *const T {
    value.map_or(ptr::null(), ptr::from_ref)
}

fn write<T>(value: Option<&mut T>) -> *mut T {
    value.map_or(ptr::null_mut(), ptr::from_mut)
}

/// Bytes of a call: `None` is NULL, with a length that lies.
fn bytes(data: Option<&[u8]>) -> (*const u8, usize) {
    data.map_or((ptr::null(), 5), |data| (data.as_ptr(), data.len()))
}

impl Library {
    /// Loads it.
    pub(super) fn load(file: &Path) -> Result<Self, libloading::Error> {
        // SAFETY: loading runs the library's initialisers, in a process that is there for that.
        let loaded = unsafe { Loaded::new(file) }?;
        Ok(Self { loaded })
    }

    fn text(text: *const c_char) -> Option<String> {
        if text.is_null() {
            return None;
        }
        // SAFETY: the header promises that what is not NULL ends with a NUL and stays until this thread's next call.
        let text = unsafe { CStr::from_ptr(text) };
        Some(text.to_string_lossy().into_owned())
    }

    pub(super) fn init(&self, abi: u32) -> i32 {
        call!(self.icecast_ext_init(abi => u32) -> i32)
    }

    pub(super) fn abi(&self) -> u32 {
        call!(self.icecast_ext_abi() -> u32)
    }

    pub(super) fn version(&self) -> Option<String> {
        Self::text(call!(self.icecast_ext_version() -> *const c_char))
    }

    pub(super) fn last_error(&self) -> Option<String> {
        Self::text(call!(self.icecast_ext_last_error() -> *const c_char))
    }

    pub(super) fn result_text(&self, result: i32) -> Option<String> {
        Self::text(call!(self.icecast_ext_result_text(result => i32) -> *const c_char))
    }

    pub(super) fn client_options_init(&self, options: Option<&mut ClientOptions>) -> i32 {
        call!(self.icecast_ext_client_options_init(write(options) => *mut ClientOptions) -> i32)
    }

    pub(super) fn client_memory(
        &self,
        options: Option<&ClientOptions>,
        memory: Option<&mut usize>,
    ) -> i32 {
        call!(self.icecast_ext_client_memory(read(options) => *const ClientOptions, write(memory) => *mut usize) -> i32)
    }

    pub(super) fn client_new(
        &self,
        options: Option<&ClientOptions>,
        client: Option<&mut Handle>,
    ) -> i32 {
        call!(self.icecast_ext_client_new(read(options) => *const ClientOptions, write(client) => *mut Handle) -> i32)
    }

    pub(super) fn client_poll(&self, client: Handle, now: u64, step: Option<&mut Step>) -> i32 {
        call!(self.icecast_ext_client_poll(client => Handle, now => u64, write(step) => *mut Step) -> i32)
    }

    pub(super) fn client_received(
        &self,
        client: Handle,
        data: Option<&[u8]>,
        taken: Option<&mut usize>,
    ) -> i32 {
        let (data, length) = bytes(data);
        call!(self.icecast_ext_client_received(client => Handle, 0 => u64, data => *const u8, length => usize, write(taken) => *mut usize) -> i32)
    }

    pub(super) fn client_closed(&self, client: Handle) -> i32 {
        call!(self.icecast_ext_client_closed(client => Handle, 0 => u64) -> i32)
    }

    pub(super) fn client_event(&self, client: Handle, event: Option<&mut Event>) -> i32 {
        call!(self.icecast_ext_client_event(client => Handle, write(event) => *mut Event) -> i32)
    }

    pub(super) fn client_stats(&self, client: Handle, stats: Option<&mut Stats>) -> i32 {
        call!(self.icecast_ext_client_stats(client => Handle, write(stats) => *mut Stats) -> i32)
    }

    pub(super) fn client_free(&self, client: Handle) -> i32 {
        call!(self.icecast_ext_client_free(client => Handle) -> i32)
    }

    pub(super) fn mount_options_init(&self, options: Option<&mut MountOptions>) -> i32 {
        call!(self.icecast_ext_mount_options_init(write(options) => *mut MountOptions) -> i32)
    }

    pub(super) fn mount_new(
        &self,
        options: Option<&MountOptions>,
        mount: Option<&mut Handle>,
    ) -> i32 {
        call!(self.icecast_ext_mount_new(read(options) => *const MountOptions, write(mount) => *mut Handle) -> i32)
    }

    pub(super) fn mount_state(&self, mount: Handle, state: Option<&mut MountState>) -> i32 {
        call!(self.icecast_ext_mount_state(mount => Handle, write(state) => *mut MountState) -> i32)
    }

    pub(super) fn mount_publish(&self, mount: Handle) -> i32 {
        call!(self.icecast_ext_mount_publish(mount => Handle, 0 => u64) -> i32)
    }

    pub(super) fn mount_free(&self, mount: Handle) -> i32 {
        call!(self.icecast_ext_mount_free(mount => Handle) -> i32)
    }

    pub(super) fn answer(
        &self,
        mount: Handle,
        head: Option<&[u8]>,
        listener: Option<&mut Handle>,
    ) -> i32 {
        let (head, length) = bytes(head);
        call!(self.icecast_ext_answer(mount => Handle, head => *const u8, length => usize, 0 => u64, write(listener) => *mut Handle) -> i32)
    }

    pub(super) fn listener_state(
        &self,
        listener: Handle,
        state: Option<&mut ListenerState>,
    ) -> i32 {
        call!(self.icecast_ext_listener_state(listener => Handle, write(state) => *mut ListenerState) -> i32)
    }

    pub(super) fn listener_sent(&self, listener: Handle, sent: usize) -> i32 {
        call!(self.icecast_ext_listener_sent(listener => Handle, sent => usize) -> i32)
    }

    pub(super) fn listener_free(&self, listener: Handle) -> i32 {
        call!(self.icecast_ext_listener_free(listener => Handle) -> i32)
    }

    pub(super) fn request_read(&self, head: Option<&[u8]>, request: Option<&mut Request>) -> i32 {
        let (head, length) = bytes(head);
        call!(self.icecast_ext_request_read(head => *const u8, length => usize, write(request) => *mut Request) -> i32)
    }
}
