//! The state machines, without I/O: an Engine.IO session with its heartbeat, upgrade and outbox, and
//! what Socket.IO needs per client and per socket.
//!
//! Driven, never driving: whoever holds a session tells it what happened and when (`handle_*`), and asks
//! what is to be done (`poll_*`). Nothing here reads a clock, a socket or a log, so every race is
//! tested on virtual time.

mod acks;
mod engine;
mod namespaces;
mod outbox;
mod reassembly;
mod settings;
mod time;
mod upgrade;

#[cfg(test)]
mod tests;

pub use acks::Acks;
pub use engine::{Link, Message, Output, Overlap, Session, Transport};
pub use namespaces::{Namespaces, Violation};
pub use outbox::Outbox;
pub use reassembly::{Binary, Reassembly, Unexpected};
pub use settings::Settings;
pub use time::Time;
pub use upgrade::Refused;
