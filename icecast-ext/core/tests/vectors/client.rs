//! `client.json`
