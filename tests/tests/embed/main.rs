//! The C library as others use it: installed, compiled against, linked; with real servers, sources and cuts.

mod built;
mod cuts;
mod library;
mod size;
