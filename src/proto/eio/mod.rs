//! Engine.IO protocol 4: packets, and the payloads that carry several of them over HTTP.
//!
//! Source: the Engine.IO protocol document, headings "Packet encoding" and "HTTP long-polling". A packet
//! borrows from the text that it was found in; only base64 is decoded into memory of its own.

mod open;
mod packet;
mod payload;

pub use open::{Open, Upgrades};
pub use packet::{DecodeError, Packet};
pub use payload::{PayloadWriter, decode_payload};
