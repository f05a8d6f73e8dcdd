//! WebSocket frames (RFC 6455, section 5) as a load generator needs them: writes masked client frames, reads whole
//! unmasked server frames in place. Fragments, extensions and binary frames are refused: nothing here asks for them.

use anyhow::{Result, bail};

pub const TEXT: u8 = 0x1;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xA;

/// A fixed `Sec-WebSocket-Key` and the one right answer to it (the example of RFC 6455, section 1.3).
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

#[derive(Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    pub opcode: u8,
    pub payload: &'a [u8],
}

/// XORs `data` with the masking key, which starts at its first byte.
pub fn mask(data: &mut [u8], key: [u8; 4]) {
    let wide = u64::from(u32::from_ne_bytes(key)) * 0x1_0000_0001;
    let mut chunks = data.chunks_exact_mut(8);
    for chunk in &mut chunks {
        let word = u64::from_ne_bytes(chunk.try_into().expect("eight bytes")) ^ wide;
        chunk.copy_from_slice(&word.to_ne_bytes());
    }
    for (byte, key) in chunks.into_remainder().iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

fn put_header(out: &mut Vec<u8>, opcode: u8, len: usize, masked: u8) {
    out.push(0x80 | opcode);
    match len {
        0..126 => out.push(masked | len as u8),
        126..0x1_0000 => {
            out.push(masked | 126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            out.push(masked | 127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
}

/// Appends a client frame.
pub fn put_masked(out: &mut Vec<u8>, opcode: u8, key: [u8; 4], payload: &[u8]) {
    put_header(out, opcode, payload.len(), 0x80);
    out.extend_from_slice(&key);
    let start = out.len();
    out.extend_from_slice(payload);
    mask(&mut out[start..], key);
}

/// Appends a server frame.
pub fn put_plain(out: &mut Vec<u8>, opcode: u8, parts: &[&[u8]]) {
    put_header(out, opcode, parts.iter().map(|p| p.len()).sum(), 0);
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

/// Header length and payload length of the frame at the start of `data`; `None` while they are not all there.
/// A mask's four bytes count as header.
pub fn measure(data: &[u8]) -> Option<(usize, usize)> {
    let &[_, second, ..] = data else { return None };
    let key = if second & 0x80 != 0 { 4 } else { 0 };
    let (header, len) = match second & 0x7F {
        126 => (4, usize::from(u16::from_be_bytes(data.get(2..4)?.try_into().ok()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(data.get(2..10)?.try_into().ok()?)).ok()?),
        short => (2, usize::from(short)),
    };
    Some((header + key, len))
}

/// The server frame at the start of `data` and its length on the wire; `None` when it is not all there yet.
pub fn parse(data: &[u8]) -> Result<Option<(Frame<'_>, usize)>> {
    let Some((header, len)) = measure(data) else { return Ok(None) };
    if data[1] & 0x80 != 0 {
        bail!("the server masked a frame");
    }
    if data[0] & 0xF0 != 0x80 || !matches!(data[0] & 0x0F, TEXT | CLOSE | PING | PONG) {
        bail!("unexpected frame (first byte {:#04x})", data[0]);
    }
    let Some(end) = header.checked_add(len) else { bail!("frame of {len} bytes") };
    Ok(data.get(header..end).map(|payload| (Frame { opcode: data[0] & 0x0F, payload }, end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mask_agrees_with_the_rfc_formula_at_every_length() {
        let key = [0x37, 0xFA, 0x21, 0x3D];
        for len in 0..40 {
            let plain: Vec<u8> = (0..len as u8).collect();
            let expected: Vec<u8> = plain.iter().enumerate().map(|(i, b)| b ^ key[i % 4]).collect();
            let mut got = plain.clone();
            mask(&mut got, key);
            assert_eq!(got, expected, "length {len}");
        }
    }

    #[test]
    fn masked_hello_is_the_rfc_example() {
        let mut out = Vec::new();
        put_masked(&mut out, TEXT, [0x37, 0xFA, 0x21, 0x3D], b"Hello");
        assert_eq!(out, [0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58]);
        assert_eq!(measure(&out), Some((6, 5)));
    }

    #[test]
    fn plain_frames_parse_back_however_they_are_cut() {
        for len in [0, 1, 125, 126, 127, 0xFFFF, 0x1_0000] {
            let payload = vec![b'x'; len];
            let mut wire = Vec::new();
            put_plain(&mut wire, TEXT, &[&payload[..len / 2], &payload[len / 2..]]);
            for cut in [0, 1, 2, 3, 9, wire.len() - 1] {
                if cut < wire.len() {
                    assert_eq!(parse(&wire[..cut]).unwrap(), None, "length {len} cut at {cut}");
                }
            }
            let end = wire.len();
            wire.extend_from_slice(b"next");
            let expected = Frame { opcode: TEXT, payload: &payload };
            assert_eq!(parse(&wire).unwrap(), Some((expected, end)), "length {len}");
        }
    }

    #[test]
    fn what_was_never_asked_for_is_refused() {
        for (wire, why) in [
            (&[0x81u8, 0x80, 0, 0, 0, 0][..], "masked"),
            (&[0xC1, 0], "compressed"),
            (&[0x01, 0], "fragment"),
            (&[0x82, 0], "binary"),
            (&[0x81, 127, 255, 255, 255, 255, 255, 255, 255, 255], "absurd length"),
        ] {
            assert!(parse(wire).is_err(), "{why}");
        }
    }
}
