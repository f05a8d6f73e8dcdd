//! A request's head: decoded once, checked once, then kept for the life of a socket as its handshake.
//!
//! The head is the bytes as they came, in one box, and where the fields lie in them, in another. Before
//! `decode` answers with one it has settled what the body's framing is and refused what is ambiguous: bare
//! CR or LF, folded lines, a space before the colon, two lengths, no Host or two.

use std::borrow::Cow;
use std::mem::MaybeUninit;
use std::ops::Range;

use super::response::is_token_byte;
use super::{Framing, HttpError, parse_query};

/// More fields than this are refused whatever [`HeadLimits::max_headers`] says.
const MAX_HEADERS: usize = 256;
/// Empty lines that may stand before the request line (RFC 9112 section 2.2).
const MAX_LEADING_EMPTY_LINES: usize = 4;

/// How large a head may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// From the first byte to the empty line, both included; at most 65,535.
    pub max_bytes: usize,
    /// Header fields; at most 256.
    pub max_headers: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self { max_bytes: 16 * 1024, max_headers: 100 }
    }
}

/// A request method. They are case-sensitive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Options,
    Patch,
    Connect,
    Trace,
    /// Any other token: see [`RequestHead::method_str`].
    Other,
}

/// A request's head, owned: two boxes, whatever it holds.
#[derive(Debug, Clone)]
pub struct RequestHead {
    /// From the method to the empty line.
    raw: Box<[u8]>,
    fields: Box<[Field]>,
    target: Span,
    path: Span,
    query: Span,
    framing: Framing,
    method: Method,
    http_11: bool,
}

/// A part of `raw`; u16 because a head is at most 65,535 bytes.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: u16,
    end: u16,
}

#[derive(Debug, Clone, Copy)]
struct Field {
    name: Span,
    value: Span,
}

impl RequestHead {
    /// Decodes the head at the front of `input`.
    ///
    /// `Ok(None)`: it has not arrived whole. `Ok(Some((head, consumed)))`: the body, or the next request,
    /// begins behind `consumed`. Bytes past `limits.max_bytes` are never looked at. The answer depends on
    /// the bytes alone, not on how many calls they came in.
    pub fn decode(input: &[u8], limits: &HeadLimits) -> Result<Option<(RequestHead, usize)>, HttpError> {
        let max_bytes = limits.max_bytes.min(usize::from(u16::MAX));
        let input = &input[..input.len().min(max_bytes)];
        match find_head(input)? {
            Some(range) => Ok(Some((Self::parse(&input[range.clone()], limits)?, range.end))),
            None if input.len() == max_bytes => Err(HttpError::HeadTooLarge),
            None => Ok(None),
        }
    }

