//! Request bodies: no panic, never past the limit, the same bytes and end however they are cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tokio_socketio::proto::http::{Body, Framing, HttpError};
use tokio_socketio_fuzz::{Input, assert_alike};

fuzz_target!(|data: &[u8]| {
    let Some(input) = Input::read(data) else { return };
    let limit = usize::from(input.limit) * 4;
    let framing = match input.variant % 4 {
        0 => Framing::None,
        1 => Framing::Length(u64::from(input.variant) * 8),
        _ => Framing::Chunked,
    };
    assert_alike(&input, |pieces| {
        let mut out = Vec::new();
        let end = decode(framing, limit, pieces, &mut out);
        assert!(out.len() <= limit && out.capacity() <= 2 * limit.max(8));
        (end, out)
    });
});

/// How much of the stream the body took, and whether it is complete.
fn decode(
    framing: Framing,
    limit: usize,
    pieces: &[&[u8]],
    out: &mut Vec<u8>,
) -> Result<(usize, bool), HttpError> {
    let mut body = Body::new(framing, limit)?;
    let mut total = 0;
    for piece in pieces {
        let (consumed, done) = body.decode(piece, out)?;
        total += consumed;
        if done {
            return Ok((total, true));
        }
        assert_eq!(consumed, piece.len());
    }
    let (consumed, done) = body.decode(&[], out)?;
    assert_eq!(consumed, 0);
    Ok((total, done))
}
