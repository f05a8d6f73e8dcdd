//! The client's side of the wire, written apart from the library on purpose: a bug there must not be mirrored here.

pub mod http;
pub mod im;
pub mod packet;
pub mod payload;
pub mod ws;
