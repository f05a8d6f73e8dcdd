//! What waits to be sent to one client, as WebSocket frames.
//!
//! One canonical form serves both transports: a WebSocket takes the frames as they are, and a poll's
//! payload is made from them when the poll comes. Shared buffers (one broadcast, many clients) are
//! referenced, small ones are copied behind each other so that they leave in one piece. An empty
//! outbox owns nothing: what it had is laid aside for the thread's next one.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

use crate::proto::eio::PayloadWriter;
use crate::proto::ws;

/// Up to this many bytes are copied into the tail rather than referenced: an entry of its own costs more.
const COPY_BELOW: usize = 512;

/// Empty queues that a thread lays aside: as many as one turn fills when it sends to many.
const MAX_SPARE: usize = 1024;
/// The largest buffer that is laid aside with them, in bytes.
const MAX_SPARE_BYTES: usize = 1024;
/// Segments that one has room for at most: what a slow client's queue has grown to is given back.
const MAX_SPARE_SEGMENTS: usize = 16;

/// A queue of encoded frames.
#[derive(Debug, Default)]
pub struct Outbox {
    queue: Option<Box<Queue>>,
}

#[derive(Debug, Default)]
struct Queue {
    segments: VecDeque<Segment>,
    /// A buffer for the next segment of its own, empty.
    buffer: Vec<u8>,
    /// Unsent bytes over all segments.
    bytes: usize,
    /// How much of the first segment has been sent.
    sent: usize,
}

/// Whole frames; never a part of one.
#[derive(Debug)]
enum Segment {
    Shared(Bytes),
    Owned(Vec<u8>),
}

impl Segment {
    fn bytes(&self) -> &[u8] {
        match self {
            Segment::Shared(bytes) => bytes,
            Segment::Owned(bytes) => bytes,
        }
    }

    /// Leaves its buffer to be used again, in place of a smaller one.
    fn keep_buffer(self, place: &mut Vec<u8>) {
        if let Segment::Owned(mut bytes) = self
            && (place.capacity()..=MAX_SPARE_BYTES).contains(&bytes.capacity())
        {
            bytes.clear();
            *place = bytes;
        }
    }
}

thread_local! {
    // The boxes are what is used again.
    #[allow(clippy::vec_box)]
    static SPARE: RefCell<Vec<Box<Queue>>> = const { RefCell::new(Vec::new()) };
}

impl Queue {
    /// One that is empty.
    fn take() -> Box<Queue> {
        SPARE.with_borrow_mut(Vec::pop).unwrap_or_default()
    }

    /// Lays one aside whose content has left.
    fn lay_aside(mut self: Box<Queue>) {
        if self.segments.capacity() > MAX_SPARE_SEGMENTS {
            return;
        }
        self.segments.drain(..).for_each(|segment| segment.keep_buffer(&mut self.buffer));
        (self.bytes, self.sent) = (0, 0);
        SPARE.with_borrow_mut(|spare| {
            if spare.len() < MAX_SPARE {
                spare.push(self);
            }
        });
    }

    /// Takes the first segment out.
    fn pop(&mut self) {
        if let Some(segment) = self.segments.pop_front() {
            segment.keep_buffer(&mut self.buffer);
        }
    }
}

impl Outbox {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_none()
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.bytes)
    }

    /// Appends shared frames.
    pub fn push(&mut self, frames: &Bytes) {
        let queue = self.queue.get_or_insert_with(Queue::take);
        if frames.len() < COPY_BELOW
            && let Some(Segment::Owned(tail)) = queue.segments.back_mut()
        {
            tail.extend_from_slice(frames);
        } else {
            queue.segments.push_back(Segment::Shared(frames.clone()));
        }
        queue.bytes += frames.len();
    }

    /// Appends what `write` writes, behind what is already there where possible.
    pub fn write(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let queue = self.queue.get_or_insert_with(Queue::take);
        if !matches!(queue.segments.back(), Some(Segment::Owned(_))) {
            queue.segments.push_back(Segment::Owned(std::mem::take(&mut queue.buffer)));
        }
        if let Some(Segment::Owned(tail)) = queue.segments.back_mut() {
            let before = tail.len();
            write(tail);
            queue.bytes += tail.len() - before;
        }
        if queue.bytes == 0 {
            self.clear();
        }
    }

    /// Appends a text packet, its Engine.IO type digit included, as one frame.
    pub fn write_text(&mut self, packet: &[u8]) {
        self.write(|out| {
            ws::encode_header(out, ws::Opcode::Text, packet.len(), false);
            out.extend_from_slice(packet);
        });
    }

    /// Moves everything from `other` behind what is here.
    pub fn append(&mut self, other: &mut Outbox) {
        let Some(mut theirs) = other.queue.take() else { return };
        match &mut self.queue {
            None => self.queue = Some(theirs),
            Some(ours) => {
                debug_assert_eq!(theirs.sent, 0, "only an outbox that was never written from is moved");
                ours.bytes += theirs.bytes;
                ours.segments.append(&mut theirs.segments);
                theirs.lay_aside();
            }
        }
    }

    /// What is to be sent, where it is one piece.
    pub fn only(&self) -> Option<&[u8]> {
        let queue = self.queue.as_ref()?;
        (queue.segments.len() == 1).then(|| &queue.segments[0].bytes()[queue.sent..])
    }

    /// Fills `slices` with what is to be sent next; how many were filled.
    pub fn io_slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let Some(queue) = &self.queue else { return 0 };
        let mut filled = 0;
        for (slice, segment) in slices.iter_mut().zip(&queue.segments) {
            let skip = if filled == 0 { queue.sent } else { 0 };
            *slice = IoSlice::new(&segment.bytes()[skip..]);
            filled += 1;
        }
        filled
    }

    /// Takes note that `n` bytes were sent, and lets go of them.
    pub fn advance(&mut self, n: usize) {
        let Some(queue) = &mut self.queue else { return };
        queue.bytes = queue.bytes.saturating_sub(n);
        queue.sent += n;
        while let Some(first) = queue.segments.front().map(|s| s.bytes().len())
            && queue.sent >= first
        {
            queue.sent -= first;
            queue.pop();
        }
        if queue.bytes == 0 {
            self.clear();
        }
    }

    /// Takes everything that waits as the payload of a poll.
    pub fn take_payload(&mut self) -> PayloadWriter {
        let Some(queue) = self.queue.take() else { return PayloadWriter::default() };
        let mut payload = PayloadWriter::with_capacity(queue.bytes);
        for segment in &queue.segments {
            for (opcode, data) in Frames(segment.bytes()) {
                match opcode {
                    ws::Opcode::Binary => payload.push_binary(data),
                    _ => payload.push_text(data),
                }
            }
        }
        queue.lay_aside();
        payload
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        if let Some(queue) = self.queue.take() {
            queue.lay_aside();
        }
    }
}

