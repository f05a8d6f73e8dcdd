//! What is on its way to a server, and what is to come back. Without I/O.
//!
//! Answers come in the order of the commands, so a list of what is expected says what each of them is for.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use super::over::Over;
use super::pending::Pending;
use super::resp::{self, Value};
use crate::bus::BusError;

/// What may wait to be written at most, in bytes. 256 MiB.
const MAX_BYTES: usize = 256 << 20;

/// So many answers to messages are not left unread.
const MAX_UNREAD: usize = 1024;

#[derive(Default)]
pub(super) struct Outgoing {
    pub pending: Pending,
    expected: VecDeque<Expected>,
    /// Messages that are not answered.
    publishing: usize,
    /// Nothing is said any more.
    ended: bool,
}

/// What is to come from the server.
pub(super) enum Expected {
    /// The answers to so many messages.
    Published(usize),
    /// So many confirmations.
    Confirmed { left: usize, done: oneshot::Sender<Result<(), Over>> },
    /// An answer.
    Answer(oneshot::Sender<Value>),
}

/// What an answer was for.
pub(super) enum Answered {
    /// A message, which may be the last one that was not answered.
    Published { is_last: bool },
    /// Something else; nothing, if nobody has asked.
    Other(Option<Expected>),
}

impl Outgoing {
    /// Puts a message behind what waits; `limit`: how many may be unanswered. Whether whoever has that bit is to write, and
    /// has not promised it before.
    pub fn publish(
        &mut self,
        arguments: [&[&[u8]]; 3],
        limit: usize,
        promise: u64,
    ) -> Result<bool, BusError> {
        if self.ended {
            return Err(BusError::Down);
        }
        let more: usize = arguments[2].iter().map(|part| part.len()).sum();
        // One message may be as large as it likes while nothing else waits.
        if self.publishing > 0
            && (self.publishing >= limit || self.pending.waiting().len().saturating_add(more) > MAX_BYTES)
        {
            return Err(BusError::Overloaded);
        }
        let out = self.pending.end();
        resp::command(out, arguments.len());
        arguments.iter().for_each(|parts| resp::argument(out, parts));
        self.publishing += 1;
        match self.expected.back_mut() {
            Some(Expected::Published(count)) => *count += 1,
            _ => self.expected.push_back(Expected::Published(1)),
        }
        Ok(self.pending.promise(promise))
    }

    /// After a message: whether the answers are to be read before more of them come, or before `limit` refuses any.
    pub fn is_time_to_look(&self, limit: usize) -> bool {
        self.publishing.is_multiple_of(MAX_UNREAD.min(limit.div_ceil(4)))
    }

    /// Puts a command of so many arguments behind what waits. `false`: it is not said any more, and nobody answers.
    pub fn say<'a>(
        &mut self,
        count: usize,
        arguments: impl Iterator<Item = [&'a [u8]; 2]>,
        expected: Expected,
    ) -> bool {
        if self.ended {
            return false;
        }
        let out = self.pending.end();
        resp::command(out, count);
        arguments.for_each(|parts| resp::argument(out, &parts));
        self.expected.push_back(expected);
        true
    }

    /// How many messages are not answered.
    pub fn publishing(&self) -> usize {
        self.publishing
    }

    /// A confirmation came. Whether it was due, and who waits if it was the last one.
    pub fn confirmed(&mut self) -> (bool, Option<oneshot::Sender<Result<(), Over>>>) {
        let Some(Expected::Confirmed { left, .. }) = self.expected.front_mut() else { return (false, None) };
        *left -= 1;
        if *left > 0 {
            return (true, None);
        }
        match self.expected.pop_front() {
            Some(Expected::Confirmed { done, .. }) => (true, Some(done)),
            _ => (true, None),
        }
    }

