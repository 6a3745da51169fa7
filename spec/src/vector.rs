//! The test vectors, typed.
