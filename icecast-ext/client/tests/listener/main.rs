//! The listener against small servers on real sockets.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod cuts;
mod moves;
mod server;
mod stitch;
mod web;
