//! libogg's: the pages that the server makes of Ogg Vorbis are what its listeners get.

use std::ffi::{c_int, c_void};

use super::with_client;
use crate::client::Stage;
use crate::real::{Page, real};
use crate::source;

/// A page that the server has made, in the thread of the source that it is made of.
fn made(made: c_int, page: *const Page) -> c_int {
    if made > 0
        && let Some(fd) = source::current()
    {
        // SAFETY: libogg has filled it, and its bytes stand until the next call for this stream.
        let (header, body) = unsafe {
            let page = &*page;
            let bytes = |start: *const u8, len: i64| match usize::try_from(len) {
                Ok(len @ 1..) => std::slice::from_raw_parts(start, len),
                _ => &[],
            };
            (
                bytes(page.header, page.header_len),
                bytes(page.body, page.body_len),
            )
        };
        let _ = with_client(fd, |client, _| {
            if let Stage::Source(source) = &client.stage {
                source.page(header, body);
            }
            Ok(0)
        });
    }
    made
}

/// # Safety
/// As `ogg_stream_pageout`.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn ogg_stream_pageout(stream: *mut c_void, page: *mut Page) -> c_int {
    let Some(functions) = real().ogg else {
        return 0;
    };
    // SAFETY: the caller's arguments.
    made(unsafe { (functions.pageout)(stream, page) }, page)
}

/// # Safety
/// As `ogg_stream_flush`.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn ogg_stream_flush(stream: *mut c_void, page: *mut Page) -> c_int {
    let Some(functions) = real().ogg else {
        return 0;
    };
    // SAFETY: the caller's arguments.
    made(unsafe { (functions.flush)(stream, page) }, page)
}
