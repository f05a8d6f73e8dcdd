//! Whom this node watches, what its watcher was told of each, and of whom it must look where they are.
//!
//! What is heard of a user is of two kinds. "Here" is proof: the user is online. "Gone" is a hint: the user has left one
//! node, and may be on another, so somebody must look. Looking is what the shell does: it takes
//! [`Watches::questions`], and gives an [`Watches::answer`] to each, or says that there is none.
//! So a hint that is lost, late or double can delay what is told, but can't make it wrong; and what is told of a user
//! is online and offline in turn, whatever is heard.
//!
//! ```text
//!                     looked, nowhere
//!          Unknown ────────────────────▶ Offline ◀───────────────────────┐
//!             │                             │ here, or looked and found: │ gone, then looked and nowhere, and
//!             │ here: tell online           ▼ tell online                │ nothing holds it back: tell offline
//!             └──────────────────────────▶ Online ───────────────────────┘
//!               gone, or looked and found: tell nothing
//! ```
//!
//! Without clock, lock and I/O.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::store::Timestamp;

/// Whom this node watches.
#[derive(Debug, Default)]
pub(super) struct Watches {
    watched: HashMap<u64, Watched>,
    /// Users of whom somebody must look, by when.
    due: BTreeSet<(Instant, u64)>,
    /// Until then nobody goes offline: nodes come and go, and their users may be on the way from one to the other.
    hold: Option<Instant>,
    /// Counts what was heard, so that an answer is known to be older than what was heard since the question.
    heard: u64,
    tells: VecDeque<Tell>,
}

#[derive(Debug)]
struct Watched {
    /// How many times it is watched.
    count: u32,
    told: Told,
    /// When to look, as in `due`.
    look: Option<Instant>,
    /// When a node was last left, by its own clock and by ours.
    left: Option<(Timestamp, Instant)>,
    heard: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Unknown,
    Offline,
    Online,
}

/// What the watcher is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tell {
    pub(super) user: u64,
    pub(super) online: bool,
    pub(super) at: Timestamp,
}

/// What somebody who looked has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// The user is online somewhere.
    Online {
        /// Since then.
        since: Timestamp,
    },
    /// The user was nowhere.
    Nowhere {
        /// At that moment.
        at: Timestamp,
    },
}

/// "Where is this user?"
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) user: u64,
    heard: u64,
}

impl Watches {
    /// Watches a user once more. `here`: known to be online now.
    pub(super) fn watch(&mut self, user: u64, here: bool, now: Instant) {
        if let Some(watched) = self.watched.get_mut(&user) {
            watched.count = watched.count.saturating_add(1);
            return;
        }
        self.heard += 1;
        let told = if here { Told::Online } else { Told::Unknown };
        self.watched.insert(user, Watched { count: 1, told, look: None, left: None, heard: self.heard });
        if !here {
            self.look(user, now);
        }
    }

    /// Watches a user once less.
    pub(super) fn unwatch(&mut self, user: u64) {
        let Some(watched) = self.watched.get_mut(&user) else { return };
        watched.count -= 1;
        if watched.count == 0 {
            if let Some(look) = watched.look {
                self.due.remove(&(look, user));
            }
            self.watched.remove(&user);
        }
    }

    /// Whether nobody is watched.
    pub(super) fn is_empty(&self) -> bool {
        self.watched.is_empty()
    }

    /// The user has come online on some node.
    pub(super) fn here(&mut self, user: u64, at: Timestamp) {
        let Some(watched) = self.watched.get_mut(&user) else { return };
        self.heard += 1;
        watched.heard = self.heard;
        watched.left = None;
        if let Some(look) = watched.look.take() {
            self.due.remove(&(look, user));
        }
        if watched.told != Told::Online {
            watched.told = Told::Online;
            self.tells.push_back(Tell { user, online: true, at });
        }
    }

    /// The user has left some node.
    pub(super) fn gone(&mut self, user: u64, at: Timestamp, now: Instant) {
        let Some(watched) = self.watched.get_mut(&user) else { return };
        self.heard += 1;
        watched.heard = self.heard;
        if watched.told != Told::Offline {
            watched.told = Told::Online;
            watched.left = Some((at, now));
        }
        // Even if all is told: an answer that is on its way may still have seen the user there.
        self.look(user, now);
    }

