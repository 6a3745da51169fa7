//! The written protocol as data.
