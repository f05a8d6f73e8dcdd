//! The library's face: a Socket.IO server of namespaces, sockets, rooms, events and acks.
//!
//! Handles ([`Io`], [`Namespace`], [`Socket`], [`Broadcast`]) can be held and used anywhere. What they ask for is
//! done by the shards that hold the sockets, in the order in which one thread asks for it. Nothing here waits,
//! except what is `async`.

mod ack;
mod args;
mod binary;
mod broadcast;
mod cluster;
mod encode;
mod engine;
mod extensions;
mod handler;
mod handshake;
mod hub;
mod io;
mod local;
mod namespace;
mod op;
mod payload;
mod places;
mod recovery;
mod remote;
mod socket;

pub use ack::{Ack, AckError, Answers};
pub use args::{Args, ArgsError, Elements, FromArgs};
pub use binary::Binary;
pub use broadcast::Broadcast;
#[cfg(feature = "node")]
pub(crate) use cluster::SentElsewhere;
pub use cluster::{ClusterOptions, NodeAnswers, RoomsHeld, ServerSideHandler};
pub use engine::{Data, Engine, EngineSocket};
pub use extensions::Extensions;
pub use handler::{Event, Handler, Param};
pub use handshake::Handshake;
pub use io::{Io, IoBuilder, Joining, Server};
pub use namespace::{AnyEvent, DisconnectHandler, Namespace, Refused};
pub use payload::{EncodeError, Payload};
pub use recovery::{RecoveredSession, RecoveryOptions};
pub use remote::{Found, RemoteSocket};
pub use socket::{Patient, Socket, Volatile};
