//! Bytes to sockets.
