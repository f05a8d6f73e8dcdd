//! What every [`Presence`] must do, as tests that an implementation runs with [`contract_tests!`].
//!
//! Each test is given the presence of a node that nobody has entered yet, and uses nothing but the trait and what
//! the watcher is told.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::mpsc;

use super::{Device, Load, MAX_ONLINE_PAGE, Presence, Watcher};
use crate::store::Timestamp;

/// How long anything may take before a test gives up. No test waits so long when all is well.
const PATIENCE: Duration = Duration::from_secs(10);
/// The name that the presence must have been given.
pub const NODE: &str = "node-a";
/// The grace that it must have been given: long enough that a test is not interrupted for as long.
pub const GRACE: Duration = Duration::from_millis(400);

/// One `#[tokio::test]` for each rule of the contract. `$open` is a function that is given a watcher, and makes a
/// presence and whatever must live as long: `(presence, guard)`.
macro_rules! contract_tests {
    ($open:expr) => { $crate::presence::contract::contract_tests! { @each $open,
        the_first_connection_is_online_and_the_last_offline
        a_return_within_the_grace_goes_unnoticed
        what_is_so_when_the_watch_begins_is_not_told
        watches_are_counted
        connections_are_counted
        what_never_came_does_not_leave
        pages_are_complete_and_ordered
        a_node_says_what_it_carries
        the_watcher_may_call_back
        a_released_node_is_empty_and_silent
    } };
    (@each $open:expr, $($name:ident)*) => { $(
        #[tokio::test]
        async fn $name() {
            let (watcher, told) = $crate::presence::contract::recorder();
            let (presence, _guard) = $open(watcher).await;
            $crate::presence::contract::$name(Arc::new(presence), told).await;
        }
    )* };
}
pub(crate) use contract_tests;

/// User, online, at, in milliseconds since 1970.
type Change = (u64, bool, i64);

/// What a watcher was told.
pub struct Told {
    changes: mpsc::UnboundedReceiver<Change>,
    /// If set, the watcher calls it whenever it is told something.
    calls: Arc<OnceLock<Arc<dyn Presence>>>,
}

struct Recorder {
    changes: mpsc::UnboundedSender<Change>,
    calls: Arc<OnceLock<Arc<dyn Presence>>>,
}

impl Watcher for Recorder {
    fn changed(&self, user: u64, online: bool, at: Timestamp) {
        if let Some(presence) = self.calls.get() {
            presence.watch(user);
            presence.enter(user, at);
            presence.leave(user, at);
            presence.unwatch(user);
        }
        let _ = self.changes.send((user, online, at.unix_ms()));
    }
}

/// A watcher, and what it is told.
pub fn recorder() -> (Arc<dyn Watcher>, Told) {
    let (sender, changes) = mpsc::unbounded_channel();
    let calls = Arc::default();
    (Arc::new(Recorder { changes: sender, calls: Arc::clone(&calls) }), Told { changes, calls })
}

impl Told {
    async fn next(&mut self) -> Change {
        tokio::time::timeout(PATIENCE, self.changes.recv())
            .await
            .expect("the watcher should be told something")
            .expect("a watcher that is still there")
    }
}

fn t(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(ms)
}

/// Waits until a user is told to come and go, who is there for nothing else: what was to be told before has been.
async fn fence(presence: &dyn Presence, told: &mut Told) -> Vec<Change> {
    const FENCE: u64 = 999_999;
    presence.watch(FENCE);
    presence.enter(FENCE, t(1));
    presence.leave(FENCE, t(2));
    let mut before = Vec::new();
    loop {
        match told.next().await {
            (FENCE, true, _) => (),
            (FENCE, false, _) => break,
            change => before.push(change),
        }
    }
    presence.unwatch(FENCE);
    before
}

async fn devices(presence: &dyn Presence, user: u64) -> Vec<Device> {
    presence.locate(vec![user]).await.unwrap().remove(&user).unwrap_or_default()
}

pub async fn the_first_connection_is_online_and_the_last_offline(
    presence: Arc<dyn Presence>,
    mut told: Told,
) {
    presence.watch(1);
    presence.enter(1, t(10));
    presence.enter(1, t(11));
    presence.leave(1, t(12));
    assert_eq!(fence(&*presence, &mut told).await, [(1, true, 10)]);
    presence.leave(1, t(13));
    assert!(!devices(&*presence, 1).await.is_empty(), "in its grace, the user is online");
    assert_eq!(told.next().await, (1, false, 13), "when the connection went, not when the grace was over");
    assert_eq!(devices(&*presence, 1).await, []);
    presence.enter(1, t(20));
    assert_eq!(told.next().await, (1, true, 20));
}

pub async fn a_return_within_the_grace_goes_unnoticed(presence: Arc<dyn Presence>, mut told: Told) {
    presence.watch(1);
    presence.enter(1, t(10));
    for n in 0..50 {
        presence.leave(1, t(20 + n));
        presence.enter(1, t(20 + n));
    }
    assert_eq!(fence(&*presence, &mut told).await, [(1, true, 10)]);
    let here = Device { node_id: NODE.to_owned(), connections: 1, since: t(10) };
    assert_eq!(devices(&*presence, 1).await, [here], "online since the beginning");
}

