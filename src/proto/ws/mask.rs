//! Masking (RFC 6455 section 5.3): exclusive or with a key of four bytes, over and over. It is its own
//! inverse.

/// The block that the compiler turns into vector instructions.
const WIDE: usize = 32;

/// Masks or unmasks `data`, which stands `offset` bytes into its payload.
#[inline]
pub fn unmask(data: &mut [u8], key: [u8; 4], offset: usize) {
    let mut turned = key;
    turned.rotate_left(offset % 4);
    let key = u64::from(u32::from_ne_bytes(turned));
    let key = (key | key << 32).to_ne_bytes();
    let (wide, rest) = data.as_chunks_mut::<WIDE>();
    for block in wide {
        for part in block.as_chunks_mut::<8>().0 {
            xor(part, key);
        }
    }
    let (words, rest) = rest.as_chunks_mut::<8>();
    for word in words {
        xor(word, key);
    }
    for (byte, key) in rest.iter_mut().zip(key) {
        *byte ^= key;
    }
}

#[inline(always)]
fn xor(word: &mut [u8; 8], key: [u8; 8]) {
    *word = (u64::from_ne_bytes(*word) ^ u64::from_ne_bytes(key)).to_ne_bytes();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naive(data: &mut [u8], key: [u8; 4], offset: usize) {
        for (index, byte) in data.iter_mut().enumerate() {
            *byte ^= key[(offset + index) % 4];
        }
    }

    #[test]
    fn every_length_alignment_and_offset_up_to_three_blocks() {
        let key = [0x11, 0x22, 0x44, 0x88];
        let data: Vec<u8> = (0..=255).cycle().take(3 * WIDE + 16).collect();
        for start in 0..8 {
            for length in 0..=3 * WIDE {
                for offset in 0..8 {
                    let (mut fast, mut slow) = (data.clone(), data.clone());
                    unmask(&mut fast[start..start + length], key, offset);
                    naive(&mut slow[start..start + length], key, offset);
                    assert_eq!(fast, slow, "start {start}, length {length}, offset {offset}");
                }
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn in_pieces_as_in_one(
            data in proptest::collection::vec(proptest::num::u8::ANY, 0..300),
            key: [u8; 4],
            cut: proptest::sample::Index,
            offset in 0..9_usize,
        ) {
            let cut = cut.index(data.len() + 1);
            let (mut pieces, mut whole) = (data.clone(), data);
            let (left, right) = pieces.split_at_mut(cut);
            unmask(left, key, offset);
            unmask(right, key, offset + cut);
            naive(&mut whole, key, offset);
            proptest::prop_assert_eq!(pieces, whole);
        }
    }
}
