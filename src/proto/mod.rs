//! The wire, without I/O: pure codecs for HTTP/1.1, WebSocket, Engine.IO and Socket.IO.
//!
//! Bytes in, values out, and back. Nothing here knows tokio, a clock, a lock or a log. A decoder
//! answers "need more", a value, or an error; it takes whole items only, and checks a limit on the
//! header before it reserves a byte. However the input is cut into chunks, the output is the same.

mod decimal;
pub mod eio;
pub mod http;
pub mod sio;
pub mod ws;

#[cfg(feature = "redis")]
pub(crate) use decimal::push_decimal;
