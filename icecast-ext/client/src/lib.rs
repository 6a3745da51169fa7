//! The resuming listener.
