//! Which other nodes there are: those that were heard of lately. Driven, never driving: it is told the time.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// So many numbers of messages are kept for each node, to know a second copy by; also of one that is gone, for so long: it may
/// only have been cut off, and say once more what it has said.
const REMEMBERED: usize = 8192;
const REMEMBERED_FOR: Duration = Duration::from_secs(600);

/// The other nodes.
pub struct Members {
    timeout: Duration,
    by_name: HashMap<Arc<str>, Member>,
    /// Nodes that were not heard of any more.
    gone: HashMap<Arc<str>, Member>,
}

struct Member {
    run: u64,
    heard: Instant,
    /// The numbers of its last messages that may come more than once.
    seen: HashSet<u64>,
    seen_in_order: VecDeque<u64>,
}

/// What has changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct News {
    /// This node is new.
    pub joined: Option<Arc<str>>,
    /// These are gone, one that has restarted among them.
    pub gone: Vec<Arc<str>>,
}

impl Members {
    /// Nodes are gone when nothing was heard of them for so long.
    pub fn new(timeout: Duration) -> Self {
        Members { timeout, by_name: HashMap::new(), gone: HashMap::new() }
    }

    /// The names of those that are there.
    pub fn names(&self) -> Vec<Arc<str>> {
        self.by_name.keys().cloned().collect()
    }

    /// A node that is there, in this run of it.
    pub fn get(&self, name: &str, run: u64) -> Option<Arc<str>> {
        let (name, member) = self.by_name.get_key_value(name)?;
        (member.run == run).then(|| name.clone())
    }

    /// Something was heard of a node.
    pub fn handle_heard(&mut self, name: &str, run: u64, now: Instant) -> News {
        if let Some(member) = self.by_name.get_mut(name)
            && member.run == run
        {
            member.heard = now;
            return News::default();
        }
        let name: Arc<str> = name.into();
        let known = self.gone.remove(&name).filter(|member| member.run == run);
        let new = Member { run, heard: now, seen: HashSet::new(), seen_in_order: VecDeque::new() };
        let member = Member { heard: now, ..known.unwrap_or(new) };
        let former = self.by_name.insert(name.clone(), member);
        News { gone: former.map(|_| name.clone()).into_iter().collect(), joined: Some(name) }
    }

    /// Whether this is the first copy of a message that may come more than once.
    pub fn is_first(&mut self, name: &str, number: u64) -> bool {
        let Some(member) = self.by_name.get_mut(name) else { return true };
        if !member.seen.insert(number) {
            return false;
        }
        member.seen_in_order.push_back(number);
        if member.seen_in_order.len() > REMEMBERED
            && let Some(oldest) = member.seen_in_order.pop_front()
        {
            member.seen.remove(&oldest);
        }
        true
    }

    /// A node has said farewell.
    pub fn handle_bye(&mut self, name: &str, run: u64) -> News {
        let is_it = self.by_name.get(name).is_some_and(|member| member.run == run);
        let gone = if is_it { self.by_name.remove_entry(name).map(|(name, _)| name) } else { None };
        News { joined: None, gone: gone.into_iter().collect() }
    }

    /// Nothing can be heard of anybody now: their time begins anew.
    pub fn excuse(&mut self, now: Instant) {
        self.by_name.values_mut().for_each(|member| member.heard = now);
    }

    /// Forgets, and names, those that were not heard of for too long.
    pub fn expire(&mut self, now: Instant) -> Vec<Arc<str>> {
        let timeout = self.timeout;
        let is_late = |member: &Member| now.saturating_duration_since(member.heard) > timeout;
        let gone: Vec<_> =
            self.by_name.iter().filter(|(_, m)| is_late(m)).map(|(name, _)| name.clone()).collect();
        for name in &gone {
            self.gone.extend(self.by_name.remove_entry(name));
        }
        self.gone.retain(|_, member| now.saturating_duration_since(member.heard) < REMEMBERED_FOR);
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_come_and_go() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut members = Members::new(10 * second);
        assert_eq!(members.handle_heard("a", 1, start).joined.as_deref(), Some("a"));
        assert_eq!(members.handle_heard("a", 1, start + second), News::default());
        members.handle_heard("b", 1, start);
        assert_eq!(members.expire(start + 10 * second), Vec::<Arc<str>>::new());
        assert_eq!(members.expire(start + 11 * second), [Arc::from("b")]);
        members.excuse(start + 21 * second);
        assert_eq!(
            members.expire(start + 30 * second),
            Vec::<Arc<str>>::new(),
            "nothing could be heard of it"
        );
        let restarted = members.handle_heard("a", 2, start + 11 * second);
        assert_eq!(
            (restarted.joined.as_deref(), restarted.gone.as_slice()),
            (Some("a"), &[Arc::from("a")][..])
        );
        assert_eq!(members.handle_bye("a", 1), News::default(), "a farewell of its former run");
        assert_eq!(members.handle_bye("a", 2).gone, [Arc::from("a")]);
        assert!(members.names().is_empty());
    }

    #[test]
    fn a_second_copy_is_known() {
        let mut members = Members::new(Duration::from_secs(1));
        members.handle_heard("a", 1, Instant::now());
        assert!(members.is_first("a", 1) && !members.is_first("a", 1) && members.is_first("a", 2));
        for number in 3..5000 {
            assert!(members.is_first("a", number) && !members.is_first("a", number));
        }
        assert!(members.by_name["a"].seen.len() <= REMEMBERED);
        let now = Instant::now();
        members.is_first("a", 5001);
        assert_eq!(members.expire(now + Duration::from_secs(10)), [Arc::from("a")]);
        members.handle_heard("a", 1, now + Duration::from_secs(20));
        assert!(!members.is_first("a", 5001), "it had only been cut off");
        members.handle_heard("a", 2, now);
        assert!(members.is_first("a", 1), "another run counts from 1 again");
    }
}
