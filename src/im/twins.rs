//! Senders with devices on other nodes, too: only for those is what they send published twice, to the nodes of the
//! recipient and to those of the sender.
//!
//! That a user is nowhere else is asked of presence with the first message, and true until another node announces the
//! user. Between a user's coming to another node and its announcement here there is a moment in which nothing goes there;
//! so what was kept back lately is published when the announcement comes. Whatever may have cost an announcement
//! makes this node ask again.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Im;
use super::inbox::Push;

/// How long an announcement may be under way.
const UNDER_WAY: Duration = Duration::from_secs(3);
/// How long somebody is taken to have other devices before it is asked again.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(60);
/// Messages of one user that are kept back at most. Who sends faster is taken to have other devices.
const MAX_KEPT: usize = 4096;

/// What is known of the users who send from this node.
#[derive(Default)]
pub struct Twins {
    /// Counts what may have cost an announcement.
    losses: AtomicU64,
    users: [Mutex<HashMap<u64, Knowledge>>; SPREAD],
}

const SPREAD: usize = 16;
/// Users that are kept under one lock.
const MAX_USERS: usize = 65_536;

enum Knowledge {
    /// Presence is being asked.
    Asking { losses: u64 },
    /// The user is on this node only. What was kept back from the user's room lately, and when.
    Alone { losses: u64, kept: VecDeque<(Instant, Push)> },
    /// The user may be elsewhere.
    Elsewhere { since: Instant },
}

/// What to do with a message of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No other node needs it for the sender's devices.
    Alone,
    /// One may.
    Elsewhere,
    /// One may, and presence is to be asked.
    Ask,
}

impl Twins {
    /// Whether another node may need a user's own message.
    pub fn judge(&self, user: u64, push: &Push, now: Instant) -> Verdict {
        let losses = self.losses.load(Ordering::Acquire);
        let mut users = self.lock(user);
        match users.get_mut(&user) {
            Some(Knowledge::Asking { losses: then }) if *then == losses => return Verdict::Elsewhere,
            Some(Knowledge::Elsewhere { since }) if now.duration_since(*since) < ASK_AGAIN_AFTER => {
                return Verdict::Elsewhere;
            }
            Some(Knowledge::Alone { losses: then, kept }) if *then == losses && kept.len() < MAX_KEPT => {
                while kept.front().is_some_and(|(at, _)| now.duration_since(*at) > UNDER_WAY) {
                    kept.pop_front();
                }
                kept.push_back((now, push.clone()));
                return Verdict::Alone;
            }
            _ => (),
        }
        if users.len() >= MAX_USERS {
            // Then all of them are asked for again. It happens where many users send over HTTP, and never come.
            users.clear();
        }
        users.insert(user, Knowledge::Asking { losses });
        Verdict::Ask
    }

    /// Presence has said whether the user is on another node.
    pub fn handle_answer(&self, user: u64, is_elsewhere: bool, now: Instant) {
        let mut users = self.lock(user);
        if let Some(knowledge @ Knowledge::Asking { .. }) = users.get_mut(&user) {
            let Knowledge::Asking { losses } = *knowledge else { return };
            *knowledge = if is_elsewhere {
                Knowledge::Elsewhere { since: now }
            } else {
                Knowledge::Alone { losses, kept: VecDeque::new() }
            };
        }
    }

    /// Another node has announced the user. Gives what was kept back lately.
    pub fn handle_announced(&self, user: u64, now: Instant) -> Vec<Push> {
        let mut users = self.lock(user);
        let Some(knowledge) = users.get_mut(&user) else { return Vec::new() };
        match std::mem::replace(knowledge, Knowledge::Elsewhere { since: now }) {
            Knowledge::Alone { kept, .. } => {
                let is_late = |at: Instant| now.duration_since(at) <= UNDER_WAY;
                kept.into_iter().filter(|(at, _)| is_late(*at)).map(|(_, push)| push).collect()
            }
            Knowledge::Asking { .. } | Knowledge::Elsewhere { .. } => Vec::new(),
        }
    }

    /// Announcements may have been lost: nothing that is known is sure any more.
    pub fn handle_loss(&self) {
        self.losses.fetch_add(1, Ordering::AcqRel);
    }

