//! WebSocket (RFC 6455): the upgrade request, frames, messages, the closing handshake.
//!
//! [`check_upgrade`] judges a request head, [`Decoder`] turns bytes into messages and control frames, and
//! the encoders write a server's frames, never masked and never fragmented. What a peer does wrong is a
//! [`Fault`] with the close code to answer. Nothing here inflates: a compressed message (RFC 7692) is
//! passed on as it came.

mod close;
mod decoder;
mod encode;
mod event;
mod frame;
mod handshake;
mod mask;
mod utf8;

pub use close::{encode_close, is_valid_close_code};
pub use decoder::Decoder;
pub use encode::{encode_header, server_header, server_header_len};
pub use event::{Event, Limits, Role};
pub use frame::{FrameHeader, MAX_CONTROL_BYTES, Opcode};
pub use handshake::{HandshakeError, accept_key, check_upgrade, subprotocol};
pub use mask::unmask;
pub use utf8::Utf8;

/// What a peer did against the protocol, as the close frame that answers it. After one the decoder is of
/// no more use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{reason} ({code})")]
pub struct Fault {
    /// 1002 protocol error, 1007 invalid payload data, or 1009 message too big (RFC 6455 section 7.4.1).
    pub code: u16,
    /// For the close frame and the log.
    pub reason: &'static str,
}

impl Fault {
    const fn protocol(reason: &'static str) -> Self {
        Self { code: 1002, reason }
    }

    const NOT_UTF8: Self = Self { code: 1007, reason: "text is not UTF-8" };
    const TOO_BIG: Self = Self { code: 1009, reason: "message too big" };
}
