//! The resume extension as a C library: `icecast_ext.h` and `libicecast_ext`.
//!
//! | room | idea |
//! |---|---|
//! | `abi` | do header and library mean the same? |
//! | `result` | what every call returns |
//! | `record` | structs that begin with their size, strings, bytes |
//! | `handle` | handles that can be told from what is none |
//! | `arena` | a client's memory: one block |
//! | `client` | the resuming client |
//! | `mount` | a source's bytes, with their addresses |
//! | `listener` | from a request's head to the bytes that are sent |
//! | `request` | request heads, for hosts without a parser |
//!
//! Every call is a `guard(|| …)`: a panic becomes a result. Handles are numbers, not addresses, so that one that was freed is
//! told from one that is. What is left that a caller can get wrong is memory: a pointer that is not NULL must point to what it
//! says, for as long as the call lasts.
#![expect(
    unsafe_code,
    reason = "a C interface: pointers come in, and nobody but the caller knows what they point to"
)]

mod abi;
mod arena;
mod client;
mod handle;
mod listener;
mod mount;
mod record;
mod request;
mod result;

pub use abi::*;
pub use client::*;
pub use listener::*;
pub use mount::*;
pub use request::*;
pub use result::*;
