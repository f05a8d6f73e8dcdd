//! A server's frames: whole messages, never masked (RFC 6455 section 5.1). Only the header is made here, so
//! that one payload can be shared by many connections.

use super::Opcode;
use super::frame;

/// How long the header of a server's frame is: 2, 4 or 10 bytes.
pub const fn server_header_len(payload_len: usize) -> usize {
    match payload_len {
        0..126 => 2,
        126..0x1_0000 => 4,
        _ => 10,
    }
}

/// The header of a server's frame: the first so many bytes of the array.
#[inline]
pub fn server_header(opcode: Opcode, payload_len: usize, rsv1: bool) -> ([u8; 10], usize) {
    let (header, length) = frame::encode_header(opcode, payload_len as u64, true, rsv1);
    let mut short = [0; 10];
    short.copy_from_slice(&header[..10]);
    (short, length)
}

/// Appends the header of a server's frame.
#[inline]
pub fn encode_header(out: &mut Vec<u8>, opcode: Opcode, payload_len: usize, rsv1: bool) {
    let (header, length) = server_header(opcode, payload_len, rsv1);
    out.extend_from_slice(&header[..length]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::ws::FrameHeader;

    #[test]
    fn the_three_lengths_and_their_edges() {
        for (payload_len, header_len) in
            [(0, 2), (125, 2), (126, 4), (0xFFFF, 4), (0x1_0000, 10), (usize::MAX >> 1, 10)]
        {
            let mut out = Vec::new();
            encode_header(&mut out, Opcode::Text, payload_len, true);
            assert_eq!(out.len(), header_len, "{payload_len}");
            assert_eq!(server_header_len(payload_len), header_len, "{payload_len}");
            let (header, consumed) = FrameHeader::decode(&out).unwrap().unwrap();
            let expected = FrameHeader {
                fin: true,
                rsv1: true,
                opcode: Opcode::Text,
                mask: None,
                len: payload_len as u64,
            };
            assert_eq!((header, consumed), (expected, header_len));
        }
    }
}
