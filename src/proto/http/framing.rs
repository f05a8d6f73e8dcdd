//! Where a request ends, which is what request smuggling is about: Host, Content-Length and
//! Transfer-Encoding, read in one way or refused. No list of lengths is collapsed, no coding is guessed.

use super::HttpError;

/// How the end of a request's body is told (RFC 9112 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// No body.
    None,
    /// `Content-Length`, in bytes.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

impl Framing {
    /// Checks the fields on which the limits of messages hang, and says how the body ends (RFC 9112 sections
    /// 3.2 and 6.3).
    pub(super) fn of(headers: &[httparse::Header<'_>], http_11: bool) -> Result<Framing, HttpError> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::http::{HeadLimits, RequestHead};

    fn of(request: &str) -> Result<Framing, u16> {
        match RequestHead::decode(request.as_bytes(), &HeadLimits::default()) {
            Ok(head) => Ok(head.expect("a whole head").0.framing()),
            Err(error) => Err(error.status().0),
        }
    }

    #[test]
    fn by_the_fields() {
        for (fields, expected) in [
            ("Content-Length: 0", Ok(Framing::Length(0))),
            ("Content-Length: 18446744073709551615", Ok(Framing::Length(u64::MAX))),
            ("Content-Length: 5\r\ncontent-length: 05", Ok(Framing::Length(5))),
            ("Transfer-Encoding: Chunked", Ok(Framing::Chunked)),
            ("Content-Length: 18446744073709551616", Err(400)),
            ("Content-Length: 5\r\nContent-Length: 6", Err(400)),
            ("Content-Length: 5, 5", Err(400)),
            ("Content-Length: +5", Err(400)),
            ("Content-Length: -5", Err(400)),
            ("Content-Length: 0x5", Err(400)),
            ("Content-Length:", Err(400)),
            ("Content-Length: 5\r\nTransfer-Encoding: chunked", Err(400)),
            ("Transfer-Encoding: gzip\r\nContent-Length: 5", Err(400)),
            ("Transfer-Encoding: gzip, chunked", Err(501)),
            ("Transfer-Encoding: chunked, chunked", Err(501)),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", Err(501)),
            ("Transfer-Encoding: identity", Err(501)),
            ("Transfer-Encoding: \u{b}chunked", Err(400)),
            ("Transfer-Encoding:", Err(501)),
        ] {
            let outcome = of(&format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n"));
            assert_eq!(outcome, expected, "{fields:?}");
        }
        assert_eq!(of("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), Err(400));
    }
}
