//! The module for an unmodified Icecast: `LD_PRELOAD=libicecast_ext_preload.so icecast2 -c icecast.xml`.
//!
//! Every client stays Icecast's client; only what it sends to listeners is sent by our loops, from our buffer. The rooms:
//!
//! | room | idea |
//! |---|---|
//! | `start` | whether we take part, and from when on |
//! | `hooks` | the functions that stand in front of the server's |
//! | `real` | those behind them |
//! | `table`, `client` | what is known of a descriptor, and what the server's calls on it mean |
//! | `reading` | a request's head on its way in |
//! | `source`, `title` | sources, their bytes, their titles |
//! | `station`, `addresses` | streams, and where the server's memory has their bytes |
//! | `asked`, `answer`, `serve` | the server's yes, where we start, and our answer |
//! | `gather`, `heard`, `locate`, `phase` | where what the server sends stands in a stream |
//! | `shadow` | a listener that a loop sends to, and the oracle |
//! | `wire`, `tls` | the way to a client, plain or OpenSSL's |
//! | `module`, `config` | what they share |

#![cfg_attr(
    test,
    expect(
        dead_code,
        reason = "tests do not stand in front of libc, and call single rooms"
    )
)]

mod addresses;
mod answer;
mod asked;
mod client;
mod config;
mod gather;
mod heard;
#[expect(unsafe_code, reason = "stands in front of C functions")]
#[cfg_attr(
    test,
    expect(non_snake_case, reason = "C names, which tests do not export")
)]
mod hooks;
mod locate;
mod module;
mod phase;
mod reading;
#[expect(unsafe_code, reason = "looks C functions up")]
mod real;
mod serve;
mod shadow;
mod source;
#[expect(unsafe_code, reason = "runs before the server, and asks libc")]
mod start;
mod station;
mod table;
mod title;
#[expect(unsafe_code, reason = "calls the server's libssl")]
mod tls;
#[expect(unsafe_code, reason = "uses the server's descriptors")]
mod wire;

/// So many random bytes; `None` if there are none.
fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    match getrandom::fill(&mut bytes) {
        Ok(()) => Some(bytes),
        Err(error) => {
            tracing::error!(%error, "no randomness");
            None
        }
    }
}
