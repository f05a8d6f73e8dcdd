//! Several nodes' presence on one Redis: deaths, pauses, drains, moves, outages.

#![cfg(feature = "node")]

#[path = "support/redis.rs"]
mod server;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::runtime::Runtime;
use tokio_socketio::bus::{LocalBus, LocalExchange, Sink};
use tokio_socketio::presence::redis::{CHANNEL, RedisPresence, RedisPresenceOptions, status};
use tokio_socketio::presence::{Load, Presence, PresenceError, PresenceFuture, Watcher};
use tokio_socketio::store::Timestamp;

use server::{RedisCluster, RedisServer, installed};

/// How long anything may take before a test gives up. No test waits so long when all is well.
const PATIENCE: Duration = Duration::from_secs(20);
const LEASE: Duration = Duration::from_millis(1500);
const GRACE: Duration = Duration::from_millis(500);

/// What a node's watcher was told, and where its bus passes messages to.
#[derive(Default)]
struct Told {
    changes: Mutex<Vec<(u64, bool)>>,
    itself: Mutex<Vec<&'static str>>,
    presence: OnceLock<std::sync::Weak<RedisPresence>>,
}

impl Watcher for Told {
    fn changed(&self, user: u64, online: bool, _: Timestamp) {
        self.changes.lock().unwrap().push((user, online));
    }

    fn reinstated(&self) {
        self.itself.lock().unwrap().push("reinstated");
    }

    fn replaced(&self) {
        self.itself.lock().unwrap().push("replaced");
    }
}

impl Sink for Told {
    fn message(&self, channel: &str, message: Bytes) {
        assert_eq!(channel, CHANNEL);
        if let Some(presence) = self.presence.get().and_then(std::sync::Weak::upgrade) {
            presence.heard(&message);
        }
    }

    fn restored(&self) {
        if let Some(presence) = self.presence.get().and_then(std::sync::Weak::upgrade) {
            presence.bus_restored();
        }
    }
}

/// A node: presence, a bus, and a runtime with one thread. Dropped, it is dead: nothing is released.
struct Node {
    presence: Option<Arc<RedisPresence>>,
    bus: Arc<LocalBus>,
    told: Arc<Told>,
    runtime: Option<Runtime>,
}

impl Drop for Node {
    fn drop(&mut self) {
        // All at once, as a process would.
        self.runtime.take().unwrap().shutdown_background();
    }
}

impl Node {
    fn start(name: &str, url: &str, exchange: &LocalExchange) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let told = Arc::new(Told::default());
        let bus = Arc::new(exchange.join(Arc::clone(&told) as Arc<dyn Sink>));
        let options = RedisPresenceOptions {
            url: url.to_owned(),
            node_id: name.to_owned(),
            socketio: format!("{name}:1"),
            http: format!("{name}:2"),
            lease: LEASE,
            renewal: LEASE / 5,
            grace: GRACE,
            ..RedisPresenceOptions::default()
        };
        let presence = {
            let _inside = runtime.enter();
            let watcher = Arc::clone(&told) as Arc<dyn Watcher>;
            Arc::new(RedisPresence::start(options, Arc::clone(&bus) as _, watcher).unwrap())
        };
        told.presence.set(Arc::downgrade(&presence)).unwrap();
        let node = Self { presence: Some(presence), bus, told, runtime: Some(runtime) };
        node.wait_until_up();
        node
    }

    fn presence(&self) -> &RedisPresence {
        self.presence.as_ref().unwrap()
    }

    fn get<T>(&self, future: PresenceFuture<T>) -> Result<T, PresenceError> {
        self.runtime.as_ref().unwrap().block_on(future)
    }

    fn wait_until_up(&self) {
        eventually("the node has its lease", || self.presence().is_up());
    }

    fn enter(&self, user: u64) {
        self.presence().enter(user, Timestamp::now());
    }

    fn leave(&self, user: u64) {
        self.presence().leave(user, Timestamp::now());
    }

    /// Watches users, and waits until that is in force: other nodes' changes are heard from now on.
    fn watch(&self, users: &[u64], others: &[&Node]) {
        const PROBE: u64 = 1 << 40;
        for user in users {
            self.presence().watch(*user);
        }
        self.presence().watch(PROBE);
        for other in others {
            other.enter(PROBE);
        }
        eventually("the watch is in force", || self.changes_of(PROBE).contains(&true));
        for other in others {
            other.leave(PROBE);
        }
        eventually("the watch is quiet", || self.changes_of(PROBE).last() == Some(&false));
        self.presence().unwatch(PROBE);
        // Who came just before may have been announced just after.
        self.told.changes.lock().unwrap().clear();
    }

    /// What was told of a user.
    fn changes_of(&self, user: u64) -> Vec<bool> {
        let changes = self.told.changes.lock().unwrap();
        changes.iter().filter(|(other, _)| *other == user).map(|(_, online)| *online).collect()
    }

    /// Where a user is, as this node sees it: the nodes, and the connections there.
    fn devices(&self, user: u64) -> Vec<(String, u32)> {
        let mut located = self.get(self.presence().locate(vec![user])).unwrap();
        let devices = located.remove(&user).unwrap_or_default();
        devices.into_iter().map(|device| (device.node_id, device.connections)).collect()
    }

    fn is_at(&self, user: u64, nodes: &[&str]) -> bool {
        self.devices(user).iter().map(|(node, _)| node.as_str()).eq(nodes.iter().copied())
    }

    fn epochs(&self) -> HashMap<String, u64> {
        let nodes = self.get(self.presence().nodes()).unwrap_or_default();
        nodes.into_iter().map(|node| (node.node_id, node.epoch)).collect()
    }

    /// Keeps everything that runs on this node from running, as SIGSTOP would.
    fn pause(&self, duration: Duration) {
        self.runtime.as_ref().unwrap().spawn(async move { thread::sleep(duration) });
    }
}

