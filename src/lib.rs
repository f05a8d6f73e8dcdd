//! A Socket.IO server, hand-written over raw tokio TCP.

pub mod cli;
pub mod close;
pub mod config;
pub mod ids;
pub mod proto;
pub mod session;
pub mod store;
