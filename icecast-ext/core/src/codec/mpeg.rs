//! mpeg