#[track_caller]
fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "not in {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn cluster<const N: usize>(names: [&str; N]) -> (RedisServer, LocalExchange, [Node; N]) {
    let server = RedisServer::start();
    let exchange = LocalExchange::default();
    let nodes = names.map(|name| Node::start(name, &server.url(), &exchange));
    (server, exchange, nodes)
}

fn all_keys_have_a_time_to_live(server: &RedisServer) {
    for key in keys(server) {
        assert!(key.starts_with("socketio"), "{key}");
        assert_ne!(server.ask::<i64>(&format!("PTTL {key}")), -1, "{key} lives for ever");
    }
}

fn keys(server: &RedisServer) -> Vec<String> {
    server.ask("KEYS *")
}

#[test]
fn a_dead_nodes_users_go_offline_once_everywhere() {
    let (server, _exchange, [a, b, c]) = cluster(["a", "b", "c"]);
    a.enter(1);
    a.enter(1);
    a.enter(2);
    b.enter(2);
    b.enter(3);
    for node in [&b, &c] {
        eventually("all are seen", || node.is_at(1, &["a"]) && node.is_at(2, &["a", "b"]));
        assert_eq!(node.devices(1), [("a".to_owned(), 2)]);
        node.watch(&[1, 2, 3], &[&a]);
    }
    all_keys_have_a_time_to_live(&server);
    drop(a);
    for node in [&b, &c] {
        eventually("the user of the dead node is offline", || !node.changes_of(1).is_empty());
        assert!(node.is_at(1, &[]) && node.is_at(2, &["b"]) && node.is_at(3, &["b"]));
    }
    // Whatever would be told twice would be by then.
    thread::sleep(2 * LEASE);
    for node in [&b, &c] {
        assert_eq!(
            *node.told.changes.lock().unwrap().iter().filter(|(user, _)| *user < 9).collect::<Vec<_>>(),
            [&(1, false)]
        );
    }
    assert_eq!(b.presence().stats().reaped + c.presence().stats().reaped, 1, "one reaper");
    assert!(!keys(&server).iter().any(|key| key.contains(":users:a:")), "nothing of the dead node is left");
    all_keys_have_a_time_to_live(&server);
}

#[test]
fn a_paused_node_comes_back_without_a_ghost_or_a_double() {
    let (server, _exchange, [a, b, c]) = cluster(["a", "b", "c"]);
    a.enter(1);
    a.enter(2);
    eventually("both are seen", || c.is_at(1, &["a"]) && c.is_at(2, &["a"]));
    c.watch(&[1, 2], &[&a]);
    let epoch = a.epochs()["a"];

    a.pause(4 * LEASE);
    eventually("it is given up", || c.changes_of(1) == [false] && c.changes_of(2) == [false]);
    assert_eq!(b.presence().stats().reaped + c.presence().stats().reaped, 1);
    // One of its users has gone elsewhere meanwhile.
    a.leave(2);
    b.enter(2);
    eventually("it is back, and says so", || *a.told.itself.lock().unwrap() == ["reinstated"]);
    eventually("its user is back", || c.changes_of(1) == [false, true]);
    assert!(a.epochs()["a"] > epoch, "under a new epoch");
    eventually("the other one is where it went", || c.is_at(2, &["b"]));
    for node in [&a, &b, &c] {
        assert_eq!(node.devices(1), [("a".to_owned(), 1)], "once");
    }
    thread::sleep(2 * LEASE);
    assert_eq!((c.changes_of(1), c.changes_of(2)), (vec![false, true], vec![false, true]));
    assert_eq!(*a.told.itself.lock().unwrap(), ["reinstated"]);
    all_keys_have_a_time_to_live(&server);
}

