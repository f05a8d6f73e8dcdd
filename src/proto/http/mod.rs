//! HTTP/1.1 (RFC 9112), the server's side: request heads, request bodies, responses.
//!
//! [`RequestHead::decode`] takes a whole head or nothing, [`Body::decode`] takes what there is, and
//! [`encode_response`] writes a response. Where a proxy in front of us could read a request in another
//! way than we do (framing, line ends, Host), the request is refused instead of repaired. Nothing here
//! routes, knows Engine.IO, or holds more of a peer's bytes than the limit it was given.

mod body;
mod head;
mod query;
mod response;

pub use body::{Body, Framing};
pub use head::{HeadLimits, Method, RequestHead};
pub use query::parse_query;
pub use response::{Status, encode_response};

/// Why a request is refused. After one the connection can only be answered and closed: where the next
/// request would start is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// Not a request by RFC 9112, or one that could be read in two ways.
    #[error("bad request: {0}")]
    BadRequest(&'static str),
    /// The head is longer than `max_bytes`, or has more than `max_headers` fields.
    #[error("request head too large")]
    HeadTooLarge,
    /// The body is, or says that it will be, over the limit.
    #[error("request body too large")]
    BodyTooLarge,
    /// A transfer-coding other than `chunked`.
    #[error("not implemented: {0}")]
    NotImplemented(&'static str),
    /// An HTTP version other than 1.0 and 1.1.
    #[error("HTTP version not supported")]
    Version,
}

impl HttpError {
    /// The status to answer with.
    pub fn status(&self) -> Status {
        Status(match self {
            Self::BadRequest(_) => 400,
            Self::HeadTooLarge => 431,
            Self::BodyTooLarge => 413,
            Self::NotImplemented(_) => 501,
            Self::Version => 505,
        })
    }
}
