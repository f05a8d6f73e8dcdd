//! Responses, written into the caller's buffer and nowhere else. A value can't break out of its header:
//! CR, LF and the other control characters in it become spaces.

use std::fmt;

use crate::proto::decimal::push_decimal;

/// An HTTP status code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Status(pub u16);

impl Status {
    /// The reason phrase of RFC 9110 section 15; empty for a code that this server does not use.
    pub fn reason(self) -> &'static str {
        match self.0 {
            100 => "Continue",
            101 => "Switching Protocols",
            200 => "OK",
            201 => "Created",
            202 => "Accepted",
            204 => "No Content",
            301 => "Moved Permanently",
            302 => "Found",
            304 => "Not Modified",
            307 => "Temporary Redirect",
            308 => "Permanent Redirect",
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            408 => "Request Timeout",
            409 => "Conflict",
            411 => "Length Required",
            413 => "Content Too Large",
            414 => "URI Too Long",
            415 => "Unsupported Media Type",
            417 => "Expectation Failed",
            426 => "Upgrade Required",
            429 => "Too Many Requests",
            431 => "Request Header Fields Too Large",
            500 => "Internal Server Error",
            501 => "Not Implemented",
            502 => "Bad Gateway",
            503 => "Service Unavailable",
            504 => "Gateway Timeout",
            505 => "HTTP Version Not Supported",
            _ => "",
        }
    }

    /// 1xx, 204 and 304 end with their head (RFC 9112 section 6.3).
    fn has_body(self) -> bool {
        !matches!(self.0, 100..=199 | 204 | 304)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.reason())
    }
}

/// Appends a whole response to `out`, which is all that is allocated.
///
/// `Content-Length` and `Connection` are written here; 1xx, 204 and 304 have neither a length nor a
/// body, and 1xx has no `Connection` (a 101 brings its own `Connection: Upgrade` in `headers`). A header
/// whose name is not a token is left out.
pub fn encode_response(
    out: &mut Vec<u8>,
    status: Status,
    headers: &[(&str, &str)],
    keep_alive: bool,
    body: &[u8],
) {
    let body = if status.has_body() { body } else { &[] };
    let headers_len: usize = headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    out.reserve(128 + headers_len + body.len());
    out.extend_from_slice(b"HTTP/1.1 ");
    push_decimal(out, status.0.into());
    out.push(b' ');
    out.extend_from_slice(status.reason().as_bytes());
    out.extend_from_slice(b"\r\n");
    if status.has_body() {
        out.extend_from_slice(b"Content-Length: ");
        push_decimal(out, body.len() as u64);
        out.extend_from_slice(b"\r\n");
    }
    if status.0 >= 200 {
        let connection: &[u8] =
            if keep_alive { b"Connection: keep-alive\r\n" } else { b"Connection: close\r\n" };
        out.extend_from_slice(connection);
    }
    for (name, value) in headers.iter().filter(|(name, _)| is_token(name)) {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        if value.bytes().any(breaks_a_line) {
            out.extend(value.bytes().map(|byte| if breaks_a_line(byte) { b' ' } else { byte }));
        } else {
            out.extend_from_slice(value.as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
}

fn breaks_a_line(byte: u8) -> bool {
    byte.is_ascii_control() && byte != b'\t'
}

pub(in crate::proto) fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(is_token_byte)
}

/// `tchar` of RFC 9110 section 5.6.2.
pub(super) fn is_token_byte(byte: u8) -> bool {
    matches!(byte, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9')
        || matches!(byte, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+')
        || matches!(byte, b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(status: u16, headers: &[(&str, &str)], keep_alive: bool, body: &str) -> String {
        let mut out = Vec::new();
        encode_response(&mut out, Status(status), headers, keep_alive, body.as_bytes());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_response_with_a_body() {
        assert_eq!(
            encoded(200, &[("Content-Type", "text/plain")], true, "ok"),
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\nContent-Type: text/plain\r\n\r\nok"
        );
        assert_eq!(
            encoded(400, &[], false, ""),
            "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
    }

    #[test]
    fn responses_without_a_body() {
        assert_eq!(
            encoded(204, &[], true, "dropped"),
            "HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n"
        );
        assert_eq!(
            encoded(101, &[("Connection", "Upgrade")], true, ""),
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n"
        );
        assert_eq!(encoded(100, &[], true, ""), "HTTP/1.1 100 Continue\r\n\r\n");
    }

    #[test]
    fn a_value_cannot_add_a_header_or_end_the_head() {
        let text = encoded(
            200,
            &[("X-A", "1\r\nX-B: 2\r\n\r\nbody\0"), ("X C", "3"), ("X\r\nD", "4"), ("", "5")],
            true,
            "",
        );
        assert_eq!(
            text,
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\nX-A: 1  X-B: 2    body \r\n\r\n"
        );
    }

    #[test]
    fn token_bytes() {
        let tokens: String = (0..=255).filter(|&byte| is_token_byte(byte)).map(char::from).collect();
        let expected = "!#$%&'*+-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ^_`abcdefghijklmnopqrstuvwxyz|~";
        assert_eq!(tokens, expected);
    }
}