    /// An answer came.
    pub fn answered(&mut self) -> Answered {
        let Some(Expected::Published(count)) = self.expected.front_mut() else {
            return Answered::Other(self.expected.pop_front());
        };
        *count -= 1;
        if *count == 0 {
            self.expected.pop_front();
        }
        self.publishing -= 1;
        Answered::Published { is_last: self.publishing == 0 }
    }

    /// From now on nothing is said. Gives what was left.
    pub fn end(&mut self) -> Self {
        std::mem::replace(self, Self { ended: true, ..Self::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(out: &mut Outgoing, message: &[u8], promise: u64) -> Result<bool, BusError> {
        out.publish([&[b"P"], &[b"c"], &[b"", message]], 3, promise)
    }

    fn say(out: &mut Outgoing, expected: Expected) -> bool {
        out.say(1, std::iter::once([&b"A"[..], b""]), expected)
    }

    #[test]
    fn the_last_answer_is_told_from_the_others() {
        let mut out = Outgoing::default();
        assert_eq!(
            [1, 1, 2].map(|promise| publish(&mut out, b"m", promise)),
            [Ok(true), Ok(false), Ok(true)]
        );
        let answered = (0..3).map(|_| matches!(out.answered(), Answered::Published { is_last: true }));
        assert_eq!(answered.collect::<Vec<_>>(), [false, false, true]);
    }

    #[test]
    fn is_bounded_in_messages_and_in_bytes() {
        let mut out = Outgoing::default();
        assert_eq!([0; 4].map(|_| publish(&mut out, b"m", 1).is_ok()), [true, true, true, false]);
        assert!(matches!(out.answered(), Answered::Published { is_last: false }));
        assert_eq!(publish(&mut out, b"m", 1), Ok(false), "there is room again");

        let (mut out, large) = (Outgoing::default(), vec![0; MAX_BYTES / 2 + 1]);
        assert_eq!(publish(&mut out, &large, 1), Ok(true));
        assert_eq!(publish(&mut out, &large, 1), Err(BusError::Overloaded));
        out.pending.write(|bytes| Ok(bytes.len())).unwrap();
        assert_eq!(publish(&mut out, &large, 1), Ok(true));
    }

    #[test]
    fn answers_are_looked_for_before_they_are_too_many() {
        let mut out = Outgoing::default();
        let mut looks = |limit, messages: usize| {
            let mut look = || {
                out.publish([&[b"P"], &[b"c"], &[b"m"]], limit, 1).unwrap();
                out.is_time_to_look(limit)
            };
            (0..messages).filter(|_| look()).count()
        };
        assert_eq!(looks(20, 19), 3, "at a quarter, at half, at three quarters");
        assert_eq!(looks(1_000_000, 4 * MAX_UNREAD), 4);
    }

    #[test]
    fn answers_are_for_what_was_said_first() {
        let mut out = Outgoing::default();
        let (asked, _answer) = oneshot::channel();
        let (done, _confirmed) = oneshot::channel();
        say(&mut out, Expected::Answer(asked));
        publish(&mut out, b"m", 1).unwrap();
        say(&mut out, Expected::Confirmed { left: 2, done });
        assert!(!out.confirmed().0, "none is due yet");
        assert!(matches!(out.answered(), Answered::Other(Some(Expected::Answer(_)))));
        assert!(matches!(out.answered(), Answered::Published { is_last: true }));
        assert!(matches!(out.confirmed(), (true, None)));
        assert!(matches!(out.confirmed(), (true, Some(_))));
        assert!(matches!(out.answered(), Answered::Other(None)));
    }

    #[test]
    fn after_the_end_nothing_is_said() {
        let mut out = Outgoing::default();
        publish(&mut out, b"m", 1).unwrap();
        assert_eq!((out.end().publishing(), out.publishing()), (1, 0));
        let (asked, mut answer) = oneshot::channel();
        assert!(!say(&mut out, Expected::Answer(asked)));
        assert!(answer.try_recv().is_err());
        assert_eq!(publish(&mut out, b"m", 1), Err(BusError::Down));
    }
}
