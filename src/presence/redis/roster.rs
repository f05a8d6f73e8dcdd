//! Which other nodes there are, as last seen, and what their coming and going means for their users.
//!
//! Without clock and I/O.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::scripts::Lease;

/// A lease is looked at this long after it should have run out, so that Redis agrees that it has.
const MARGIN: Duration = Duration::from_millis(20);

/// The other nodes.
#[derive(Debug, Default)]
pub(super) struct Roster {
    nodes: BTreeMap<String, Known>,
}

#[derive(Debug)]
struct Known {
    epoch: u64,
    until: Instant,
}

/// What is different from the last time.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// Nodes that were not there.
    pub(super) came: Vec<String>,
    /// Nodes that are gone, or have begun another epoch, while their lease had not run out. Their users may be on their
    /// way back, there or elsewhere.
    pub(super) left: Vec<String>,
    /// Nodes whose lease has run out.
    pub(super) died: Vec<String>,
}

impl Roster {
    /// All other nodes, seen now.
    pub(super) fn update(&mut self, others: &[Lease], now: Instant) -> News {
        let mut news = News::default();
        let mut before = std::mem::take(&mut self.nodes);
        for Lease { node, epoch, left, .. } in others {
            match before.remove(node) {
                None => news.came.push(node.clone()),
                Some(known) if known.epoch != *epoch => news.left.push(node.clone()),
                Some(_) => (),
            }
            self.nodes.insert(node.clone(), Known { epoch: *epoch, until: now + *left });
        }
        for (node, known) in before {
            let list = if known.until <= now { &mut news.died } else { &mut news.left };
            list.push(node);
        }
        news
    }

    /// When to look again, if not before: a lease should have run out by then.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.nodes.values().map(|known| known.until + MARGIN).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_node_went_is_known_by_its_lease() {
        let second = Duration::from_secs(1);
        let now = Instant::now();
        let mut roster = Roster::default();
        let lease = |node: &str, epoch| Lease::of(node, epoch, 10 * second);
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();

        let news = roster.update(&[lease("a", 1), lease("b", 1), lease("c", 1)], now);
        assert_eq!(news, News { came: names(&["a", "b", "c"]), ..News::default() });
        assert_eq!(roster.poll_timeout(), Some(now + 10 * second + MARGIN));
        let news = roster.update(&[lease("a", 1), lease("b", 2)], now + 9 * second);
        assert_eq!(
            news,
            News { left: names(&["b", "c"]), ..News::default() },
            "another epoch, and gone early"
        );
        let news = roster.update(&[lease("b", 2)], now + 15 * second);
        assert_eq!(news, News { left: names(&["a"]), ..News::default() });
        let news = roster.update(&[], now + 25 * second);
        assert_eq!(news, News { died: names(&["b"]), ..News::default() });
        assert_eq!((roster.update(&[], now + 30 * second), roster.poll_timeout()), (News::default(), None));
    }
}
