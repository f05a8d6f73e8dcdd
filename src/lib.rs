//! A Socket.IO server, hand-written over raw tokio TCP.

pub mod api;
pub mod cli;
pub mod close;
pub mod config;
pub mod ids;
pub mod im;
pub mod node;
pub mod proto;
pub mod session;
pub mod shard;
pub mod socketio;
pub mod store;

pub use close::CloseReason;
pub use ids::{Sid, SocketId};
pub use session::{Settings, Transport};
pub use shard::{Cors, HttpOptions, Limits, Request};
pub use socketio::*;
