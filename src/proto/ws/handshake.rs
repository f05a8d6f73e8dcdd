//! The server's half of the opening handshake (RFC 6455 section 4.2). It reads the request and computes the
//! answer's key; the response is written by whoever knows its other headers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use crate::proto::http::{Framing, Method, RequestHead, Status, is_token};

/// RFC 6455 section 1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Why a request can't be upgraded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// Not a GET of HTTP/1.1 with `Upgrade: websocket` and `Connection: Upgrade`, or one with a body.
    #[error("not a WebSocket upgrade")]
    NotAnUpgrade,
    /// `Sec-WebSocket-Version` is not 13.
    #[error("unsupported WebSocket version")]
    BadVersion,
    /// Not exactly one `Sec-WebSocket-Key` of 16 bytes in base64.
    #[error("bad WebSocket key")]
    BadKey,
}

impl HandshakeError {
    /// The status to answer with.
    pub fn status(&self) -> Status {
        match self {
            Self::NotAnUpgrade | Self::BadKey => Status(400),
            Self::BadVersion => Status(426),
        }
    }

    /// The headers which that answer needs.
    pub fn headers(&self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::NotAnUpgrade | Self::BadKey => &[],
            Self::BadVersion => &[("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")],
        }
    }
}

/// `Sec-WebSocket-Accept` for this `Sec-WebSocket-Key`: ASCII.
pub fn accept_key(key: &[u8]) -> [u8; 28] {
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    let mut accept = [0; 28];
    // 20 bytes are 28 characters, so it always fits.
    let written = STANDARD.encode_slice(digest, &mut accept);
    debug_assert_eq!(written, Ok(accept.len()));
    accept
}

/// Checks an upgrade request (RFC 6455 section 4.2.1) and returns `Sec-WebSocket-Accept`.
pub fn check_upgrade(head: &RequestHead) -> Result<[u8; 28], HandshakeError> {
    // The bytes behind the head are frames: a body there would be read in two ways.
    let no_body = matches!(head.framing(), Framing::None | Framing::Length(0));
    if head.method() != Method::Get
        || !head.is_http_11()
        || !no_body
        || !head.has_token("upgrade", "websocket")
        || !head.has_token("connection", "upgrade")
    {
        return Err(HandshakeError::NotAnUpgrade);
    }
    if head.header_bytes("sec-websocket-version") != Some(b"13") {
        return Err(HandshakeError::BadVersion);
    }
    let mut keys = head.header_values("sec-websocket-key");
    match (keys.next(), keys.next()) {
        (Some(key), None) if is_key(key) => Ok(accept_key(key)),
        _ => Err(HandshakeError::BadKey),
    }
}

/// The subprotocol to be spoken: of those that are offered the first, as the reference server has it, for Socket.IO does
/// not depend on it. Clients that offer some fail where none is chosen (RFC 6455, section 4.1).
pub fn subprotocol(head: &RequestHead) -> Option<&str> {
    let offered = head.header("sec-websocket-protocol")?;
    let first = offered.split(',').next()?.trim_matches([' ', '\t']);
    is_token(first).then_some(first)
}

/// 16 bytes in base64. The last character's unused bits may be set: there are clients that draw the key
/// from the alphabet.
fn is_key(key: &[u8]) -> bool {
    let digits = match key {
        [digits @ .., b'=', b'='] if digits.len() == 22 => digits,
        _ => return false,
    };
    digits.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::http::HeadLimits;

    const REQUEST: &str = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nUpgrade: WebSocket\r\n\
        Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

    fn check(request: &str) -> Result<[u8; 28], HandshakeError> {
        let (head, consumed) =
            RequestHead::decode(request.as_bytes(), &HeadLimits::default()).unwrap().unwrap();
        assert_eq!(consumed, request.len());
        check_upgrade(&head)
    }

    #[test]
    fn the_example_of_the_rfc() {
        assert_eq!(&accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(check(REQUEST).as_ref(), Ok(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    }

    #[test]
    fn refusals() {
        for (find, replace, expected) in [
            ("GET", "POST", HandshakeError::NotAnUpgrade),
            ("HTTP/1.1", "HTTP/1.0", HandshakeError::NotAnUpgrade),
            ("WebSocket\r\n", "h2c\r\n", HandshakeError::NotAnUpgrade),
            ("keep-alive, Upgrade", "keep-alive", HandshakeError::NotAnUpgrade),
            ("Host: a", "Host: a\r\nContent-Length: 3", HandshakeError::NotAnUpgrade),
            ("Version: 13", "Version: 8", HandshakeError::BadVersion),
            ("Sec-WebSocket-Version: 13\r\n", "", HandshakeError::BadVersion),
            ("jZQ==", "jZQ=", HandshakeError::BadKey),
            ("dGhl", "dG,l", HandshakeError::BadKey),
            ("Host: a", "Host: a\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", HandshakeError::BadKey),
        ] {
            assert!(REQUEST.contains(find), "{find:?}");
            assert_eq!(check(&REQUEST.replacen(find, replace, 1)), Err(expected), "{find:?} -> {replace:?}");
        }
    }

    #[test]
    fn the_first_subprotocol_is_chosen() {
        for (offered, chosen) in [
            ("Sec-WebSocket-Protocol: chat\r\n", Some("chat")),
            ("sec-websocket-protocol:  v1.a , b\r\n", Some("v1.a")),
            ("Sec-WebSocket-Protocol: a b\r\n", None),
            ("Sec-WebSocket-Protocol: , a\r\n", None),
            ("Sec-WebSocket-Protocol: \r\n", None),
            ("", None),
        ] {
            let request = REQUEST.replacen("Host: a\r\n", &format!("Host: a\r\n{offered}"), 1);
            let (head, _) = RequestHead::decode(request.as_bytes(), &HeadLimits::default()).unwrap().unwrap();
            assert_eq!(subprotocol(&head), chosen, "{offered:?}");
        }
    }

    #[test]
    fn a_wrong_version_is_told_the_right_one() {
        assert_eq!(HandshakeError::BadVersion.status(), Status(426));
        assert!(HandshakeError::BadVersion.headers().contains(&("Sec-WebSocket-Version", "13")));
    }
}
