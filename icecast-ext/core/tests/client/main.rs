//! The client's rules, in virtual time.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod anchors;
mod caller;
mod http;
mod losses;
mod model;
mod moves;
mod play;
mod races;
mod relays;
mod stream;
mod titles;
mod unaware;
