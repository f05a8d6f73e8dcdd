//! What waits to be written on a connection that several threads speak on. Without I/O.

use std::io;

/// A buffer that has grown beyond this is not kept when it is empty. 1 MiB.
pub(super) const MAX_KEPT_BYTES: usize = 1 << 20;

#[derive(Default)]
pub(super) struct Pending {
    bytes: Vec<u8>,
    written: usize,
    /// Who is about to write, a bit for each.
    promised: u64,
    /// The system takes no more for now.
    stuck: bool,
}

impl Pending {
    /// Where more is put behind what waits.
    pub fn end(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Whether whoever has that bit is to write, and has not promised it before.
    pub fn promise(&mut self, promise: u64) -> bool {
        let is_new = self.promised & promise == 0;
        self.promised |= promise;
        is_new
    }

    /// What is to be written.
    pub fn waiting(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    /// Writes as much as the system takes. Somebody writes, so all promises are kept by that. Where it takes no more for now,
    /// this is stuck: whoever hears that it does again, writes for all.
    pub fn write(&mut self, mut try_write: impl FnMut(&[u8]) -> io::Result<usize>) -> io::Result<()> {
        (self.promised, self.stuck) = (0, false);
        while !self.waiting().is_empty() {
            match try_write(self.waiting()) {
                Ok(count) => self.wrote(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.be_stuck();
                    return Ok(());
                }
                Err(error) => {
                    self.forget();
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    pub fn is_stuck(&self) -> bool {
        self.stuck
    }

    fn wrote(&mut self, count: usize) {
        self.written += count;
        if self.written == self.bytes.len() {
            self.forget();
        }
    }

    /// What waits is not written any more.
    fn forget(&mut self) {
        self.written = 0;
        self.bytes.clear();
        self.bytes.shrink_to(MAX_KEPT_BYTES);
    }

    fn be_stuck(&mut self) {
        (self.promised, self.stuck) = (u64::MAX, true);
        if self.written > self.bytes.len() / 2 {
            self.bytes.drain(..std::mem::take(&mut self.written));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A system that takes so much, and then no more for now.
    fn takes(mut room: usize) -> impl FnMut(&[u8]) -> io::Result<usize> {
        move |bytes| match bytes.len().min(room) {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            count => {
                room -= count;
                Ok(count)
            }
        }
    }

    #[test]
    fn each_promises_once_until_somebody_writes() {
        let mut pending = Pending::default();
        pending.end().extend(b"m");
        assert_eq!([1, 1, 2].map(|promise| pending.promise(promise)), [true, false, true]);
        pending.write(takes(1)).unwrap();
        assert!(pending.promise(1));
        pending.end().extend(b"m");
        pending.write(takes(0)).unwrap();
        assert!(pending.is_stuck() && !pending.promise(2), "it is taken care of");
    }

    #[test]
    fn what_is_written_goes_and_what_waits_stays() {
        let mut pending = Pending::default();
        let all: Vec<u8> = (0..50).collect();
        pending.end().extend(&all);
        for part in [1, 30] {
            pending.write(takes(part)).unwrap();
        }
        assert_eq!(pending.waiting(), &all[31..]);
        pending.write(takes(100)).unwrap();
        assert_eq!((pending.waiting(), pending.is_stuck()), (&b""[..], false));
        pending.end().extend(b"m");
        pending.write(|_| Err(io::ErrorKind::BrokenPipe.into())).unwrap_err();
        assert_eq!(pending.waiting(), b"", "it goes nowhere any more");
    }
}
