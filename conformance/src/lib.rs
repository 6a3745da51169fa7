//! A conformance suite for servers of the resume extension to the Icecast protocol.
//!
//! It knows the written protocol (`icecast-ext-spec`) and nothing of any implementation: all that it reads from the wire it
//! reads with parsers of its own.
//!
//! - what is judged, and how: [`case`], [`cases`], [`profile`], [`target`]
//! - one run: [`runner`], [`session`] (what a case may do), [`known`] (failures that are expected), [`report`]
//! - what goes over the wire: [`http`], [`connection`], [`exchange`], [`field`], [`structured`], [`icy`], [`frame`], [`anchor`]
//! - what the suite plays itself: [`content`], [`source`], [`stage`] (its mounts)
//! - a small server of its own, which also misbehaves on demand: [`mod@reference`]
//! - shared objects with the C interface: [`abi`], the only room with `unsafe` in it
//! - clients: what judges them, [`client`], and a small one of its own, which also misbehaves on demand, [`listen`]
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use icecast_ext_conformance::{cases, runner, target::Target};
//!
//! let target = Target::new("http://127.0.0.1:8000/live.mp3")?;
//! let report = runner::run(target, &cases::all(), &runner::Options::default()).await;
//! assert!(report.is_good(false));
//! # Ok(()) }
//! ```

pub mod abi;
pub mod anchor;
pub mod case;
pub mod cases;
pub mod client;
pub mod connection;
pub mod content;
pub mod discovery;
pub mod exchange;
pub mod field;
pub mod frame;
pub mod http;
pub mod icy;
pub mod known;
pub mod listen;
pub mod profile;
pub mod reference;
pub mod report;
pub mod runner;
pub mod session;
pub mod source;
pub mod stage;
pub mod structured;
pub mod target;
