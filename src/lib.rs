//! A Socket.IO server, hand-written over raw tokio TCP.

pub mod proto;