pub async fn what_is_so_when_the_watch_begins_is_not_told(presence: Arc<dyn Presence>, mut told: Told) {
    presence.enter(1, t(10));
    presence.watch(1);
    presence.watch(2);
    assert_eq!(fence(&*presence, &mut told).await, []);
    presence.leave(1, t(11));
    presence.enter(2, t(12));
    let mut changes = [told.next().await, told.next().await];
    changes.sort_unstable();
    assert_eq!(changes, [(1, false, 11), (2, true, 12)]);
}

pub async fn watches_are_counted(presence: Arc<dyn Presence>, mut told: Told) {
    presence.watch(1);
    presence.watch(1);
    presence.unwatch(1);
    presence.enter(1, t(10));
    assert_eq!(told.next().await, (1, true, 10), "one watch is left");
    presence.unwatch(1);
    presence.unwatch(1);
    presence.leave(1, t(11));
    assert_eq!(fence(&*presence, &mut told).await, [], "nobody watches");
    presence.watch(1);
    presence.enter(1, t(12));
    assert_eq!(told.next().await, (1, true, 12));
}

pub async fn connections_are_counted(presence: Arc<dyn Presence>, _: Told) {
    for (user, count) in [(1, 1), (2, 3)] {
        for n in 0..count {
            presence.enter(user, t(10 + n));
        }
    }
    presence.leave(2, t(20));
    let located = presence.locate(vec![1, 2, 3, 2]).await.unwrap();
    let here = |connections| vec![Device { node_id: NODE.to_owned(), connections, since: t(10) }];
    assert_eq!(located, [(1, here(1)), (2, here(2))].into(), "and who is nowhere is not there");
    assert!(presence.locate(Vec::new()).await.unwrap().is_empty());
}

pub async fn what_never_came_does_not_leave(presence: Arc<dyn Presence>, mut told: Told) {
    presence.watch(1);
    presence.leave(1, t(1));
    assert_eq!(fence(&*presence, &mut told).await, []);
    presence.enter(1, t(2));
    presence.leave(1, t(3));
    presence.leave(1, t(4));
    assert_eq!([told.next().await, told.next().await], [(1, true, 2), (1, false, 3)]);
    assert_eq!(fence(&*presence, &mut told).await, []);
}

pub async fn pages_are_complete_and_ordered(presence: Arc<dyn Presence>, _: Told) {
    const LARGEST: u64 = (1 << 53) - 1;
    assert_eq!(presence.online(None, 10).await.unwrap().users, [0; 0]);
    for user in [30, 10, LARGEST, 20, LARGEST - 1] {
        presence.enter(user, t(user as i64 % 100));
        presence.enter(user, t(1));
    }
    for (after, limit, expected, has_more) in [
        (None, 10, &[10, 20, 30, LARGEST - 1, LARGEST][..], false),
        (None, 5, &[10, 20, 30, LARGEST - 1, LARGEST], false),
        (None, 2, &[10, 20], true),
        (Some(0), 1, &[10], true),
        (Some(10), 3, &[20, 30, LARGEST - 1], true),
        (Some(15), 1, &[20], true),
        (Some(LARGEST - 1), 9, &[LARGEST], false),
        (Some(LARGEST), 9, &[], false),
        (None, 0, &[], true),
        (Some(LARGEST), 0, &[], false),
    ] {
        let page = presence.online(after, limit).await.unwrap();
        assert_eq!((&page.users[..], page.has_more), (expected, has_more), "after {after:?}, limit {limit}");
    }
    for user in 1..=MAX_ONLINE_PAGE as u64 + 1 {
        presence.enter(user, t(1));
    }
    let page = presence.online(None, usize::MAX).await.unwrap();
    assert_eq!((page.users.len(), page.has_more), (MAX_ONLINE_PAGE, true));
}

pub async fn a_node_says_what_it_carries(presence: Arc<dyn Presence>, _: Told) {
    let load = Load { connections: 5, sessions: 4, users: 3, messages: 2, draining: true };
    presence.set_load(load);
    let waiting = async {
        loop {
            let nodes = presence.nodes().await.unwrap();
            assert_eq!(nodes.len(), 1, "it is alone: {nodes:?}");
            let node = &nodes[0];
            assert_eq!(
                (node.node_id.as_str(), node.socketio.as_str(), node.http.as_str()),
                (NODE, "s:1", "h:2")
            );
            assert!(node.epoch > 0);
            if node.load == load {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("the load should be told with a renewal");
}

pub async fn the_watcher_may_call_back(presence: Arc<dyn Presence>, mut told: Told) {
    presence.watch(1);
    assert!(told.calls.set(Arc::clone(&presence)).is_ok());
    presence.enter(1, t(1));
    assert_eq!(told.next().await, (1, true, 1));
    assert_eq!(fence(&*presence, &mut told).await, []);
}

pub async fn a_released_node_is_empty_and_silent(presence: Arc<dyn Presence>, mut told: Told) {
    presence.watch(1);
    presence.enter(1, t(1));
    assert_eq!(told.next().await, (1, true, 1));
    presence.release().await.unwrap();
    presence.enter(2, t(2));
    presence.leave(1, t(3));
    assert!(presence.locate(vec![1, 2]).await.unwrap().is_empty());
    assert_eq!(presence.online(None, 10).await.unwrap().users, [0; 0]);
    presence.release().await.expect("releasing twice is fine");
    tokio::time::sleep(2 * GRACE).await;
    assert!(told.changes.try_recv().is_err(), "the node stops: nobody is to be told");
}
