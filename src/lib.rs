//! A Socket.IO server, hand-written over raw tokio TCP.

pub mod close;
pub mod ids;
pub mod proto;
pub mod session;
pub mod shard;
