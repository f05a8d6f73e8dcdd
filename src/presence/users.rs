//! The users of this node: how many connections each has, and the grace after the last of them.
//!
//! Without clock, lock and I/O: `handle_timeout(now)` is to be called at `poll_timeout()`, again and again until it
//! says nothing. A user who comes back within the grace has never been away.
//!
//! ```text
//!             enter                    leave, the last one
//!     gone ─────────▶ connected(n) ─────────────────────────▶ leaving
//!      ▲                    ▲              enter                │  │
//!      │                    └───────────────────────────────────┘  │
//!      └───────────────────────────────────────────────────────────┘ the grace is over
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::{Duration, Instant};

use crate::store::Timestamp;

/// The users of one node.
#[derive(Debug)]
pub(super) struct Users {
    /// Ordered, so that a page of them is cheap.
    users: BTreeMap<u64, User>,
    /// Users in their grace, by its end.
    leaving: BTreeSet<(Instant, u64)>,
    grace: Duration,
}

#[derive(Debug)]
struct User {
    /// 0 in the grace.
    connections: u32,
    since: Timestamp,
    left: Option<Left>,
}

#[derive(Clone, Copy, Debug)]
struct Left {
    at: Timestamp,
    until: Instant,
}

/// A user that counts as online on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Here {
    /// At least 1: the last connection counts until the grace is over.
    pub(super) connections: u32,
    /// When the first connection came.
    pub(super) since: Timestamp,
}

impl Users {
    pub(super) fn new(grace: Duration) -> Self {
        Self { users: BTreeMap::new(), leaving: BTreeSet::new(), grace }
    }

    /// A connection has come. Whether the user is online here with it, and was not before.
    pub(super) fn enter(&mut self, user: u64, at: Timestamp) -> bool {
        let Some(known) = self.users.get_mut(&user) else {
            self.users.insert(user, User { connections: 1, since: at, left: None });
            return true;
        };
        known.connections = known.connections.saturating_add(1);
        if let Some(left) = known.left.take() {
            self.leaving.remove(&(left.until, user));
        }
        false
    }

    /// A connection has gone. Of one that never came, nothing is changed.
    pub(super) fn leave(&mut self, user: u64, at: Timestamp, now: Instant) {
        let Some(known) = self.users.get_mut(&user) else { return };
        if known.connections == 1 {
            let left = Left { at, until: now + self.grace };
            known.left = Some(left);
            self.leaving.insert((left.until, user));
        }
        known.connections = known.connections.saturating_sub(1);
    }

    /// The next user whose grace is over, and when the last connection went.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Option<(u64, Timestamp)> {
        self.leaving.first().filter(|(until, _)| *until <= now)?;
        let (_, user) = self.leaving.pop_first()?;
        let left = self.users.remove(&user)?.left?;
        Some((user, left.at))
    }

    /// When the next grace is over.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.leaving.first().map(|(until, _)| *until)
    }

    pub(super) fn get(&self, user: u64) -> Option<Here> {
        self.users.get(&user).map(|user| Here { connections: user.connections.max(1), since: user.since })
    }

    /// The users above `after`, ascending.
    pub(super) fn after(&self, after: Option<u64>) -> impl Iterator<Item = u64> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.users.range((from, Bound::Unbounded)).map(|(user, _)| *user)
    }

    pub(super) fn clear(&mut self) {
        self.users.clear();
        self.leaving.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    const GRACE: Duration = Duration::from_secs(3);

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_unix_ms(i64::try_from(ms).unwrap())
    }

    #[test]
    fn a_return_within_the_grace_goes_unnoticed() {
        let start = Instant::now();
        let mut users = Users::new(GRACE);
        assert!(users.enter(1, at(0)));
        assert!(!users.enter(1, at(1)));
        users.leave(1, at(2), start);
        assert_eq!((users.get(1).unwrap().connections, users.poll_timeout()), (1, None));
        users.leave(1, at(3), start);
        assert_eq!(users.get(1), Some(Here { connections: 1, since: at(0) }), "in the grace");
        assert_eq!(users.poll_timeout(), Some(start + GRACE));
        assert!(!users.enter(1, at(4)));
        assert_eq!((users.handle_timeout(start + 2 * GRACE), users.poll_timeout()), (None, None));

        users.leave(1, at(5), start + GRACE);
        assert_eq!(users.handle_timeout(start + 2 * GRACE - Duration::from_nanos(1)), None);
        assert_eq!(users.handle_timeout(start + 2 * GRACE), Some((1, at(5))));
        assert_eq!((users.get(1), users.handle_timeout(start + 3 * GRACE)), (None, None));
    }

    #[test]
    fn one_who_never_came_does_not_leave() {
        let now = Instant::now();
        let mut users = Users::new(GRACE);
        users.leave(1, at(0), now);
        users.enter(1, at(1));
        users.leave(1, at(2), now);
        users.leave(1, at(3), now);
        assert_eq!(users.handle_timeout(now + GRACE), Some((1, at(2))), "left once");
        assert_eq!(users.handle_timeout(now + 2 * GRACE), None);
    }

    proptest! {
        /// Against the plain rule: online from the first connection until nobody was connected for a whole grace.
        #[test]
        fn online_from_the_first_connection_to_the_grace_after_the_last(
            steps in prop::collection::vec((1u64..5, any::<bool>(), 0u64..2500), 0..120)
        ) {
            let start = Instant::now();
            let mut users = Users::new(GRACE);
            let mut connected: HashMap<u64, u32> = HashMap::new();
            let mut online: HashMap<u64, Option<u64>> = HashMap::new();
            let mut ms = 0;
            for (user, enter, pause) in steps {
                ms += pause;
                let now = start + Duration::from_millis(ms);
                while let Some((user, _)) = users.handle_timeout(now) {
                    let left = online.remove(&user).flatten();
                    prop_assert!(left.is_some_and(|left| left + 3000 <= ms), "{user} is gone too early");
                }
                prop_assert!(
                    online.values().flatten().all(|left| left + 3000 > ms),
                    "somebody is gone too late at {}", ms
                );
                let count = connected.entry(user).or_default();
                if enter {
                    *count += 1;
                    prop_assert_eq!(users.enter(user, at(ms)), !online.contains_key(&user));
                    online.insert(user, None);
                } else if *count > 0 {
                    *count -= 1;
                    users.leave(user, at(ms), now);
                    if *count == 0 {
                        online.insert(user, Some(ms));
                    }
                }
                let mut expected: Vec<u64> = online.keys().copied().collect();
                expected.sort_unstable();
                prop_assert_eq!(users.after(None).collect::<Vec<_>>(), expected);
                if let Some(here) = users.get(user) {
                    prop_assert_eq!(here.connections, connected[&user].max(1));
                }
            }
        }
    }
}
