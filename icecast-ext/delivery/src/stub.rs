//! stub
#![allow(missing_docs)]
use crate::Socket;
pub trait Seal: Send + std::fmt::Debug { fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize>; fn read(&mut self, scrap: &mut [u8]) -> std::io::Result<usize>; fn close(&mut self); }
impl Socket { pub fn sealed(s: std::net::TcpStream, _seal: Box<dyn Seal>) -> Self { s.into() } }
