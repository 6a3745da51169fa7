//! The resuming listener: one unbroken byte stream over whatever connections and relays it takes.
//!
//! The decisions are those of [`icecast_ext_core::client`]; this crate lends them a clock, sockets and randomness.
//!
//! | room | idea |
//! |---|---|
//! | [`Builder`] | relays and options; defaults that suit a desktop |
//! | [`Listener`] | [`Event`]s: audio, titles, moves, splices, losses; moves to another relay in one call |
//! | [`Reader`] | the bytes alone, as [`tokio::io::AsyncRead`] |
//! | `http` | reqwest: redirects, proxies, TLS |
//! | `clock` | time that goes on while the device sleeps |
//!
//! ```no_run
//! use icecast_ext_client::{Event, Listener};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let mut listener = Listener::builder(["http://one.example/live", "http://two.example/live"])
//!     .icy(true)
//!     .open()?;
//! loop {
//!     match listener.next().await? {
//!         Event::Prelude(bytes) | Event::Audio(bytes) => print!("{} ", bytes.len()),
//!         Event::Title(title) => println!("{}", String::from_utf8_lossy(&title.text)),
//!         Event::Lost(loss) => println!("{:?} bytes lost: {}", loss.bytes, loss.why),
//!         other => println!("{other:?}"),
//!     }
//! }
//! # }
//! ```
//!
//! A Shoutcast server that answers `ICY 200 OK` instead of HTTP is not understood: reqwest's parser refuses it, and it counts
//! as a relay that gives no answer.
#![forbid(unsafe_code)]

mod builder;
mod clock;
mod http;
mod listener;
mod reader;
pub mod trust;

pub use builder::Builder;
pub use icecast_ext_core::address::{Epoch, Offset, Position};
pub use icecast_ext_core::client::{
    ClientError, Event, GaveUp, Loss, Move, Note, Outcome, Proven, Start, Stats, Title, Trouble,
    Why,
};
pub use icecast_ext_core::field::Miss;
pub use listener::Listener;
pub use reader::Reader;

/// Why there is no audio.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The list of relays is empty, or has something in it that is no URL; there is no relay to move to.
    #[error(transparent)]
    Relays(#[from] ClientError),
    /// reqwest cannot be set up.
    #[error("the HTTP client cannot be set up: {0}")]
    Http(#[source] reqwest::Error),
    /// The authorities that were named cannot be trusted.
    #[error(transparent)]
    Trust(#[from] trust::TrustError),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(#[source] getrandom::Error),
    /// No relay has given audio for so long that the listener has ended.
    #[error(transparent)]
    GaveUp(#[from] GaveUp),
}
