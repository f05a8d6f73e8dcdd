//! A Socket.IO server, hand-written over raw tokio TCP: a library, and a node of an instant-messaging service.
//!
//! It speaks Engine.IO 4 and Socket.IO 5 over HTTP long-polling and WebSocket, to unmodified clients.
//!
//! ```no_run
//! use tokio_socketio::{Io, Socket};
//!
//! #[tokio::main]
//! async fn main() -> std::io::Result<()> {
//!     let io = Io::new();
//!     // A handler's parameters say what it wants: the socket, arguments of any type, a way to answer.
//!     io.on("say", |socket: Socket, room: String, text: String| async move {
//!         socket.to(room).emit("said", text);
//!     });
//!     // What it returns is the answer to a client that asks for an ack.
//!     io.on("add", |a: i64, b: i64| async move { a + b });
//!     io.serve("127.0.0.1:3000").await
//! }
//! ```
//!
//! # The map
//!
//! Each layer knows only those that stand above it in this list; `docs/architecture.md` tells why.
//!
//! | module | what it is |
//! |---|---|
//! | [`ids`], [`close`] | names of things; why sessions end |
//! | [`bus`] | between nodes: messages on channels, in one process or over Redis |
//! | [`proto`] | the wire without I/O: HTTP, WebSocket, Engine.IO, Socket.IO |
//! | [`session`] | the state machines without I/O or clock |
//! | [`shard`] | threads, connections, and the tables they live in |
//! | [`socketio`] | the library's face: [`Io`], [`Namespace`], [`Socket`], [`Broadcast`], [`Ack`] |
//! | `limiter` | how often somebody may do something (feature `node`) |
//! | `auth`, `timestamp` | tokens and passwords, moments in UTC (feature `auth`) |
//! | `store`, `presence` | messages on disk, who is online (feature `node`) |
//! | `im`, `api` | the IM service, the HTTP port (feature `node`) |
//! | `config`, `cli`, `node` | settings, command line, and all of it wired up (feature `node`) |

pub mod bus;
mod busy_poll;
pub mod close;
pub mod ids;
pub mod proto;
pub mod session;
pub mod shard;
pub mod socketio;
mod turns;
mod under_way;

#[cfg(feature = "node")]
pub mod api;
#[cfg(feature = "auth")]
pub mod auth;
#[cfg(feature = "node")]
pub mod cli;
#[cfg(feature = "node")]
pub mod config;
#[cfg(feature = "node")]
pub mod im;
#[cfg(feature = "node")]
pub mod limiter;
#[cfg(feature = "node")]
pub mod node;
#[cfg(feature = "node")]
pub mod presence;
#[cfg(feature = "node")]
pub mod store;
#[cfg(feature = "auth")]
pub mod timestamp;

pub use close::CloseReason;
pub use ids::{Sid, SocketId};
pub use proto::http::RequestHead;
pub use session::{Settings, Transport};
pub use shard::{Cors, HttpOptions, Limits, Request};
pub use socketio::*;