    /// Parses `raw`, which is one head from its method to its empty line.
    fn parse(raw: &[u8], limits: &HeadLimits) -> Result<RequestHead, HttpError> {
        let mut slots = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let slots = &mut slots[..limits.max_headers.min(MAX_HEADERS)];
        let mut request = httparse::Request::new(&mut []);
        let parsed =
            httparse::ParserConfig::default().parse_request_with_uninit_headers(&mut request, raw, slots);
        match parsed {
            Ok(httparse::Status::Complete(length)) if length == raw.len() => {}
            Ok(_) => return Err(HttpError::BadRequest("head")),
            Err(error) => return Err(refusal(error, raw)),
        }
        let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version)
        else {
            return Err(HttpError::BadRequest("request line"));
        };
        let http_11 = version == 1;
        let target = Span::of(raw, target.as_bytes());
        let (path, query) = split_target(&raw[target.range()], target.start);
        Ok(RequestHead {
            framing: check_fields(request.headers, http_11)?,
            method: method_of(method),
            fields: request
                .headers
                .iter()
                .map(|field| Field {
                    name: Span::of(raw, field.name.as_bytes()),
                    value: Span::of(raw, field.value),
                })
                .collect(),
            target,
            path,
            query,
            http_11,
            raw: raw.into(),
        })
    }

    /// The method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The method as it was sent.
    pub fn method_str(&self) -> &str {
        self.text(Span { start: 0, end: self.target.start.saturating_sub(1) })
    }

    /// The request target as it was sent.
    pub fn target(&self) -> &str {
        self.text(self.target)
    }

    /// The target's path, not decoded. Of an absolute target the path only; never empty.
    pub fn path(&self) -> &str {
        match self.text(self.path) {
            "" => "/",
            path => path,
        }
    }

    /// The target's query without its `?`, not decoded; empty if there is none.
    pub fn query(&self) -> &str {
        self.text(self.query)
    }

    /// The first value of this query parameter, decoded.
    pub fn query_get(&self, name: &str) -> Option<Cow<'_, str>> {
        parse_query(self.query()).find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The first value of this header, if it is UTF-8. Names are compared without case.
    pub fn header<'a>(&'a self, name: &str) -> Option<&'a str> {
        self.header_bytes(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The first value of this header, without the whitespace around it.
    pub fn header_bytes<'a>(&'a self, name: &str) -> Option<&'a [u8]> {
        self.header_values(name).next()
    }

    /// All headers in the order in which they came.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.iter().map(|field| (self.text(field.name), &self.raw[field.value.range()]))
    }

    /// Whether `token` is in the comma-separated list that all headers of this name make up. Both are
    /// compared without case.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.header_values(name).any(|value| list_has(value, token))
    }

    /// Whether the request is HTTP/1.1; otherwise it is HTTP/1.0.
    pub fn is_http_11(&self) -> bool {
        self.http_11
    }

    /// Whether the connection stays open after the response (RFC 9112 section 9.3).
    pub fn keep_alive(&self) -> bool {
        !self.has_token("connection", "close") && (self.http_11 || self.has_token("connection", "keep-alive"))
    }

    /// How the body ends.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Whether the client waits for a `100 Continue` before it sends the body (RFC 9110 section 10.1.1).
    pub fn expects_continue(&self) -> bool {
        self.http_11 && self.framing != Framing::None && self.has_token("expect", "100-continue")
    }

    /// All values of this header, in order.
    pub fn header_values<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        self.fields
            .iter()
            .filter(move |field| self.raw[field.name.range()].eq_ignore_ascii_case(name.as_bytes()))
            .map(|field| &self.raw[field.value.range()])
    }

    fn text(&self, span: Span) -> &str {
        std::str::from_utf8(&self.raw[span.range()]).unwrap_or_default()
    }
}

impl Span {
    /// Where `part`, a subslice of `raw`, lies in it.
    fn of(raw: &[u8], part: &[u8]) -> Span {
        let start = (part.as_ptr() as usize).saturating_sub(raw.as_ptr() as usize).min(raw.len());
        let end = (start + part.len()).min(raw.len());
        Span { start: start as u16, end: end as u16 }
    }

    fn range(self) -> Range<usize> {
        usize::from(self.start)..usize::from(self.end)
    }
}

/// The range of the first head in `input`, without the empty lines before it; `None` until it is whole.
/// Its errors are found at the byte that makes them, so they don't depend on what follows.
fn find_head(input: &[u8]) -> Result<Option<Range<usize>>, HttpError> {
    let (mut start, mut line_start, mut empty_lines) = (0, 0, 0);
    if let Some(&first) = input.first()
        && !is_first_byte(first)
    {
        return Err(HttpError::BadRequest("method"));
    }
    for line_feed in memchr::memchr_iter(b'\n', input) {
        let line = &input[line_start..line_feed];
        let before_line = start == line_start;
        line_start = line_feed + 1;
        match line {
            [b'\r'] if before_line => {
                empty_lines += 1;
                if empty_lines > MAX_LEADING_EMPTY_LINES {
                    return Err(HttpError::BadRequest("empty lines"));
                }
                start = line_start;
                if input.get(start).is_some_and(|&byte| !is_first_byte(byte)) {
                    return Err(HttpError::BadRequest("method"));
                }
            }
            [b'\r'] => return Ok(Some(start..line_start)),
            [.., b'\r'] => {}
            _ => return Err(HttpError::BadRequest("line end")),
        }
    }
    Ok(None)
}

