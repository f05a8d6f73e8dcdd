//! What a shard has sent lately, in the order in which it was sent: where clients that come back find what they have missed.
//!
//! An event that is older than any client's return can ask for is forgotten; beyond a number of bytes the oldest
//! are forgotten before that. Plain data, told the time.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use crate::ids::Offset;
use crate::session::Time;
use crate::socketio::op::Target;
use crate::socketio::recovery::{Content, Who};

/// A place in the log: so many events were put in before it.
pub type Place = u64;

/// The log.
#[derive(Debug)]
pub struct Log {
    sent: VecDeque<Sent>,
    /// The place of the oldest event that is still there.
    first: Place,
    bytes: usize,
    max_bytes: usize,
    keep: Duration,
    /// Until then, events may be missing that should still be there.
    incomplete_until: Time,
}

/// An event.
#[derive(Debug)]
pub struct Sent {
    pub offset: Offset,
    pub target: Target,
    pub content: Content,
    at: Time,
}

impl Sent {
    fn bytes(&self) -> usize {
        size_of::<Sent>() + self.content.len()
    }
}

impl Log {
    /// A log that remembers for so long, and so many bytes.
    pub fn new(keep: Duration, max_bytes: usize) -> Self {
        Log { sent: VecDeque::new(), first: 0, bytes: 0, max_bytes, keep, incomplete_until: Time(0) }
    }

    /// The place of what is put in next.
    pub fn end(&self) -> Place {
        self.first + self.sent.len() as u64
    }

    /// The place of the oldest event that is still there.
    pub fn first(&self) -> Place {
        self.first
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }

    /// Puts an event in.
    pub fn push(&mut self, now: Time, offset: Offset, target: Target, content: Content) {
        let sent = Sent { offset, target, content, at: now };
        self.bytes += sent.bytes();
        self.sent.push_back(sent);
        while self.bytes > self.max_bytes
            && let Some(early) = self.pop()
        {
            self.incomplete_until = self.incomplete_until.max(early.at + self.keep);
        }
    }

    /// Forgets what is too old.
    pub fn expire(&mut self, now: Time) {
        while self.sent.front().is_some_and(|sent| sent.at + self.keep < now) {
            self.pop();
        }
        if self.sent.is_empty() {
            self.sent = VecDeque::new();
        }
    }

    fn pop(&mut self) -> Option<Sent> {
        let sent = self.sent.pop_front()?;
        self.bytes -= sent.bytes();
        self.first += 1;
        Some(sent)
    }

    /// The place of the first event that was put in at that time or later.
    pub fn place_at(&self, time: Time) -> Place {
        self.first + self.sent.partition_point(|sent| sent.at < time) as u64
    }

    /// Where a client must be sent from that had this event last, and whose session begins at `since`. `None`: that can't
    /// be told any more.
    pub fn place_after(&self, offset: &Offset, who: &Who<'_>, since: Place, now: Time) -> Option<Place> {
        // Mostly it is one of the last. Copies that were sent to others again stand behind the place that is meant.
        let found = self.sent.iter().rposition(|sent| sent.offset == *offset && !who.is_other(&sent.target));
        if let Some(index) = found {
            return Some(since.max(self.first + index as u64 + 1));
        }
        // An event that is older than all that is remembered: the client was sent nothing between that and the oldest
        // that is there, or it would have had it. For what is forgotten is older than a connection that does not
        // answer can become.
        let age = SystemTime::now().duration_since(offset.time()).unwrap_or_default();
        (age > self.keep && self.incomplete_until <= now).then_some(since)
    }