#[test]
fn a_name_is_taken_over_by_the_newest_process() {
    let (server, exchange, [a, b]) = cluster(["a", "b"]);
    a.enter(1);
    a.enter(2);
    eventually("both are seen", || b.is_at(1, &["a"]) && b.is_at(2, &["a"]));
    b.watch(&[1, 2], &[&a]);
    let epoch = b.epochs()["a"];
    // The former process still runs: it must notice.
    let successor = Node::start("a", &server.url(), &exchange);
    successor.enter(1);
    eventually("the former process knows", || *a.told.itself.lock().unwrap() == ["replaced"]);
    assert!(!a.presence().is_up());
    assert!(b.epochs()["a"] > epoch);
    eventually("who did not come back is offline", || b.changes_of(2) == [false]);
    assert_eq!(b.devices(1), [("a".to_owned(), 1)]);
    // What the former process does is of no consequence, even its release.
    a.enter(3);
    a.get(a.presence().release()).unwrap();
    thread::sleep(2 * LEASE);
    assert!(b.is_at(1, &["a"]) && b.is_at(3, &[]));
    assert_eq!(b.changes_of(1), [false; 0], "on the way from one process to the next there was no flap");
    assert_eq!(*successor.told.itself.lock().unwrap(), [""; 0]);
}

#[test]
fn a_user_who_moves_is_not_offline_in_between() {
    let (_server, _exchange, [a, b, c]) = cluster(["a", "b", "c"]);
    a.enter(1);
    a.enter(2);
    eventually("both are seen", || c.is_at(1, &["a"]) && c.is_at(2, &["a"]));
    c.watch(&[1, 2], &[&a]);
    for _ in 0..3 {
        for (from, to, name) in [(&a, &b, "b"), (&b, &a, "a")] {
            to.enter(1);
            from.leave(1);
            from.leave(2);
            to.enter(2);
            eventually("both have moved", || c.is_at(1, &[name]) && c.is_at(2, &[name]));
        }
    }
    assert_eq!((c.changes_of(1), c.changes_of(2)), (vec![], vec![]), "online all the time");
    a.leave(1);
    a.leave(2);
    eventually("both are offline", || c.changes_of(1) == [false] && c.changes_of(2) == [false]);
}

#[test]
fn a_drained_nodes_users_have_the_grace_to_come_elsewhere() {
    let (server, _exchange, [a, b, c]) = cluster(["a", "b", "c"]);
    a.enter(1);
    a.enter(2);
    eventually("both are seen", || c.is_at(1, &["a"]) && c.is_at(2, &["a"]));
    c.watch(&[1, 2], &[&a]);
    a.get(a.presence().release()).unwrap();
    assert!(c.is_at(1, &[]), "given up at once");
    assert!(!c.epochs().contains_key("a"));
    b.enter(1);
    eventually("who did not come elsewhere is offline", || c.changes_of(2) == [false]);
    thread::sleep(2 * GRACE);
    assert_eq!((c.changes_of(1), c.changes_of(2)), (vec![], vec![false]));
    assert!(!keys(&server).iter().any(|key| key.contains(":users:a:")));
    assert_eq!(b.presence().stats().reaped + c.presence().stats().reaped, 0, "it left in order");
}

#[test]
fn a_redis_that_forgot_everything_is_told_again() {
    let (mut server, _exchange, [a, b]) = cluster(["a", "b"]);
    a.enter(1);
    b.enter(2);
    eventually("both are seen", || b.is_at(1, &["a"]) && a.is_at(2, &["b"]));
    b.watch(&[1, 2], &[&a]);
    server.kill();
    eventually("both notice", || !a.presence().is_up() && !b.presence().is_up());
    server.restart();
    eventually("both are seen again", || b.is_at(1, &["a"]) && a.is_at(2, &["b"]));
    let () = server.ask("FLUSHALL");
    eventually("both are seen yet again", || b.is_at(1, &["a"]) && a.is_at(2, &["b"]));
    thread::sleep(2 * LEASE);
    assert_eq!((b.changes_of(1), b.changes_of(2)), (vec![], vec![]), "nobody was away");
    assert!(b.is_at(1, &["a"]) && a.is_at(2, &["b"]));
    all_keys_have_a_time_to_live(&server);
}