    /// Something may have been missed: look at everybody.
    pub(super) fn look_at_all(&mut self, now: Instant) {
        let users: Vec<u64> = self.watched.keys().copied().collect();
        for user in users {
            self.look(user, now);
        }
    }

    /// Lets nobody go offline before then.
    pub(super) fn hold_until(&mut self, until: Instant) {
        self.hold = self.hold.max(Some(until));
    }

    /// Of whom to look now, at most so many.
    pub(super) fn questions(&mut self, now: Instant, limit: usize) -> Vec<Question> {
        let mut questions = Vec::new();
        while questions.len() < limit && self.due.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, user)) = self.due.pop_first() else { break };
            if let Some(watched) = self.watched.get_mut(&user) {
                watched.look = None;
                questions.push(Question { user, heard: watched.heard });
            }
        }
        questions
    }

    /// Somebody has looked, at a moment after the question was taken.
    pub(super) fn answer(&mut self, question: Question, seen: Seen, now: Instant) {
        let Question { user, heard } = question;
        // What was heard since the question is newer than the answer, and has asked again where that is needed.
        let Some(watched) = self.watched.get_mut(&user).filter(|watched| watched.heard == heard) else {
            return;
        };
        match (seen, watched.told) {
            (Seen::Online { since }, told) => {
                watched.told = Told::Online;
                watched.left = None;
                if told == Told::Offline {
                    self.tells.push_back(Tell { user, online: true, at: since });
                }
            }
            (Seen::Nowhere { .. }, Told::Unknown) => watched.told = Told::Offline,
            (Seen::Nowhere { at }, Told::Online) => match self.hold.filter(|hold| *hold > now) {
                Some(hold) => self.look(user, hold),
                None => self.offline(user, at),
            },
            (Seen::Nowhere { .. }, Told::Offline) => {}
        }
    }

    /// Nobody could look. To be asked again from `retry` on.
    pub(super) fn unanswered(&mut self, questions: &[Question], retry: Instant) {
        for question in questions {
            self.look(question.user, retry);
        }
    }

    /// Other nodes can't be seen. Who left `patience` ago or earlier, and is not `here` on this node, goes offline: who
    /// waits longer for an answer waits in vain.
    pub(super) fn handle_blindness(&mut self, now: Instant, patience: Duration, here: impl Fn(u64) -> bool) {
        let asked = self.due.iter().take_while(|(at, _)| *at <= now).map(|(_, user)| *user);
        let decided: Vec<(u64, Timestamp)> = asked
            .filter_map(|user| {
                let (at, left) = self.watched.get(&user)?.left?;
                (left + patience <= now && !here(user)).then_some((user, at))
            })
            .collect();
        for (user, at) in decided {
            self.offline(user, at);
        }
    }

    /// What to tell next.
    pub(super) fn poll_tell(&mut self) -> Option<Tell> {
        self.tells.pop_front()
    }

    /// When the next question is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    pub(super) fn clear(&mut self) {
        *self = Self { heard: self.heard, ..Self::default() };
    }

    /// Has somebody look at `at`, or earlier if that was planned.
    fn look(&mut self, user: u64, at: Instant) {
        let Some(watched) = self.watched.get_mut(&user) else { return };
        match watched.look {
            Some(planned) if planned <= at => return,
            Some(planned) => _ = self.due.remove(&(planned, user)),
            None => (),
        }
        watched.look = Some(at);
        self.due.insert((at, user));
    }

    fn offline(&mut self, user: u64, seen: Timestamp) {
        let Some(watched) = self.watched.get_mut(&user) else { return };
        if let Some(look) = watched.look.take() {
            self.due.remove(&(look, user));
        }
        watched.told = Told::Offline;
        // When the last node was left, where that was heard.
        let at = watched.left.take().map_or(seen, |(at, _)| at);
        self.tells.push_back(Tell { user, online: false, at });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(ms)
    }

    fn tells(watches: &mut Watches) -> Vec<(u64, bool, i64)> {
        std::iter::from_fn(|| watches.poll_tell())
            .map(|tell| (tell.user, tell.online, tell.at.unix_ms()))
            .collect()
    }

    fn ask(watches: &mut Watches, now: Instant) -> Question {
        let questions = watches.questions(now, 10);
        assert_eq!(questions.len(), 1, "{questions:?}");
        questions[0]
    }

    fn nowhere() -> Seen {
        Seen::Nowhere { at: at(99) }
    }

    #[test]
    fn an_answer_that_is_older_than_what_was_heard_does_not_count() {
        let now = Instant::now();
        let mut watches = Watches::default();
        watches.watch(1, true, now);
        watches.gone(1, at(1), now);
        let question = ask(&mut watches, now);
        watches.here(1, at(2));
        watches.answer(question, nowhere(), now);
        assert_eq!((tells(&mut watches), watches.poll_timeout()), (vec![], None));

        // Nor one to somebody who watched before.
        watches.gone(1, at(3), now);
        let question = ask(&mut watches, now);
        watches.unwatch(1);
        watches.watch(1, true, now);
        watches.answer(question, nowhere(), now);
        assert_eq!(tells(&mut watches), []);
    }

    #[test]
    fn an_answer_from_before_a_user_went_does_not_bring_the_user_back() {
        let now = Instant::now();
        let mut watches = Watches::default();
        watches.watch(1, false, now);
        let question = ask(&mut watches, now);
        watches.answer(question, nowhere(), now);
        watches.look_at_all(now);
        let question = ask(&mut watches, now);
        watches.gone(1, at(1), now);
        watches.answer(question, Seen::Online { since: at(0) }, now);
        let question = ask(&mut watches, now);
        watches.answer(question, nowhere(), now);
        assert_eq!(tells(&mut watches), []);
    }

    #[test]
    fn nobody_goes_offline_while_that_is_held_back() {
        let now = Instant::now();
        let hold = now + Duration::from_secs(3);
        let mut watches = Watches::default();
        watches.watch(1, true, now);
        watches.watch(2, true, now);
        watches.hold_until(hold);
        watches.hold_until(now);
        watches.look_at_all(now);
        for question in watches.questions(now, 10) {
            watches.answer(question, nowhere(), now);
        }
        assert_eq!((tells(&mut watches), watches.poll_timeout()), (vec![], Some(hold)));
        watches.here(2, at(5));
        let question = ask(&mut watches, hold);
        watches.answer(question, nowhere(), hold);
        assert_eq!(tells(&mut watches), [(1, false, 99)]);
    }

    #[test]
    fn what_was_so_before_the_watch_is_not_told() {
        let now = Instant::now();
        for (seen, then) in [(nowhere(), (1, true, 5)), (Seen::Online { since: at(1) }, (1, false, 5))] {
            let mut watches = Watches::default();
            watches.watch(1, false, now);
            let question = ask(&mut watches, now);
            watches.answer(question, seen, now);
            assert_eq!(tells(&mut watches), []);
            if then.1 {
                watches.here(1, at(5));
            } else {
                watches.gone(1, at(5), now);
                let question = ask(&mut watches, now);
                watches.answer(question, nowhere(), now);
            }
            assert_eq!(tells(&mut watches), [then]);
        }
        // Who goes while nobody has looked yet was there.
        let mut watches = Watches::default();
        watches.watch(1, false, now);
        let before = ask(&mut watches, now);
        watches.gone(1, at(6), now);
        watches.answer(before, nowhere(), now);
        let question = ask(&mut watches, now);
        watches.answer(question, nowhere(), now);
        assert_eq!(tells(&mut watches), [(1, false, 6)]);
    }

    #[test]
    fn who_waits_in_vain_for_an_answer_decides_alone() {
        let now = Instant::now();
        let patience = Duration::from_secs(10);
        let mut watches = Watches::default();
        for user in 1..=3 {
            watches.watch(user, true, now);
        }
        watches.gone(1, at(1), now);
        watches.gone(2, at(2), now);
        let questions = watches.questions(now, 10);
        watches.unanswered(&questions, now);
        watches.handle_blindness(now, patience, |user| user == 2);
        assert_eq!(tells(&mut watches), []);
        watches.handle_blindness(now + patience, patience, |user| user == 2);
        assert_eq!(
            tells(&mut watches),
            [(1, false, 1)],
            "of 2 this node knows better, of 3 it heard nothing"
        );
    }
}
