//! HTTP/1.1 (RFC 9112), the server's side: request heads, request bodies, responses.
//!
//! [`RequestHead::decode`] takes a whole head or nothing, [`Body::decode`] takes what there is, and
//! [`encode_response`] writes a response. Where a proxy in front of us could read a request in another
//! way than we do (framing, line ends, Host), the request is refused instead of repaired. Nothing here
//! routes, knows Engine.IO, or holds more of a peer's bytes than the limit it was given.

mod body;
mod forwarded;
mod framing;
mod head;
mod query;
mod response;

pub use body::Body;
pub use forwarded::{BadNetwork, Network, X_FORWARDED_FOR, client_ip, is_trusted};
pub use framing::Framing;
pub use head::{HeadLimits, Method, RequestHead};
pub use query::parse_query;
pub(in crate::proto) use response::is_token;
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone, PartialEq)]
    struct Request {
        method: String,
        target: String,
        headers: Vec<(String, Vec<u8>)>,
        body: Vec<u8>,
    }

    const BODY_LIMIT: usize = 200;

    /// All requests in a stream that arrives in pieces of these sizes, over and over, and how it ended.
    fn requests(stream: &[u8], sizes: &[usize]) -> (Vec<Request>, Option<HttpError>) {
        let limits = HeadLimits { max_bytes: 300, max_headers: 8 };
        let (mut requests, mut buffer, mut body) = (Vec::new(), Vec::new(), None);
        let (mut rest, mut sizes) = (stream, sizes.iter().cycle());
        loop {
            let step = match &mut body {
                None => RequestHead::decode(&buffer, &limits).and_then(|decoded| {
                    let Some((head, consumed)) = decoded else { return Ok(false) };
                    buffer.drain(..consumed);
                    body = Some(Body::new(head.framing(), BODY_LIMIT)?);
                    requests.push(Request {
                        method: head.method_str().to_owned(),
                        target: head.target().to_owned(),
                        headers: head
                            .headers()
                            .map(|(name, value)| (name.to_owned(), value.to_vec()))
                            .collect(),
                        body: Vec::new(),
                    });
                    Ok(true)
                }),
                Some(decoder) => {
                    let out = &mut requests.last_mut().expect("a body follows a head").body;
                    decoder.decode(&buffer, out).map(|(consumed, done)| {
                        buffer.drain(..consumed);
                        if done {
                            body = None;
                        }
                        done
                    })
                }
            };
            match step {
                Ok(true) => {}
                Ok(false) if rest.is_empty() => return (requests, None),
                Ok(false) => {
                    let (piece, later) = rest.split_at(rest.len().min(*sizes.next().expect("a cycle")));
                    buffer.extend_from_slice(piece);
                    rest = later;
                }
                Err(error) => return (requests, Some(error)),
            }
        }
    }

    fn request() -> impl Strategy<Value = Vec<u8>> {
        let body = prop_oneof![Just(None), proptest::collection::vec(any::<u8>(), 0..80).prop_map(Some),];
        let headers = proptest::collection::vec(("[A-Za-z-]{1,8}", "[ -~]{0,12}"), 0..4);
        ("[A-Z]{1,5}", "/[a-z?=&%+]{0,10}", headers, body, 0..9_usize, any::<bool>()).prop_map(
            |(method, target, headers, body, chunk, trailer)| {
                let mut out = format!("{method} {target} HTTP/1.1\r\nHost: h\r\n").into_bytes();
                for (name, value) in headers {
                    out.extend(format!("{name}: {value}\r\n").bytes());
                }
                match (body, chunk) {
                    (None, _) => out.extend(b"\r\n"),
                    (Some(body), 0) => {
                        out.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes());
                        out.extend(body);
                    }
                    (Some(body), chunk) => {
                        out.extend(b"Transfer-Encoding: chunked\r\n\r\n");
                        for chunk in body.chunks(chunk * 7) {
                            out.extend(format!("{:x};x\r\n", chunk.len()).bytes());
                            out.extend(chunk);
                            out.extend(b"\r\n");
                        }
                        let end = if trailer { "0\r\nT: t\r\n\r\n" } else { "0\r\n\r\n" };
                        out.extend(end.bytes());
                    }
                }
                out
            },
        )
    }

    proptest! {
        #[test]
        fn pipelined_requests_come_out_alike_in_any_pieces(
            stream in proptest::collection::vec(request(), 1..5),
            sizes in proptest::collection::vec(1..60_usize, 1..6),
            damage in proptest::option::weighted(0.3, (any::<prop::sample::Index>(), any::<u8>())),
        ) {
            let count = stream.len();
            let mut stream = stream.concat();
            if let Some((at, byte)) = damage {
                let at = at.index(stream.len());
                stream[at] = byte;
            }
            let (whole, error) = requests(&stream, &[stream.len()]);
            if damage.is_none() {
                prop_assert_eq!((whole.len(), error), (count, None));
            }
            prop_assert_eq!(requests(&stream, &[1]), (whole.clone(), error));
            prop_assert_eq!(requests(&stream, &sizes), (whole, error));
        }

        #[test]
        fn a_body_comes_out_as_it_was_sent(
            body in proptest::collection::vec(any::<u8>(), 0..BODY_LIMIT),
            chunk in 1..300_usize,
        ) {
            let mut stream = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            for chunk in body.chunks(chunk) {
                stream.extend(format!("{:X}\r\n", chunk.len()).bytes());
                stream.extend(chunk);
                stream.extend(b"\r\n");
            }
            stream.extend(b"0\r\n\r\n");
            let (requests, error) = requests(&stream, &[stream.len()]);
            prop_assert_eq!(error, None);
            prop_assert_eq!(&requests[0].body, &body);
        }
    }
}
