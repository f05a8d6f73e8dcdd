//! A frame's header (RFC 6455 section 5.2): its bytes, and what is wrong with it by itself. Whether a frame
//! may stand where it stands is the decoder's business.

use super::Fault;

/// The longest payload of a control frame (RFC 6455 section 5.5).
pub const MAX_CONTROL_BYTES: usize = 125;

/// The longest header: 2 bytes, 8 of length, 4 of mask.
pub(super) const MAX_HEADER_BYTES: usize = 14;

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const RSV23: u8 = 0x30;
const MASKED: u8 = 0x80;

/// What a frame carries (RFC 6455 section 11.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Opcode {
    Continuation = 0x0,
    Text = 0x1,
    Binary = 0x2,
    Close = 0x8,
    Ping = 0x9,
    Pong = 0xA,
}

impl Opcode {
    /// Close, Ping and Pong; they may stand between the fragments of a message.
    pub const fn is_control(self) -> bool {
        self as u8 >= 0x8
    }

    fn from_bits(bits: u8) -> Option<Opcode> {
        Some(match bits {
            0x0 => Opcode::Continuation,
            0x1 => Opcode::Text,
            0x2 => Opcode::Binary,
            0x8 => Opcode::Close,
            0x9 => Opcode::Ping,
            0xA => Opcode::Pong,
            _ => return None,
        })
    }
}

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// The last frame of its message.
    pub fin: bool,
    /// The message is compressed (RFC 7692 section 6).
    pub rsv1: bool,
    /// The frame's kind.
    pub opcode: Opcode,
    /// The masking key; a client's frame has one, a server's has none.
    pub mask: Option<[u8; 4]>,
    /// The payload's length in bytes, below 2^63.
    pub len: u64,
}

impl FrameHeader {
    /// Decodes the header at the front of `input`: `None` until it is whole, else the header and its length.
    /// A fault is found at the first byte that shows it.
    #[inline]
    pub fn decode(input: &[u8]) -> Result<Option<(FrameHeader, usize)>, Fault> {
        let Some(&first) = input.first() else { return Ok(None) };
        if first & RSV23 != 0 {
            return Err(Fault::protocol("reserved bit"));
        }
        let opcode = Opcode::from_bits(first & 0x0F).ok_or(Fault::protocol("reserved opcode"))?;
        let (fin, rsv1) = (first & FIN != 0, first & RSV1 != 0);
        if opcode.is_control() && !fin {
            return Err(Fault::protocol("fragmented control frame"));
        }
        if rsv1 && !matches!(opcode, Opcode::Text | Opcode::Binary) {
            return Err(Fault::protocol("reserved bit"));
        }
        let Some(&second) = input.get(1) else { return Ok(None) };
        let short = second & 0x7F;
        if opcode.is_control() && usize::from(short) > MAX_CONTROL_BYTES {
            return Err(Fault::protocol("control frame too long"));
        }
        let rest = &input[2..];
        let (len, rest) = match short {
            126 => {
                let Some((bytes, rest)) = rest.split_first_chunk() else { return Ok(None) };
                (u64::from(u16::from_be_bytes(*bytes)), rest)
            }
            127 => {
                let Some((bytes, rest)) = rest.split_first_chunk() else { return Ok(None) };
                (u64::from_be_bytes(*bytes), rest)
            }
            _ => (u64::from(short), rest),
        };
        if len >> 63 != 0 {
            return Err(Fault::protocol("length out of range"));
        }
        if (short == 126 && len < 126) || (short == 127 && len <= u64::from(u16::MAX)) {
            return Err(Fault::protocol("length not minimal"));
        }
        let (mask, rest) = match second & MASKED {
            0 => (None, rest),
            _ => {
                let Some((key, rest)) = rest.split_first_chunk() else { return Ok(None) };
                (Some(*key), rest)
            }
        };
        Ok(Some((FrameHeader { fin, rsv1, opcode, mask, len }, input.len() - rest.len())))
    }

    /// Appends the header. The payload that follows is to be masked with `mask`, see [`unmask`](super::unmask).
    pub fn encode(&self, out: &mut Vec<u8>) {
        let (mut header, mut length) = encode_header(self.opcode, self.len, self.fin, self.rsv1);
        if let Some(key) = self.mask {
            header[1] |= MASKED;
            header[length..length + 4].copy_from_slice(&key);
            length += 4;
        }
        out.extend_from_slice(&header[..length]);
    }
}

/// An unmasked header and its length.
#[inline]
pub(super) fn encode_header(
    opcode: Opcode,
    len: u64,
    fin: bool,
    rsv1: bool,
) -> ([u8; MAX_HEADER_BYTES], usize) {
    let mut header = [0; MAX_HEADER_BYTES];
    header[0] = opcode as u8 | if fin { FIN } else { 0 } | if rsv1 { RSV1 } else { 0 };
    let length = match len {
        0..126 => {
            header[1] = len as u8;
            2
        }
        126..0x1_0000 => {
            header[1] = 126;
            header[2..4].copy_from_slice(&(len as u16).to_be_bytes());
            4
        }
        _ => {
            header[1] = 127;
            header[2..10].copy_from_slice(&len.to_be_bytes());
            10
        }
    };
    (header, length)
}
