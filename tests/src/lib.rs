//! End to end harness: the real Icecast, real encoders, our binary, and everything that can go wrong between them.
//!
//! The rooms, in the order of a stream's way:
//!
//! | room | idea |
//! |---|---|
//! | [`encoder`] | ffmpeg as a source: six formats, content that never repeats, what was sent kept in a file |
//! | [`source`] | sources of our own: PUT, chunked PUT, SOURCE, at a given rate |
//! | [`marked`] | streams in which each byte says where it stands |
//! | [`studio`] | ezstream and liquidsoap |
//! | [`icecast`] | a stock Icecast 2.4.4 of its own, killed and restarted on the same port |
//! | [`module`] | the module that such an Icecast is started with |
//! | [`faults`] | system calls of it that fail when a test says so |
//! | [`hooks`] | the server that Icecast's URL authentication asks |
//! | [`metadata`] | titles through `/admin/metadata` |
//! | [`upstream`] | a server that says exactly what a test wants it to say |
//! | [`proxy`] | the `icecast-ext` binary |
//! | [`cutter`] | a wire that is cut where the test says |
//! | [`http`] | requests and answers as bytes; no parser shared with the product |
//! | [`tap`] | a listener that records everything |
//! | [`crowd`] | thousands of stock listeners, each checked byte by byte |
//! | [`ears`] | listeners of every kind that check every byte and keep none |
//! | [`tls`] | certificates of our own, and connections that trust them |
//! | [`icy`] | metadata blocks out of a recorded body |
//! | [`stage`] | Icecast, the proxy, and somebody who listens all the while |
//! | [`feed`] | relay frames, right and wrong |
//! | [`heard`] | the resuming client, and everything it tells |
//! | [`browser`] | a headless Chromium |
//! | [`player`] | stock players, from ffmpeg to Firefox |
//! | [`truth`] | slices, hashes, the first difference, does it decode |
//! | [`disk`] | a small disk that gets full or read-only |
//! | [`manager`] | a service manager that listens to what it is told |
//! | [`debian`] | a clean Debian with a systemd of its own, for the package |
//! | [`child`], [`port`], [`wait`], [`chance`] | processes that end with the test, free ports, conditions, seeded randomness |
//!
//! Nothing here sleeps to wait for a state, and every process started here ends with the test, however that ends.

pub mod browser;
pub mod chance;
pub mod child;
pub mod crowd;
pub mod cutter;
pub mod debian;
pub mod disk;
pub mod ears;
pub mod encoder;
pub mod faults;
pub mod feed;
pub mod heard;
pub mod hooks;
pub mod http;
pub mod icecast;
pub mod icy;
pub mod manager;
pub mod marked;
pub mod metadata;
pub mod module;
pub mod player;
pub mod port;
pub mod proxy;
pub mod source;
pub mod stage;
pub mod studio;
pub mod tap;
pub mod tls;
pub mod truth;
pub mod upstream;
pub mod wait;
