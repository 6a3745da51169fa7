//! Epochs, sessions and joins: random octets, written in base64url.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Whether a text names an epoch or a session: 22 characters of base64url whose unused bits are zero (R-ADDR-4).
#[must_use]
pub fn is_name(text: &str) -> bool {
    decode(text).is_some()
}

/// The 16 octets of a name.
#[must_use]
pub fn decode(text: &str) -> Option<[u8; 16]> {
    let octets = URL_SAFE_NO_PAD.decode(text).ok()?;
    octets.try_into().ok()
}

/// A name's text.
#[must_use]
pub fn encode(octets: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

/// Octets of base64url, of any length.
#[must_use]
pub fn octets(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Random octets.
///
/// # Panics
/// If the system has no randomness to give.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut octets = [0; N];
    #[expect(
        clippy::expect_used,
        reason = "a name that can be guessed would be worse (R-ADDR-1)"
    )]
    getrandom::fill(&mut octets).expect("the system gives random octets");
    octets
}