    /// What was meant for somebody, from a place on.
    pub fn since<'a>(&'a self, place: Place, who: &'a Who<'a>) -> impl Iterator<Item = &'a Sent> {
        let skip = usize::try_from(place.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.sent.range(skip.min(self.sent.len())..).filter(|sent| who.is_meant(&sent.target))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SocketId;
    use crate::socketio::recovery::test_sessions::{room, somebody};
    use bytes::Bytes;
    use std::collections::HashSet;

    const KEEP: Duration = Duration::from_secs(60);

    fn content(text: &'static str) -> Content {
        Content::Frames(Bytes::from_static(text.as_bytes()))
    }

    fn texts(log: &Log, place: Place, who: &Who<'_>) -> Vec<String> {
        log.since(place, who)
            .map(|sent| String::from_utf8(sent.content.frames("/").to_vec()).unwrap())
            .collect()
    }

    #[test]
    fn what_was_missed_is_what_was_meant_and_came_behind() {
        let (id, rooms) = (SocketId::random(0, 0), HashSet::from(["a".into()]));
        let who = somebody(id, &rooms);
        let mut log = Log::new(KEEP, 1 << 20);
        let offsets: Vec<Offset> = (0..5).map(|_| Offset::next()).collect();
        let targets =
            [room("a"), room("b"), Target::Socket(id), Target::Socket(SocketId::random(0, 1)), room("a")];
        for ((offset, target), text) in offsets.iter().zip(targets).zip(["0", "1", "2", "3", "4"]) {
            log.push(Time(0), *offset, target, content(text));
        }
        let missed = |n: usize, since| {
            log.place_after(&offsets[n], &who, since, Time(0)).map(|p| texts(&log, p, &who))
        };
        assert_eq!(missed(0, 0), Some(vec!["2".into(), "4".into()]));
        assert_eq!(missed(1, 0), Some(vec!["2".into(), "4".into()]), "it was in that room then");
        assert_eq!(missed(2, 0), Some(vec!["4".into()]));
        assert_eq!(missed(3, 0), None, "that was for somebody else");
        assert_eq!(missed(4, 0), Some(vec![]));
        assert_eq!(missed(0, 3), Some(vec!["4".into()]), "its session began later than that");
        assert_eq!(log.place_after(&Offset::next(), &who, 0, Time(0)), None);
    }

    #[test]
    fn what_was_sent_again_is_found_where_it_was_sent_to_this_one_last() {
        let (id, other, rooms) =
            (SocketId::random(0, 0), SocketId::random(0, 1), HashSet::from(["a".into()]));
        let mut log = Log::new(KEEP, 1 << 20);
        let [one, two] = [Offset::next(), Offset::next()];
        for (offset, target) in [(one, room("a")), (two, room("a")), (one, Target::Socket(other))] {
            log.push(Time(0), offset, target, Content::Nothing);
        }
        assert_eq!(log.place_after(&one, &somebody(id, &rooms), 0, Time(0)), Some(1));
        assert_eq!(log.place_after(&one, &somebody(other, &rooms), 0, Time(0)), Some(3));
    }

    #[test]
    fn it_forgets_in_time_and_before_its_time_where_there_is_too_much() {
        let (id, rooms) = (SocketId::random(0, 0), HashSet::from(["a".into()]));
        let who = somebody(id, &rooms);
        let one = size_of::<Sent>() + 1;
        let mut log = Log::new(KEEP, 3 * one);
        let start = Time(1_000_000);
        for text in ["0", "1", "2"] {
            log.push(start, Offset::next(), room("a"), content(text));
        }
        // As old as 1970, and so older than all that is remembered.
        let old = Offset::from_bytes([0; Offset::BYTES]);
        assert_eq!(log.place_after(&old, &who, 1, start), Some(1));
        log.push(start, Offset::next(), room("a"), content("3"));
        assert_eq!(texts(&log, 0, &who), ["1", "2", "3"]);
        assert_eq!(log.place_after(&old, &who, 0, start), None, "something is missing");
        log.expire(start + KEEP);
        assert_eq!((texts(&log, 0, &who).len(), log.end()), (3, 4));
        log.expire(start + KEEP + Duration::from_millis(1));
        assert!(log.is_empty() && log.bytes == 0 && log.end() == 4);
        log.push(start + KEEP, Offset::next(), room("a"), Content::Nothing);
        assert_eq!((log.place_at(start), log.place_at(start + KEEP), log.place_at(Time::NEVER)), (4, 4, 5));
        assert_eq!(
            log.place_after(&old, &who, 4, start + KEEP),
            Some(4),
            "what is missing would be forgotten by now"
        );
    }
}
