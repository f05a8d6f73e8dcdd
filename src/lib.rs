//! A Socket.IO server, hand-written over raw tokio TCP.

pub mod ids;
pub mod proto;
