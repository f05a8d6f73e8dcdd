//! HTTP/1.1 responses, whole and in place: a status, a `Content-Length` body, whether the server closes after it.
//! No chunked bodies (no peer sends one for polling): they are refused by name.

use anyhow::{Context, Result, bail};

#[derive(Debug, PartialEq, Eq)]
pub struct Response<'a> {
    pub status: u16,
    pub body: &'a [u8],
    pub closes: bool,
    pub accept: Option<&'a str>,
    /// Seconds.
    pub retry_after: Option<u64>,
}

/// The response at the start of `data` and its length; `None` when it is not all there yet.
pub fn parse(data: &[u8]) -> Result<Option<(Response<'_>, usize)>> {
    let Some(end) = memchr::memmem::find(data, b"\r\n\r\n") else {
        if data.len() > 64 * 1024 {
            bail!("a response head of more than 64 KiB");
        }
        return Ok(None);
    };
    let head = std::str::from_utf8(&data[..end]).context("response head is not text")?;
    let body_start = end + 4;
    let mut lines = head.split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let status = match status_line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)) {
        Some(digits) => digits.parse().with_context(|| format!("status line {status_line:?}"))?,
        None => bail!("status line {status_line:?}"),
    };
    let (mut length, mut closes, mut accept, mut retry_after) = (0usize, false, None, None);
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { bail!("header line {line:?}") };
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse().with_context(|| format!("header line {line:?}"))?;
        } else if name.eq_ignore_ascii_case("connection") {
            closes = value.eq_ignore_ascii_case("close");
        } else if name.eq_ignore_ascii_case("sec-websocket-accept") {
            accept = Some(value);
        } else if name.eq_ignore_ascii_case("retry-after") {
            retry_after = value.parse().ok();
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            bail!("a {value} body: only Content-Length is understood");
        }
    }
    let Some(total) = body_start.checked_add(length) else { bail!("a body of {length} bytes") };
    Ok(data
        .get(body_start..total)
        .map(|body| (Response { status, body, closes, accept, retry_after }, total)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_awaited_whole() {
        let wire = b"HTTP/1.1 200 OK\r\ncontent-length:  5\r\nConnection: Close\r\n\r\nhelloHTTP";
        for cut in 0..wire.len() - 4 {
            assert_eq!(parse(&wire[..cut]).unwrap(), None, "cut at {cut}");
        }
        let (response, used) = parse(wire).unwrap().unwrap();
        assert_eq!(
            response,
            Response { status: 200, body: b"hello", closes: true, accept: None, retry_after: None }
        );
        assert_eq!(used, wire.len() - 4);
    }

    #[test]
    fn a_switch_carries_its_accept_key_and_no_body() {
        let wire = b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: abc=\r\n\r\n\x81\x00";
        let (response, used) = parse(wire).unwrap().unwrap();
        assert_eq!((response.status, response.accept, used), (101, Some("abc="), wire.len() - 2));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for wire in [
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.0 200 OK\r\n\r\n",
            "HTTP/1.1 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n",
        ] {
            assert!(parse(wire.as_bytes()).is_err(), "{wire:?}");
        }
    }
}
