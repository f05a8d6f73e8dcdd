//! Request heads: no panic, the same head or error however the bytes are cut, and what comes out is clean.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tokio_socketio::proto::http::{HeadLimits, HttpError, RequestHead, parse_query};
use tokio_socketio::proto::ws::check_upgrade;
use tokio_socketio_fuzz::{Input, assert_alike};

fuzz_target!(|data: &[u8]| {
    let Some(input) = Input::read(data) else { return };
    let limits = HeadLimits {
        max_bytes: if input.variant & 1 == 0 { 16 * usize::from(input.limit) } else { 16_384 },
        max_headers: usize::from(input.variant) / 2,
    };
    assert_alike(&input, |pieces| {
        let mut buffer = Vec::new();
        for piece in pieces {
            buffer.extend_from_slice(piece);
            match RequestHead::decode(&buffer, &limits) {
                Ok(None) => {}
                Ok(Some((head, consumed))) => {
                    assert!(consumed <= limits.max_bytes);
                    return Ok(Some((look(&head, &limits), consumed)));
                }
                Err(error) => return Err(error),
            }
        }
        assert!(buffer.len() < limits.max_bytes.max(1));
        Ok::<_, HttpError>(None)
    });
});

/// Uses every accessor, and says all that the head says.
fn look(head: &RequestHead, limits: &HeadLimits) -> String {
    assert!(head.headers().count() <= limits.max_headers);
    assert!(!head.method_str().is_empty() && !head.target().is_empty());
    assert!(head.path() == "/" || head.target().contains(head.path()));
    assert!(head.target().contains(head.query()));
    for (name, value) in head.headers() {
        assert!(!name.is_empty() && !name.contains([' ', ':', '\r', '\n']));
        assert!(!value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
        assert!(head.header_values(name).any(|other| other == value));
        assert!(head.header_bytes(name).is_some());
        let _ = head.header(name);
    }
    assert!(!head.is_http_11() || head.header_values("host").count() == 1);
    let query: Vec<_> = parse_query(head.query()).collect();
    for (name, _) in &query {
        assert_eq!(
            head.query_get(name),
            query.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone())
        );
    }
    format!("{head:?} {query:?} {} {} {:?}", head.keep_alive(), head.expects_continue(), check_upgrade(head))
}
