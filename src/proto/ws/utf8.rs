//! UTF-8 that arrives in pieces. A piece may end inside a character; a byte that no character can have there
//! is refused in the piece in which it stands.

/// The validator between two pieces: the begun character's bytes, at most three.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Utf8 {
    begun: [u8; 3],
    length: u8,
}

/// The bytes so far begin no UTF-8 text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotUtf8;

impl Utf8 {
    /// Takes the next piece.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), NotUtf8> {
        let mut piece = piece;
        while self.length > 0 {
            let [byte, rest @ ..] = piece else { return Ok(()) };
            piece = rest;
            let begun = usize::from(self.length);
            let mut character = [0; 4];
            character[..begun].copy_from_slice(&self.begun[..begun]);
            character[begun] = *byte;
            self.check(&character[..=begun])?;
        }
        self.check(piece)
    }

    /// Whether the text so far ends with a whole character.
    pub fn is_complete(&self) -> bool {
        self.length == 0
    }

    /// Checks bytes that begin with a character, and keeps the one that they leave begun.
    fn check(&mut self, bytes: &[u8]) -> Result<(), NotUtf8> {
        let begun = match std::str::from_utf8(bytes) {
            Ok(_) => &[],
            Err(error) if error.error_len().is_none() => &bytes[error.valid_up_to()..],
            Err(_) => return Err(NotUtf8),
        };
        // An incomplete character is at most three bytes.
        let begun = &begun[..begun.len().min(3)];
        self.begun[..begun.len()].copy_from_slice(begun);
        self.length = begun.len() as u8;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn verdict<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> bool {
        let mut utf8 = Utf8::default();
        pieces.into_iter().all(|piece| utf8.push(piece).is_ok()) && utf8.is_complete()
    }

    #[test]
    fn a_wrong_byte_is_refused_before_its_character_is_whole() {
        // Overlong, surrogate, above U+10FFFF: the second byte shows it.
        for bytes in [[0xE0, 0x80], [0xED, 0xA0], [0xF0, 0x80], [0xF4, 0x90], [b'a', 0x80], [0xC3, b'a']] {
            let mut utf8 = Utf8::default();
            let outcome = utf8.push(&bytes[..1]).and_then(|()| utf8.push(&bytes[1..]));
            assert_eq!(outcome, Err(NotUtf8), "{bytes:x?}");
        }
        assert_eq!(Utf8::default().push(&[0xC0]), Err(NotUtf8));
        assert_eq!(Utf8::default().push(&[0xF5]), Err(NotUtf8));
    }

    /// Bytes that are often nearly UTF-8.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            8 => any::<char>().prop_map(|character| character.to_string().into_bytes()),
            2 => proptest::collection::vec(0x80..=0xFF_u8, 1..3),
        ];
        proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn agrees_with_std_in_any_pieces(bytes in bytes(), cut: prop::sample::Index, size in 1..5_usize) {
            let expected = std::str::from_utf8(&bytes).is_ok();
            let (left, right) = bytes.split_at(cut.index(bytes.len() + 1));
            prop_assert_eq!(verdict([left, right]), expected);
            prop_assert_eq!(verdict(bytes.chunks(size)), expected);
        }
    }
}
