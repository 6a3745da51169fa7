//! Players that know nothing of us are cut, and come back to the exact byte.
//!
//! Real players, a real Icecast, the proxy in front of it, and a wire for each player that is cut ten times: nine times by
//! the wire, once because the proxy is killed and started again.

mod case;
mod drain;
mod jars;
mod matrix;
mod radio;
mod table;
mod trial;
mod unable;
mod verdict;