    /// The user has gone from this node.
    pub fn forget(&self, user: u64) {
        self.lock(user).remove(&user);
    }

    fn lock(&self, user: u64) -> MutexGuard<'_, HashMap<u64, Knowledge>> {
        self.users[user as usize % SPREAD].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Im {
    /// Whether another node may have devices of the sender, who has sent this just now.
    pub(super) fn is_needed_elsewhere(self: &Arc<Self>, sender: u64, push: &Push) -> bool {
        match self.twins.judge(sender, push, Instant::now()) {
            Verdict::Alone => return false,
            Verdict::Elsewhere => (),
            Verdict::Ask => {
                let im = self.clone();
                self.runtime.spawn(async move {
                    let found = im.presence.locate(vec![sender]).await;
                    let is_here = |node: &str| node == im.options.node_id;
                    let is_elsewhere = found.map_or(true, |found| {
                        found.get(&sender).is_some_and(|on| on.iter().any(|device| !is_here(&device.node_id)))
                    });
                    im.twins.handle_answer(sender, is_elsewhere, Instant::now());
                });
            }
        }
        true
    }

    /// Other nodes have announced these users.
    pub fn announced_elsewhere(self: &Arc<Self>, users: impl Iterator<Item = u64>) {
        for user in users {
            for push in self.twins.handle_announced(user, Instant::now()) {
                self.publish_to_devices_of(user, &push);
            }
        }
    }

    /// Other nodes may have announced users that this node has not heard of.
    pub fn announcements_lost(&self) {
        self.twins.handle_loss();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Conversation, Timestamp};

    fn push(seq: u64) -> Push {
        Push {
            id: seq,
            conversation: Conversation::between(1, 2),
            seq,
            created_at: Timestamp::from_unix_ms(0),
            previous_at: None,
            json: serde_json::value::RawValue::from_string("{}".into()).unwrap().into(),
            sender: None,
        }
    }

    #[test]
    fn who_is_alone_is_asked_for_once() {
        let (twins, now) = (Twins::default(), Instant::now());
        assert_eq!(twins.judge(1, &push(1), now), Verdict::Ask);
        assert_eq!(twins.judge(1, &push(2), now), Verdict::Elsewhere, "nobody knows yet");
        twins.handle_answer(1, false, now);
        assert_eq!(twins.judge(1, &push(3), now), Verdict::Alone);
        assert_eq!(twins.judge(2, &push(3), now), Verdict::Ask, "another user");
    }

    #[test]
    fn what_was_kept_back_lately_is_given_when_the_user_comes_elsewhere() {
        let (twins, now) = (Twins::default(), Instant::now());
        twins.judge(1, &push(1), now);
        twins.handle_answer(1, false, now);
        twins.judge(1, &push(2), now);
        twins.judge(1, &push(3), now + UNDER_WAY);
        let late = now + UNDER_WAY + Duration::from_secs(1);
        let seqs: Vec<_> = twins.handle_announced(1, late).iter().map(|push| push.seq).collect();
        assert_eq!(seqs, [3], "the earlier one went before the user can have come");
        assert_eq!(twins.judge(1, &push(4), late), Verdict::Elsewhere);
        assert_eq!(twins.judge(1, &push(5), late + ASK_AGAIN_AFTER), Verdict::Ask);
    }

    #[test]
    fn an_announcement_or_a_loss_while_presence_is_asked_counts() {
        let (twins, now) = (Twins::default(), Instant::now());
        twins.judge(1, &push(1), now);
        twins.handle_announced(1, now);
        twins.handle_answer(1, false, now);
        assert_eq!(twins.judge(1, &push(2), now), Verdict::Elsewhere);
        twins.judge(2, &push(1), now);
        twins.handle_loss();
        twins.handle_answer(2, false, now);
        assert_eq!(twins.judge(2, &push(2), now), Verdict::Ask, "the answer is older than the loss");
        twins.handle_answer(2, false, now);
        assert_eq!(twins.judge(2, &push(3), now), Verdict::Alone);
        twins.handle_loss();
        assert_eq!(twins.judge(2, &push(4), now), Verdict::Ask);
    }
}