/// What is not HTTP at all (TLS, a port scan) is told by its first byte, before a line is complete.
fn is_first_byte(byte: u8) -> bool {
    byte == b'\r' || is_token_byte(byte)
}

fn refusal(error: httparse::Error, raw: &[u8]) -> HttpError {
    match error {
        httparse::Error::TooManyHeaders => HttpError::HeadTooLarge,
        httparse::Error::Version if names_a_version(raw) => HttpError::Version,
        httparse::Error::HeaderName => HttpError::BadRequest("header name"),
        httparse::Error::HeaderValue => HttpError::BadRequest("header value"),
        httparse::Error::NewLine => HttpError::BadRequest("line end"),
        _ => HttpError::BadRequest("request line"),
    }
}

/// Whether the request line ends in a well-formed `HTTP-version` (RFC 9112 section 2.3).
fn names_a_version(raw: &[u8]) -> bool {
    let line = raw.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let version = line.rsplit(|&byte| byte == b' ').next().unwrap_or_default();
    matches!(version, [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'])
}

fn method_of(method: &str) -> Method {
    match method {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "OPTIONS" => Method::Options,
        "PATCH" => Method::Patch,
        "CONNECT" => Method::Connect,
        "TRACE" => Method::Trace,
        _ => Method::Other,
    }
}

/// The path and the query of a target that begins at `base` (RFC 9112 section 3.2); a fragment, which a
/// client should not have sent, belongs to neither.
fn split_target(target: &[u8], base: u16) -> (Span, Span) {
    let end = memchr::memchr(b'#', target).unwrap_or(target.len());
    let authority = match memchr::memmem::find(&target[..end], b"://") {
        Some(colon) if target[..colon].iter().all(u8::is_ascii_alphanumeric) => colon + 3,
        _ => 0,
    };
    let path = match authority {
        0 => 0,
        _ => memchr::memchr2(b'/', b'?', &target[authority..end]).map_or(end, |at| authority + at),
    };
    let question = memchr::memchr(b'?', &target[path..end]).map(|at| path + at);
    let span = |start: usize, end: usize| Span { start: base + start as u16, end: base + end as u16 };
    (span(path, question.unwrap_or(end)), span(question.map_or(end, |at| at + 1), end))
}

/// Checks the fields on which the limits of messages hang, and says how the body ends (RFC 9112 sections
/// 3.2 and 6.3).
fn check_fields(headers: &[httparse::Header<'_>], http_11: bool) -> Result<Framing, HttpError> {
    let (mut hosts, mut codings, mut chunked, mut length) = (0, 0, false, None);
    for header in headers {
        if header.name.eq_ignore_ascii_case("host") {
            hosts += 1;
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            codings += 1;
            chunked = header.value.eq_ignore_ascii_case(b"chunked");
        } else if header.name.eq_ignore_ascii_case("content-length") {
            let value = parse_length(header.value).ok_or(HttpError::BadRequest("Content-Length"))?;
            if length.is_some_and(|other| other != value) {
                return Err(HttpError::BadRequest("two lengths"));
            }
            length = Some(value);
        }
    }
    if hosts > 1 || (http_11 && hosts == 0) {
        return Err(HttpError::BadRequest("Host"));
    }
    match (codings, length) {
        (0, None) => Ok(Framing::None),
        (0, Some(length)) => Ok(Framing::Length(length)),
        (_, Some(_)) => Err(HttpError::BadRequest("length and transfer-coding")),
        // A 1.0 client can't have meant it (RFC 9112 section 6.1).
        (_, None) if !http_11 => Err(HttpError::BadRequest("transfer-coding in HTTP/1.0")),
        (1, None) if chunked => Ok(Framing::Chunked),
        (_, None) => Err(HttpError::NotImplemented("transfer-coding")),
    }
}

fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0_u64, |length, byte| match byte {
        b'0'..=b'9' => length.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    })
}

fn list_has(list: &[u8], token: &str) -> bool {
    list.split(|&byte| byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}
