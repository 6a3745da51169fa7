//! Client and server of the C interface, put together in memory: what is given to one is what the other gave.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]
#![expect(unsafe_code, reason = "it is a C interface")]

mod client;
mod cuts;
mod hostile;
mod mount;
mod server;

use std::sync::Once;

/// `icecast_ext_init`, once.
fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        assert_eq!(
            icecast_ext::icecast_ext_init(icecast_ext::ICECAST_EXT_ABI),
            0
        )
    });
}

/// Bytes that look like noise, and can be told from those before and after.
fn noise(from: usize, len: usize) -> Vec<u8> {
    let byte = |i: usize| ((i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8;
    (from..from + len).map(byte).collect()
}
