//! Answers over HTTP: what of a request decides their form, the cross-origin headers, and the errors of
//! Engine.IO.

use std::borrow::Cow;
use std::io::Write as _;
use std::time::SystemTime;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::options::{Cors, HttpOptions};
use crate::ids::Sid;
use crate::proto::http::{Method, RequestHead, Status, encode_response};

/// What must be remembered of a request until it is answered.
#[derive(Debug)]
pub struct Reply {
    keep_alive: bool,
    /// To a HEAD request: the length of the body is told, the body is not.
    head_only: bool,
    gzip: bool,
    origin: AllowOrigin,
    /// The handshake's answer sets the cookie.
    pub cookie: Option<Sid>,
}

#[derive(Debug)]
enum AllowOrigin {
    No,
    Any {
        credentials: bool,
    },
    /// This one. Caches must know that it depends on who asks.
    Echo {
        origin: Option<Box<str>>,
        credentials: bool,
    },
}

/// Headers to be written.
type Headers<'a> = Vec<(&'static str, Cow<'a, str>)>;

impl Reply {
    /// To a request for a mount with these options.
    pub fn to(head: &RequestHead, options: &HttpOptions) -> Self {
        Reply {
            keep_alive: head.keep_alive(),
            head_only: head.method() == Method::Head,
            gzip: accepts_gzip(head),
            origin: AllowOrigin::of(head, options.cors.as_ref()),
            cookie: None,
        }
    }

    /// To what is no request, or none for any mount. The connection ends with it.
    pub fn plain() -> Self {
        Reply { keep_alive: false, head_only: false, gzip: false, origin: AllowOrigin::No, cookie: None }
    }

    /// Whether the connection goes on after this answer.
    pub fn keeps_alive(&self) -> bool {
        self.keep_alive
    }

    /// The connection can't go on: what follows in it is not known to be a request.
    pub fn last(mut self) -> Self {
        self.keep_alive = false;
        self
    }

    /// Writes an answer.
    pub fn write(&self, out: &mut Vec<u8>, status: u16, headers: &[(&'static str, &str)], body: &[u8]) {
        let mut all: Headers<'_> = headers.iter().map(|(n, v)| (*n, Cow::Borrowed(*v))).collect();
        self.origin.headers(&mut all);
        self.encode(out, status, &all, body);
    }

    /// Writes a polling answer, compressed where the client takes that and it is worth it.
    pub fn write_poll(&self, out: &mut Vec<u8>, options: &HttpOptions, payload: &[u8]) {
        let mut headers: Headers<'_> =
            vec![("Content-Type", "text/plain; charset=UTF-8".into()), ("Cache-Control", "no-store".into())];
        self.origin.headers(&mut headers);
        if let (Some(name), Some(sid)) = (&options.cookie, self.cookie) {
            headers.push(("Set-Cookie", format!("{name}={sid}; Path=/; HttpOnly; SameSite=Lax").into()));
        }
        let worth_it = options.compress_from.is_some_and(|from| payload.len() >= from);
        if let Some(compressed) = (self.gzip && worth_it).then(|| gzip(payload)).flatten() {
            headers.push(("Content-Encoding", "gzip".into()));
            headers.push(("Vary", "Accept-Encoding".into()));
            return self.encode(out, 200, &headers, &compressed);
        }
        self.encode(out, 200, &headers, payload);
    }

    /// Writes the answer to a preflight (Fetch standard, "CORS-preflight request").
    pub fn write_preflight(&self, out: &mut Vec<u8>, head: &RequestHead) {
        let mut headers: Headers<'_> =
            vec![("Access-Control-Allow-Methods", "GET,HEAD,PUT,PATCH,POST,DELETE".into())];
        self.origin.headers(&mut headers);
        if let Some(asked) = head.header("Access-Control-Request-Headers") {
            headers.push(("Access-Control-Allow-Headers", asked.into()));
            headers.push(("Vary", "Access-Control-Request-Headers".into()));
        }
        self.encode(out, 204, &headers, b"");
    }

    fn encode(&self, out: &mut Vec<u8>, status: u16, headers: &[(&'static str, Cow<'_, str>)], body: &[u8]) {
        // RFC 9110, section 6.6.1.
        let date = httpdate::fmt_http_date(SystemTime::now());
        let headers = headers.iter().map(|(name, value)| (*name, value.as_ref()));
        let headers: Vec<_> = std::iter::once(("Date", &*date)).chain(headers).collect();
        encode_response(out, Status(status), &headers, self.keep_alive, body);
        if self.head_only {
            out.truncate(out.len() - body.len());
        }
    }

    /// Writes an Engine.IO error (the reference server's `abortRequest`).
    pub fn write_error(&self, out: &mut Vec<u8>, error: &HandshakeError) {
        let status = if matches!(error, HandshakeError::Forbidden(_)) { 403 } else { 400 };
        let body = serde_json::json!({ "code": error.code(), "message": error.to_string() }).to_string();
        self.write(out, status, &[("Content-Type", "application/json")], body.as_bytes());
    }
}

/// Writes the answer to a WebSocket request that is refused (the reference server's `abortUpgrade`). The
/// connection ends with it.
pub fn write_upgrade_error(out: &mut Vec<u8>, error: &HandshakeError) {
    Reply::plain().write(out, 400, &[("Content-Type", "text/html")], error.to_string().as_bytes());
}

impl AllowOrigin {
    fn of(head: &RequestHead, cors: Option<&Cors>) -> Self {
        let Some(Cors { origins, credentials }) = cors else { return AllowOrigin::No };
        let asked = head.header("Origin");
        let any = origins.is_empty() || origins.iter().any(|origin| origin == "*");
        // With credentials a browser takes no `*`, so the one who asks is named.
        if any && !credentials {
            return AllowOrigin::Any { credentials: *credentials };
        }
        let origin =
            asked.filter(|asked| any || origins.iter().any(|origin| origin == asked)).map(Into::into);
        AllowOrigin::Echo { origin, credentials: *credentials }
    }

    fn headers(&self, headers: &mut Headers<'_>) {
        let credentials = match self {
            AllowOrigin::No => return,
            AllowOrigin::Any { credentials } => {
                headers.push(("Access-Control-Allow-Origin", "*".into()));
                *credentials
            }
            AllowOrigin::Echo { origin, credentials } => {
                if let Some(origin) = origin {
                    headers.push(("Access-Control-Allow-Origin", origin.to_string().into()));
                }
                headers.push(("Vary", "Origin".into()));
                *credentials
            }
        };
        if credentials {
            headers.push(("Access-Control-Allow-Credentials", "true".into()));
        }
    }
}

/// Whether the request takes gzip (RFC 9110, section 12.5.3): named, or `*`, and not with weight 0.
fn accepts_gzip(head: &RequestHead) -> bool {
    let values = head.header_values("Accept-Encoding").filter_map(|value| std::str::from_utf8(value).ok());
    values.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip") || name == "*");
        let refused = parts.any(|parameter| {
            parameter.strip_prefix("q=").and_then(|q| q.parse::<f32>().ok()).is_some_and(|q| q == 0.0)
        });
        named && !refused
    })
}

