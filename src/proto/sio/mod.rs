//! Socket.IO protocol 5: packets in text form, and the events inside them.
//!
//! Source: the Socket.IO protocol document, heading "Packet encoding". Only the header and an event's
//! name are looked at here, by scanning; the arguments stay the JSON text that they are, to be decoded
//! by whoever needs them, or passed on untouched. Attachments of binary packets are frames of their
//! own and never seen here.

mod args;
mod encode;
mod packet;
mod surrogates;

pub use args::{Args, is_json};
pub use encode::{encode_head, encode_string};
pub use packet::{DecodeError, Kind, Packet};
pub use surrogates::well_formed;

/// The namespace that every client may mean without naming it.
pub const ROOT: &str = "/";

/// Event names with a meaning of their own, which no peer may send (reference parser, `RESERVED_EVENTS`).
pub const RESERVED_EVENTS: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];
