//! Bytes to sockets: what a mount holds, and the loops that send it.
//!
//! A pull (or a source) writes into a [`Mount`]; loops, one a core, each with its own epoll, send to listeners. No tokio,
//! no task and no queue a listener: a socket, a cursor, about a hundred bytes. The rooms, in the order a byte meets them:
//!
//! | room | idea |
//! |---|---|
//! | [`mount`] | a [`buffer`](icecast_ext_core::buffer) with one writer and many readers |
//! | `adopt` | a parent's relay feed, written into a mount |
//! | [`journal`] | the buffer on disk |
//! | `peek` | where bytes belong that somebody else has sent |
//! | [`clock`] | the time of day |
//! | `budget` | memory over all mounts: idle ones shrink first |
//! | `ticker` | publishes every mount once a tick, staggered |
//! | [`engine`] | the loops, admission, how listeners ended |
//! | `fanout` | a loop |
//! | `tally` | what went through a mount, counted once a tick |
//! | [`handover`] | a mount and its listeners, for another process |
//! | [`survey`] | where listeners stand, and whether the loops answer |
//! | `listener`, `socket` | one listener: its state, its system calls |
//!
//! ```
//! use std::sync::Arc;
//! use icecast_ext_core::{address::{Epoch, Offset}, buffer::RunStart, codec::Format};
//! use icecast_ext_delivery::{Engine, EngineConfig, MountConfig};
//!
//! # fn main() -> Result<(), icecast_ext_delivery::Error> {
//! let engine = Engine::start(EngineConfig::default(), |ended| println!("{ended:?}"))?;
//! let mount = engine.mount("/live.mp3", MountConfig::default());
//! mount.begin(RunStart {
//!     epoch: Epoch::from_bytes([7; 16]), // drawn at random
//!     first: Offset::ZERO,
//!     declared: true,
//!     format: Format::Mpeg,
//!     fields: "Content-Type: audio/mpeg\r\n".into(),
//!     prelude: None,
//! });
//! // mount.append(&bytes, Some(now_ms)); engine.admit(…);
//! engine.shutdown(std::time::Duration::from_secs(1));
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod adopt;
mod budget;
pub mod clock;
mod config;
pub mod engine;
mod error;
mod fanout;
pub mod handover;
pub mod journal;
mod listener;
pub mod mount;
mod peek;
mod peers;
mod socket;
pub mod survey;
mod tally;
mod ticker;

pub use adopt::Adopter;
pub use config::{EngineConfig, Listeners, MountConfig};
pub use engine::{Admission, Ended, Engine, Kind, Next, Reason, Released};
pub use error::Error;
pub use handover::Detached;
pub use journal::Journal;
pub use mount::Mount;
pub use socket::{Seal, Socket};
pub use survey::Survey;
pub use tally::{Passed, Tally};