/// Walks frames that this program wrote itself: whole, unmasked, unfragmented.
struct Frames<'a>(&'a [u8]);

impl<'a> Iterator for Frames<'a> {
    type Item = (ws::Opcode, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (header, length) = ws::FrameHeader::decode(self.0).ok().flatten()?;
        let end = length + usize::try_from(header.len).ok()?;
        let data = self.0.get(length..end)?;
        self.0 = &self.0[end..];
        Some((header.opcode, data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(opcode: ws::Opcode, data: &[u8]) -> Bytes {
        let mut out = Vec::new();
        ws::encode_header(&mut out, opcode, data.len(), false);
        out.extend_from_slice(data);
        out.into()
    }

    fn contents(outbox: &Outbox) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 64];
        let n = outbox.io_slices(&mut slices);
        slices[..n].iter().flat_map(|s| s.iter().copied()).collect()
    }

    #[test]
    fn idle_it_is_one_pointer() {
        assert_eq!(size_of::<Outbox>(), 8);
        let mut outbox = Outbox::default();
        outbox.write_text(b"4x");
        outbox.advance(4);
        assert!(outbox.is_empty() && outbox.bytes() == 0);
        outbox.write(|_| ());
        assert!(outbox.is_empty());
    }

    #[test]
    fn frames_become_a_payload() {
        let mut outbox = Outbox::default();
        outbox.push(&frame(ws::Opcode::Text, b"4hello"));
        outbox.push(&frame(ws::Opcode::Binary, &[1, 2, 3, 4]));
        outbox.write_text(&[b'4'; 70_000]);
        outbox.write_text(b"2");
        let body = String::from_utf8(outbox.take_payload().finish()).unwrap();
        assert_eq!(body, format!("4hello\u{1e}bAQIDBA==\u{1e}{}\u{1e}2", "4".repeat(70_000)));
        assert!(outbox.is_empty());
    }

    #[test]
    fn what_is_laid_aside_is_small() {
        SPARE.take();
        let mut outbox = Outbox::default();
        outbox.write(|out| out.extend_from_slice(&[0; 100]));
        outbox.advance(100);
        let frames = Bytes::from(vec![0; COPY_BELOW]);
        (0..2 * MAX_SPARE_SEGMENTS).for_each(|_| outbox.push(&frames));
        outbox.clear();
        assert_eq!(SPARE.take().len(), 0, "it was used again, and has grown too large to be kept");
        outbox.write(|out| out.extend_from_slice(&[0; MAX_SPARE_BYTES + 1]));
        outbox.clear();
        let spare = SPARE.take();
        assert_eq!(spare.iter().map(|queue| queue.buffer.capacity()).collect::<Vec<_>>(), [0]);
    }

    proptest! {
        /// However it is filled, and in whatever pieces it is sent, the bytes come out in order.
        #[test]
        fn bytes_in_bytes_out(steps in proptest::collection::vec((0u8..3, 1usize..700, 0usize..900), 1..40)) {
            let (mut outbox, mut expected, mut sent) = (Outbox::default(), Vec::new(), Vec::new());
            for (i, (how, length, send)) in steps.into_iter().enumerate() {
                let data = vec![i as u8; length];
                match how {
                    0 => outbox.push(&Bytes::from(data.clone())),
                    1 => outbox.write(|out| out.extend_from_slice(&data)),
                    _ => {
                        let mut other = Outbox::default();
                        other.push(&Bytes::from(data.clone()));
                        outbox.append(&mut other);
                    }
                }
                expected.extend(data);
                let now = contents(&outbox);
                let n = send.min(now.len());
                sent.extend_from_slice(&now[..n]);
                outbox.advance(n);
                prop_assert_eq!(outbox.bytes(), expected.len() - sent.len());
                prop_assert_eq!(outbox.is_empty(), expected.len() == sent.len());
            }
            sent.extend(contents(&outbox));
            prop_assert_eq!(sent, expected);
        }
    }
}