#[test]
fn without_redis_a_node_knows_its_own() {
    let (mut server, _exchange, [a, b]) = cluster(["a", "b"]);
    a.enter(1);
    b.enter(2);
    eventually("both are seen", || b.is_at(1, &["a"]) && a.is_at(2, &["b"]));
    a.watch(&[1, 2, 3], &[&b]);
    server.kill();
    eventually("the outage is noticed", || !a.presence().is_up());
    a.enter(3);
    eventually("its own users come", || a.changes_of(3) == [true]);
    a.leave(3);
    eventually("and go", || a.changes_of(3) == [true, false]);
    assert!(a.is_at(1, &["a"]) && a.is_at(2, &[]));
    assert_eq!(a.get(a.presence().online(None, 10)).unwrap().users, [1]);
    assert!(matches!(a.get(a.presence().nodes()), Err(PresenceError::Unavailable(_))));
    assert_eq!(a.changes_of(2), [false; 0], "nothing is known of the others' users, so nothing is told");
    a.enter(4);
    b.leave(2);
    server.restart();
    eventually("all is seen", || b.is_at(4, &["a"]) && a.changes_of(2) == [false]);
    assert!(a.is_at(2, &[]));
    server.kill();
    eventually("the outage is noticed", || !a.presence().is_up());
    assert!(matches!(a.get(a.presence().release()), Err(PresenceError::Unavailable(_))));
}

#[test]
fn a_redis_that_hangs_is_as_one_that_is_away() {
    let (server, _exchange, [a, b]) = cluster(["a", "b"]);
    a.enter(1);
    a.enter(2);
    eventually("both are seen", || b.is_at(1, &["a"]) && b.is_at(2, &["a"]));
    b.watch(&[1, 2, 3], &[&a]);
    server.pause();
    // Sent, perhaps, and answered by nobody.
    a.enter(3);
    a.leave(2);
    eventually("both notice", || !a.presence().is_up() && !b.presence().is_up());
    assert!(a.is_at(1, &["a"]) && a.is_at(3, &["a"]) && b.is_at(1, &[]));
    thread::sleep(2 * LEASE);
    server.resume();
    eventually("all is seen", || b.changes_of(3) == [true] && b.changes_of(2) == [false]);
    assert!(b.is_at(1, &["a"]) && b.is_at(2, &[]) && b.is_at(3, &["a"]));
    thread::sleep(2 * LEASE);
    assert_eq!(b.changes_of(1), [false; 0], "all leases had run out, and nobody was away");
    assert_eq!((b.changes_of(2), b.changes_of(3)), (vec![false], vec![true]));
    assert_eq!(keys(&server).len(), 3, "the nodes, and the users of each: {:?}", keys(&server));
    all_keys_have_a_time_to_live(&server);
}

#[test]
fn what_the_bus_lost_is_found() {
    let (_server, exchange, [a, b]) = cluster(["a", "b"]);
    a.enter(1);
    eventually("it is seen", || b.is_at(1, &["a"]));
    b.watch(&[1, 2, 3], &[&a]);
    exchange.cut(&b.bus);
    a.leave(1);
    a.enter(2);
    eventually("both have happened", || b.is_at(1, &[]) && b.is_at(2, &["a"]));
    exchange.mend(&b.bus);
    eventually("who listens finds out", || b.changes_of(1) == [false] && b.changes_of(2) == [true]);
    exchange.cut(&a.bus);
    a.enter(3);
    eventually("it has happened", || b.is_at(3, &["a"]));
    exchange.mend(&a.bus);
    eventually("who speaks lets others find out", || b.changes_of(3) == [true]);
}

