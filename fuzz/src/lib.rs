//! What the fuzz targets share: how a fuzzer's input is read. Its first line is the settings, what follows is
//! the stream that a peer sends, so that a seed can be read and written by hand.

/// A fuzzer's input.
pub struct Input<'a> {
    /// The first settings byte; what it means is the target's business.
    pub variant: u8,
    /// The second settings byte: a limit, or what the target makes of it.
    pub limit: u8,
    /// The sizes of the pieces in which the stream arrives, over and over.
    pub sizes: [usize; 4],
    /// What the peer sends.
    pub stream: &'a [u8],
}

impl<'a> Input<'a> {
    /// Seven bytes of settings: variant, limit, four sizes, and one that makes the line end.
    pub fn read(data: &'a [u8]) -> Option<Self> {
        let ([variant, limit, sizes @ .., _], stream) = data.split_first_chunk::<7>()?;
        let sizes: [u8; 4] = *sizes;
        Some(Self {
            variant: *variant,
            limit: *limit,
            sizes: sizes.map(|size| usize::from(size) + 1),
            stream,
        })
    }

    /// The ways in which every stream is fed: whole, byte by byte, and in the fuzzer's own pieces.
    pub fn cuttings(&self) -> [Vec<&'a [u8]>; 3] {
        let (mut pieces, mut rest) = (Vec::new(), self.stream);
        for size in self.sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, later) = rest.split_at(rest.len().min(*size));
            pieces.push(piece);
            rest = later;
        }
        [self.stream.chunks(self.stream.len().max(1)).collect(), self.stream.chunks(1).collect(), pieces]
    }
}

/// Asserts that a stream gives the same, however it is cut.
pub fn assert_alike<T: PartialEq + std::fmt::Debug>(input: &Input<'_>, mut run: impl FnMut(&[&[u8]]) -> T) {
    let [whole, single, pieces] = input.cuttings();
    let expected = run(&whole);
    assert_eq!(run(&single), expected, "byte by byte (left) and whole (right)");
    assert_eq!(run(&pieces), expected, "in pieces of {:?} (left) and whole (right)", input.sizes);
}
