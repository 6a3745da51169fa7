//! An unmodified Icecast with the module does what it does without: each scenario runs twice, and what is seen is the same.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot be had fails the test"
)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use icecast_ext_tests::http::{self, Answer, Head};
use icecast_ext_tests::icecast::{Icecast, PASSWORD, Setup, Socket};
use icecast_ext_tests::marked::{self, order, pieces};
use icecast_ext_tests::source::{Method, Source, Streaming};
use icecast_ext_tests::tap::Tap;
use icecast_ext_tests::wait::{wait_for, wait_until};

use air::{Air, RATE, air, hear, hear_with, heard, mount};
use seen::Seen;
use twice::{Run, twice};

mod air;
mod seen;
mod table;
mod twice;

mod accounts;
mod admin;
mod fallbacks;
mod formats;
mod joins;
mod limits;
mod logs;
mod orders;
mod pages;
mod readers;
mod relays;
mod reload;
mod running;
mod scripts;
mod sockets;
mod titles;
mod wire;

const SOON: Duration = Duration::from_secs(15);
