//! The C library as others use it: installed, compiled against, linked; with real servers, sources and cuts.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod built;
mod cuts;
mod library;
mod size;
