//! The resume extension to the Icecast protocol, without sockets, tasks, clock or randomness.
//!
//! Bytes and `now` go in, decisions come out. The rooms, in the order a byte meets them:
//!
//! | room | idea |
//! |---|---|
//! | [`address`] | every byte's name: epoch, offset, position, window |
//! | [`head`] | request and response heads, strict and bounded |
//! | [`field`] | `Resume-Offset`, `Stream-Offset`, `Stream-Window`, `Link` |
//! | [`range`] | `Range` and `Content-Range` |
//! | [`wanted`] | what a request wants of a mount |
//! | [`chunked`] | the chunked transfer coding of a source |
//! | [`icy`] | metadata blocks, in and out of a body |
//! | [`codec`] | where frames, pages and clusters begin; preludes |
//! | [`heal`] | does a burst continue a buffer? |
//! | [`timeline`] | a mount's epochs, titles, times, splices |
//! | [`buffer`] | a mount's bytes, before and after they are published; a relay feed written into them |
//! | [`resume`] | where an answer starts |
//! | [`plan`] | what a listener is sent from there |
//! | [`stock`] | players that know nothing of us, and resume with `Range` |
//! | [`anchor`] | where do a client's last bytes stand, if nobody knows its epoch? |
//! | [`alias`] | which epoch of another server has the same bytes as ours? |
//! | [`answer`] | short answers, and the heads of streams |
//! | [`frame`] | the relay feed's frames |
//! | [`client`] | the resuming client as a state machine |
#![forbid(unsafe_code)]

pub mod address;
pub mod alias;
pub mod anchor;
pub mod answer;
pub mod buffer;
pub mod chunked;
pub mod client;
pub mod codec;
pub mod field;
pub mod frame;
pub mod head;
pub mod heal;
pub mod icy;
pub mod plan;
pub mod range;
pub mod resume;
pub mod stock;
pub mod timeline;
pub mod wanted;