fn gzip(data: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(data.len() / 4), Compression::fast());
    encoder.write_all(data).ok()?;
    encoder.finish().ok()
}

/// Why a request gets no session (the reference server's `errorMessages`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The transport is missing, unknown, or switched off.
    #[error("Transport unknown")]
    UnknownTransport,
    /// There is no session of that id.
    #[error("Session ID unknown")]
    UnknownSid,
    /// A session is opened with GET.
    #[error("Bad handshake method")]
    BadMethod,
    /// The request does not fit its transport, or its session.
    #[error("Bad request")]
    BadRequest,
    /// The program refuses.
    #[error("{0}")]
    Forbidden(String),
    /// `EIO` is not 4.
    #[error("Unsupported protocol version")]
    UnsupportedVersion,
}

impl HandshakeError {
    /// The code for the client.
    pub fn code(&self) -> u8 {
        match self {
            HandshakeError::UnknownTransport => 0,
            HandshakeError::UnknownSid => 1,
            HandshakeError::BadMethod => 2,
            HandshakeError::BadRequest => 3,
            HandshakeError::Forbidden(_) => 4,
            HandshakeError::UnsupportedVersion => 5,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::http::HeadLimits;

    fn head(headers: &str) -> RequestHead {
        let text = format!("GET / HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
        RequestHead::decode(text.as_bytes(), &HeadLimits::default()).unwrap().unwrap().0
    }

    fn answer(headers: &str, cors: Option<Cors>, body: &[u8]) -> String {
        let options = HttpOptions { cors, ..HttpOptions::default() };
        let mut out = Vec::new();
        Reply::to(&head(headers), &options).write_poll(&mut out, &options, body);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn who_may_ask() {
        let named = |credentials| Some(Cors { origins: vec!["http://a".into()], credentials });
        assert!(!answer("Origin: http://a\r\n", None, b"").contains("Access-Control"));
        assert!(answer("", Some(Cors::any()), b"").contains("Access-Control-Allow-Origin: *\r\n"));
        let text = answer("Origin: http://a\r\n", named(true), b"");
        assert!(text.contains("Access-Control-Allow-Origin: http://a\r\n"));
        assert!(
            text.contains("Vary: Origin\r\n") && text.contains("Access-Control-Allow-Credentials: true\r\n")
        );
        assert!(!answer("Origin: http://b\r\n", named(false), b"").contains("Access-Control-Allow-Origin"));
        let any = Cors { credentials: true, ..Cors::any() };
        assert!(
            answer("Origin: http://b\r\n", Some(any), b"")
                .contains("Access-Control-Allow-Origin: http://b\r\n")
        );
    }

    #[test]
    fn gzip_where_taken_and_worth_it() {
        let long = [b'x'; 1024];
        for (headers, body, compressed) in [
            ("Accept-Encoding: deflate, gzip;q=0.5\r\n", &long[..], true),
            ("Accept-Encoding: *\r\n", &long, true),
            ("Accept-Encoding: gzip;q=0\r\n", &long, false),
            ("Accept-Encoding: deflate\r\n", &long, false),
            ("", &long, false),
            ("Accept-Encoding: gzip\r\n", &long[1..], false),
        ] {
            assert_eq!(
                answer(headers, None, body).contains("Content-Encoding: gzip"),
                compressed,
                "{headers:?}"
            );
        }
    }
}