#[test]
fn pages_go_over_all_nodes() {
    let (server, _exchange, nodes) = cluster(["a", "b", "c"]);
    // Every fifth user is on two nodes.
    for user in 1..=300u64 {
        nodes[user as usize % 3].enter(user);
        if user % 5 == 0 {
            nodes[(user as usize + 1) % 3].enter(user);
        }
    }
    for node in &nodes {
        let mut pages = Vec::new();
        eventually("all are online", || {
            pages.clear();
            let mut users = Vec::new();
            loop {
                let page = node.get(node.presence().online(users.last().copied(), 70)).unwrap();
                assert!(page.users.len() == 70 || !page.has_more);
                users.extend_from_slice(&page.users);
                pages.push(page.users.len());
                if !page.has_more {
                    break users.iter().copied().eq(1..=300);
                }
            }
        });
        assert_eq!(pages, [70, 70, 70, 70, 20]);
    }
    nodes[0].presence().set_load(Load { connections: 7, ..Load::default() });
    let runtime = nodes[0].runtime.as_ref().unwrap();
    eventually("the load is seen from outside", || {
        let nodes = runtime.block_on(status(&server.url())).unwrap();
        assert_eq!(nodes.iter().map(|node| node.node_id.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
        assert!(nodes.iter().all(|node| node.lease_ms > 0 && node.socketio == format!("{}:1", node.node_id)));
        nodes[0].load.connections == 7
    });
    assert!(runtime.block_on(status("redis://127.0.0.1:1")).is_err());
}

#[test]
fn a_connect_costs_less_than_a_command() {
    const CONNECTS: u64 = 2000;
    let (server, _exchange, nodes) = cluster(["a", "b", "c"]);
    let () = server.ask("CONFIG RESETSTAT");
    let before: u64 = nodes.iter().map(|node| node.presence().stats().batches).sum();
    for user in 1..=CONNECTS {
        nodes[user as usize % 3].enter(user);
    }
    let written = || {
        keys(&server)
            .iter()
            .filter(|key| key.contains(":users:"))
            .map(|key| server.ask::<u64>(&format!("ZCARD {key}")))
            .sum::<u64>()
    };
    eventually("all are written", || written() == CONNECTS + 3);
    // Each batch is one ZADD, and one PUBLISH of the bus.
    let writes = calls(&server, "zadd") + calls(&server, "zrem");
    let batches = nodes.iter().map(|node| node.presence().stats().batches).sum::<u64>() - before;
    assert!(writes + batches < CONNECTS / 2, "{writes} writes, {batches} announcements, {CONNECTS} connects");
}

/// How often Redis did a command.
fn calls(server: &RedisServer, command: &str) -> u64 {
    let stats: String = server.ask("INFO commandstats");
    let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
    line.and_then(|line| line.split(',').next()).map_or(0, |calls| calls.parse().unwrap())
}

#[test]
fn a_redis_cluster_does_as_well() {
    let servers = RedisCluster::start(3, 0);
    let exchange = LocalExchange::default();
    let [a, b] = ["a", "b"].map(|name| Node::start(name, &servers.url(), &exchange));
    a.enter(1);
    a.enter(1);
    eventually("it is seen", || b.devices(1) == [("a".to_owned(), 2)]);
    b.watch(&[1], &[&a]);
    assert_eq!(b.get(b.presence().online(None, 5)).unwrap().users, [1]);
    drop(a);
    eventually("the dead node's user is offline", || b.changes_of(1) == [false]);
    for server in &servers.servers {
        all_keys_have_a_time_to_live(server);
    }
    b.get(b.presence().release()).unwrap();
    assert!(servers.servers.iter().all(|server| keys(server).is_empty()), "nothing is left");
}

#[test]
fn presence_follows_sentinel_to_the_new_master() {
    let mut master = RedisServer::start();
    let of_master = format!("127.0.0.1 {}", master.port());
    let replica = RedisServer::start_with(&installed(), &["--replicaof", &of_master]);
    replica.wait_for("INFO replication", |info: &String| info.contains("master_link_status:up"));
    let config = tempfile::NamedTempFile::new().unwrap();
    let watched = format!(
        "sentinel monitor main {of_master} 1\nsentinel down-after-milliseconds main 500\n\
         sentinel failover-timeout main 3000\n"
    );
    std::fs::write(config.path(), watched).unwrap();
    let sentinel = RedisServer::start_with(&installed(), &[config.path().to_str().unwrap(), "--sentinel"]);
    sentinel.wait_for("SENTINEL REPLICAS main", |replicas: &Vec<::redis::Value>| replicas.len() == 1);

    let exchange = LocalExchange::default();
    let url = format!("redis-sentinel://127.0.0.1:{}/main", sentinel.port());
    let [a, b] = ["a", "b"].map(|name| Node::start(name, &url, &exchange));
    a.enter(1);
    eventually("it is seen", || b.is_at(1, &["a"]));
    b.watch(&[1, 2], &[&a]);
    master.kill();
    eventually("both notice", || !a.presence().is_up() && !b.presence().is_up());
    a.enter(2);
    eventually("both are seen at the new master", || b.is_at(1, &["a"]) && b.changes_of(2) == [true]);
    assert!(b.is_at(2, &["a"]));
    assert_eq!(b.changes_of(1), [false; 0]);
    all_keys_have_a_time_to_live(&replica);
}
