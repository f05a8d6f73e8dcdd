//! The bus over real Redis: the contract on every kind of it, and every kind of outage.
#![cfg(feature = "redis")]

#[path = "../src/bus/contract.rs"]
mod contract;
#[path = "support/proxy.rs"]
mod proxy;
#[path = "support/redis.rs"]
mod server;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use contract::{Cluster, LINGER, PATIENCE, Recorder};
use proxy::Proxy;
use server::{RedisCluster, RedisServer, installed};
use tokio::time::{sleep, timeout};
use tokio_socketio::bus::redis::{PubSubMode, RedisBus, RedisOptions, UrlError};
use tokio_socketio::bus::{Bus, BusError, Sink};

/// A cluster of ours on one Redis, with channels of its own.
struct Nodes<S> {
    options: RedisOptions,
    _server: Arc<S>,
}

impl<S> Nodes<S> {
    fn new(server: Arc<S>, url: String, pubsub: PubSubMode, linger: Duration) -> Self {
        static LAST: AtomicUsize = AtomicUsize::new(0);
        let prefix = format!("socketio:{}:", LAST.fetch_add(1, Ordering::Relaxed));
        let options = RedisOptions { url, pubsub, linger, prefix, ..RedisOptions::default() };
        Self { options, _server: server }
    }
}

impl<S> Cluster for Nodes<S> {
    async fn join(&self, sink: Arc<dyn Sink>) -> Arc<dyn Bus> {
        let bus = RedisBus::connect(self.options.clone(), sink).await.unwrap();
        assert!(bus.is_up(), "the bus should be up at once");
        bus
    }
}

/// What several tests of this process share while any of them uses it.
fn shared<T>(place: &Mutex<Weak<T>>, start: impl FnOnce() -> T) -> Arc<T> {
    let mut place = place.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    place.upgrade().unwrap_or_else(|| {
        let started = Arc::new(start());
        *place = Arc::downgrade(&started);
        started
    })
}

mod classic {
    use super::*;

    fn nodes(linger: Duration) -> Nodes<RedisServer> {
        static SERVER: Mutex<Weak<RedisServer>> = Mutex::new(Weak::new());
        let server = shared(&SERVER, RedisServer::start);
        let url = server.url();
        Nodes::new(server, url, PubSubMode::Auto, linger)
    }

    contract::contract_tests!(nodes(Duration::ZERO), nodes(LINGER));
}

mod sharded {
    use super::*;

    fn nodes(linger: Duration) -> Nodes<RedisServer> {
        static SERVER: Mutex<Weak<RedisServer>> = Mutex::new(Weak::new());
        let server = shared(&SERVER, RedisServer::start);
        let url = server.url();
        Nodes::new(server, url, PubSubMode::Sharded, linger)
    }

    contract::contract_tests!(nodes(Duration::ZERO), nodes(LINGER));
}

mod redis_6 {
    use super::*;

    /// Redis 6.2, where `scripts/setup.sh` has put it. Not every machine can have it.
    fn binary() -> Option<PathBuf> {
        let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto-tests/.cache/redis-6.2/redis-server");
        if !place.is_file() {
            eprintln!("left out, for there is no {}: scripts/setup.sh gets it", place.display());
            return None;
        }
        Some(place)
    }

    fn nodes(binary: &Path, linger: Duration) -> Nodes<RedisServer> {
        static SERVER: Mutex<Weak<RedisServer>> = Mutex::new(Weak::new());
        let server = shared(&SERVER, || RedisServer::start_with(binary, &[]));
        assert!(server.ask::<String>("INFO server").contains("redis_version:6.2"));
        let url = server.url();
        Nodes::new(server, url, PubSubMode::Auto, linger)
    }

    macro_rules! nodes_or_leave_out {
        ($linger:expr) => {
            match binary() {
                Some(binary) => nodes(&binary, $linger),
                None => return,
            }
        };
    }

    contract::contract_tests!(nodes_or_leave_out!(Duration::ZERO), nodes_or_leave_out!(LINGER));

    #[tokio::test]
    async fn sharded_is_not_to_be_had() {
        let Some(binary) = binary() else { return };
        let server = RedisServer::start_with(&binary, &[]);
        let recorder = Recorder::new();
        let options =
            RedisOptions { url: server.url(), pubsub: PubSubMode::Sharded, ..RedisOptions::default() };
        let bus = RedisBus::connect(options, recorder.clone()).await.unwrap();
        drop(bus.subscribe("x"));
        recorder.wait_for("lost").await;
        sleep(Duration::from_millis(300)).await;
        assert!(!bus.is_up());
        timeout(PATIENCE, bus.close()).await.unwrap();
    }
}

mod cluster {
    use super::*;

    fn nodes(pubsub: PubSubMode, linger: Duration) -> Nodes<RedisCluster> {
        static CLUSTER: Mutex<Weak<RedisCluster>> = Mutex::new(Weak::new());
        let cluster = shared(&CLUSTER, || RedisCluster::start(3, 0));
        let url = cluster.url();
        Nodes::new(cluster, url, pubsub, linger)
    }

    mod sharded {
        use super::*;
        contract::contract_tests!(nodes(PubSubMode::Auto, Duration::ZERO), nodes(PubSubMode::Auto, LINGER));
    }

    mod classic {
        use super::*;
        contract::contract_tests!(
            nodes(PubSubMode::Classic, Duration::ZERO),
            nodes(PubSubMode::Classic, LINGER)
        );
    }
}

/// A node on its way to a Redis.
async fn node(url: &str) -> (Arc<RedisBus>, Arc<Recorder>) {
    node_with(RedisOptions { url: url.into(), linger: Duration::ZERO, ..RedisOptions::default() }).await
}

async fn node_with(options: RedisOptions) -> (Arc<RedisBus>, Arc<Recorder>) {
    let recorder = Recorder::new();
    let bus = RedisBus::connect(options, recorder.clone()).await.unwrap();
    (bus, recorder)
}

async fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let wait = async {
        while !done() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("waited in vain until {what}"));
}

/// A message from one node to the other and back shows that all is well.
async fn assert_linked(
    a: &(Arc<RedisBus>, Arc<Recorder>),
    b: &(Arc<RedisBus>, Arc<Recorder>),
    channel: &str,
    word: &str,
) {
    wait_until("both are up", || a.0.is_up() && b.0.is_up()).await;
    for ((from, _), (_, to)) in [(a, b), (b, a)] {
        from.publish(channel, word.to_owned().into()).unwrap();
        to.wait_for(&format!("{channel}: {word}")).await;
    }
}

/// Waits until a sink was told of that many outages, and of their ends.
async fn wait_for_outages(recorder: &Recorder, count: usize) {
    recorder
        .wait_until("the end of the outage", |told| {
            ["lost", "restored"].iter().all(|word| told.iter().filter(|told| told == word).count() == count)
        })
        .await;
    let told = recorder.told();
    let order: Vec<_> = told.iter().filter(|told| ["lost", "restored"].contains(&told.as_str())).collect();
    assert!(order.chunks(2).all(|pair| pair == ["lost", "restored"]), "{order:?}");
}

#[tokio::test]
async fn comes_back_when_redis_was_killed_and_restarted() {
    let mut redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    for (bus, _) in [&a, &b] {
        bus.subscribe("x").await.unwrap();
    }
    // More channels than one command takes.
    let many: Vec<_> = (0..2500).map(|n| a.0.subscribe(&format!("many {n}"))).collect();
    for subscription in many {
        subscription.await.unwrap();
    }
    assert_linked(&a, &b, "x", "before").await;

    redis.kill();
    a.1.wait_for("lost").await;
    b.1.wait_for("lost").await;
    assert!(!a.0.is_up());
    assert_eq!(a.0.publish("x", "unsaid".into()), Err(BusError::Down));
    assert_eq!(timeout(PATIENCE, a.0.subscribe("meanwhile")).await.expect("at once"), Err(BusError::Down));
    a.0.unsubscribe("many 0");
    assert!(a.0.stats().dropped_down >= 1 && !a.0.stats().up);

    redis.restart();
    wait_for_outages(&a.1, 1).await;
    wait_for_outages(&b.1, 1).await;
    assert_linked(&a, &b, "x", "after").await;
    for channel in ["meanwhile", "many 1", "many 1234", "many 2499"] {
        b.0.publish(channel, "heard".into()).unwrap();
        a.1.wait_for(&format!("{channel}: heard")).await;
    }
    assert_eq!((a.0.stats().reconnects, a.0.stats().up), (1, true));
    assert_eq!(redis.ask::<Vec<String>>("PUBSUB CHANNELS socketio:many*").len(), 2499, "many 0 was given up");

    // And again.
    redis.restart();
    wait_for_outages(&a.1, 2).await;
    wait_for_outages(&b.1, 2).await;
    assert_linked(&a, &b, "x", "again").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outages_lose_messages_but_neither_double_nor_reorder_them() {
    let mut redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    b.0.subscribe("x").await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let sender = tokio::spawn({
        let (bus, stop) = (a.0.clone(), stop.clone());
        async move {
            let mut taken = 0_u64;
            for n in 0_u64.. {
                if stop.load(Ordering::Relaxed) {
                    return taken;
                }
                taken += u64::from(bus.publish("x", n.to_string().into()).is_ok());
                if n % 10 == 0 {
                    sleep(Duration::from_millis(1)).await;
                }
            }
            taken
        }
    });
    for outage in 1..=3 {
        let before = b.1.told().len();
        b.1.wait_until("more messages", |told| told.len() > before + 100).await;
        redis.restart();
        wait_for_outages(&a.1, outage).await;
        wait_for_outages(&b.1, outage).await;
    }
    stop.store(true, Ordering::Relaxed);
    let taken = sender.await.unwrap();
    let told = b.1.told();
    let numbers: Vec<u64> = told.iter().filter_map(|told| told.strip_prefix("x: ")?.parse().ok()).collect();
    let wrong = numbers.windows(2).find(|pair| pair[0] >= pair[1]);
    assert_eq!(wrong, None, "of {} messages that arrived and {taken} that were taken", numbers.len());
}

#[tokio::test]
async fn starts_without_redis() {
    let mut redis = RedisServer::start();
    let url = redis.url();
    redis.kill();
    let (a, b) = (node(&url).await, node(&url).await);
    assert!(!a.0.is_up());
    assert_eq!(a.0.publish("x", "unsaid".into()), Err(BusError::Down));
    for (bus, _) in [&a, &b] {
        assert_eq!(bus.subscribe("x").await, Err(BusError::Down));
    }
    redis.restart();
    wait_for_outages(&a.1, 1).await;
    wait_for_outages(&b.1, 1).await;
    assert_linked(&a, &b, "x", "hello").await;
}

#[tokio::test]
async fn notices_a_redis_that_is_stopped() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    for (bus, _) in [&a, &b] {
        bus.subscribe("x").await.unwrap();
    }
    redis.pause();
    // They may be taken, for nobody knows yet, but not for long, and without end they are not.
    let _ = a.0.publish("x", "perhaps".into());
    a.1.wait_for("lost").await;
    b.1.wait_for("lost").await;
    assert_eq!(a.0.publish("x", "unsaid".into()), Err(BusError::Down));
    redis.resume();
    wait_for_outages(&a.1, 1).await;
    wait_for_outages(&b.1, 1).await;
    assert_linked(&a, &b, "x", "after").await;
    assert!(!b.1.told().contains(&"x: unsaid".to_owned()));
}

/// Breaks one node's way to Redis, and not the other's.
async fn breaks_and_mends(break_it: impl Fn(&Proxy)) {
    let redis = RedisServer::start();
    let proxy = Proxy::start(redis.port()).await;
    let a = node(&format!("redis://127.0.0.1:{}", proxy.port())).await;
    let b = node(&redis.url()).await;
    for (bus, _) in [&a, &b] {
        bus.subscribe("x").await.unwrap();
    }
    assert_linked(&a, &b, "x", "before").await;
    break_it(&proxy);
    a.1.wait_for("lost").await;
    b.0.publish("x", "to nobody".into()).unwrap();
    proxy.mend();
    wait_for_outages(&a.1, 1).await;
    assert_linked(&a, &b, "x", "after").await;
    assert!(!a.1.told().contains(&"x: to nobody".to_owned()), "a lost link tells nothing any more");
    assert!(b.0.is_up());
    wait_for_outages(&b.1, 0).await;
}

#[tokio::test]
async fn comes_back_when_its_connections_were_cut() {
    breaks_and_mends(Proxy::cut).await;
}

#[tokio::test]
async fn notices_a_way_that_nothing_passes() {
    breaks_and_mends(Proxy::stall).await;
}

#[tokio::test]
async fn a_full_queue_refuses() {
    let redis = RedisServer::start();
    let options = RedisOptions { url: redis.url(), queue_limit: 100, ..RedisOptions::default() };
    let (bus, _recorder) = node_with(options).await;
    redis.pause();
    let message = bytes::Bytes::from(vec![0; 64 << 10]);
    let refused = (0..10_000).find_map(|_| bus.publish("x", message.clone()).err());
    redis.resume();
    assert_eq!(refused, Some(BusError::Overloaded));
    assert_eq!(bus.stats().dropped_overloaded, 1);
}

#[tokio::test]
async fn counts_what_it_does() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    a.0.subscribe("x").await.unwrap();
    for n in 0..10 {
        b.0.publish("x", n.to_string().into()).unwrap();
    }
    a.1.wait_for("x: 9").await;
    wait_until("the answers are counted", || b.0.stats().published == 10).await;
    let (a, b) = (a.0.stats(), b.0.stats());
    assert_eq!((a.received, a.published, b.received), (10, 0, 0));
    assert!(a.commands >= 1 && b.commands >= 10);
    assert_eq!((b.dropped_down, b.dropped_overloaded, b.dropped_refused, b.reconnects), (0, 0, 0, 0));
}

#[tokio::test]
async fn what_others_publish_on_its_channels_is_left_alone() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    a.0.subscribe("x").await.unwrap();
    assert_eq!(redis.ask::<i32>("PUBLISH socketio:x short"), 1);
    b.0.publish("x", "m".into()).unwrap();
    a.1.wait_for("x: m").await;
    assert_eq!(a.1.told(), ["x: m"]);
    assert_eq!(redis.ask::<Vec<String>>("KEYS *"), [""; 0], "no key is left behind");
    assert!(redis.ask::<String>("CLIENT LIST").contains("name=tokio-socketio"));
}

#[tokio::test]
async fn uses_password_and_user() {
    let redis = RedisServer::start_with(&installed(), &["--requirepass", "s3cret/@"]);
    let port = redis.port();
    let url = |credentials: &str| format!("redis://{credentials}127.0.0.1:{port}");
    let good = node(&url(":s3cret%2F%40@")).await;
    assert!(good.0.is_up());
    assert!(node(&url("default:s3cret%2F%40@")).await.0.is_up());
    assert!(!node(&url(":wrong@")).await.0.is_up());
    assert!(!node(&url("")).await.0.is_up());
}

#[tokio::test]
async fn refuses_a_wrong_url() {
    let options = RedisOptions { url: "http://127.0.0.1".into(), ..RedisOptions::default() };
    assert_eq!(RedisBus::connect(options, Recorder::new()).await.err(), Some(UrlError::Scheme));
}

#[tokio::test]
async fn closes_while_redis_is_away() {
    let mut redis = RedisServer::start();
    let a = node(&redis.url()).await;
    redis.kill();
    a.1.wait_for("lost").await;
    timeout(PATIENCE, a.0.close()).await.expect("the close in time");
    assert_eq!(a.0.publish("x", "late".into()), Err(BusError::Closed));
}

#[tokio::test]
async fn follows_sentinel_to_the_new_master() {
    let binary = installed();
    let mut master = RedisServer::start();
    let replica = RedisServer::start_with(&binary, &["--replicaof", &format!("127.0.0.1 {}", master.port())]);
    replica.wait_for("INFO replication", |info: &String| info.contains("master_link_status:up"));
    let config = tempfile::tempdir().unwrap();
    let sentinels: Vec<_> = (0..3)
        .map(|n| {
            let file = config.path().join(format!("sentinel{n}.conf"));
            let watched = format!(
                "sentinel monitor main 127.0.0.1 {} 2\nsentinel down-after-milliseconds main 500\n\
                 sentinel failover-timeout main 3000\n",
                master.port()
            );
            std::fs::write(&file, watched).unwrap();
            RedisServer::start_with(&binary, &[file.to_str().unwrap(), "--sentinel"])
        })
        .collect();
    for sentinel in &sentinels {
        sentinel.wait_for("SENTINEL SENTINELS main", |others: &Vec<redis::Value>| others.len() == 2);
        sentinel.wait_for("SENTINEL REPLICAS main", |replicas: &Vec<redis::Value>| replicas.len() == 1);
    }
    let hosts: Vec<_> = sentinels.iter().map(|sentinel| format!("127.0.0.1:{}", sentinel.port())).collect();
    let url = format!("redis-sentinel://{}/main", hosts.join(","));
    let (a, b) = (node(&url).await, node(&url).await);
    for (bus, _) in [&a, &b] {
        bus.subscribe("x").await.unwrap();
    }
    assert_linked(&a, &b, "x", "before").await;
    let heard = |server: &RedisServer| server.ask::<Vec<String>>("PUBSUB CHANNELS socketio:*");
    assert_eq!((heard(&master), heard(&replica)), (vec!["socketio:x".to_owned()], vec![]));

    master.kill();
    wait_for_outages(&a.1, 1).await;
    wait_for_outages(&b.1, 1).await;
    assert_linked(&a, &b, "x", "after").await;
    assert_eq!(heard(&replica), ["socketio:x"], "they meet at the new master");

    let nobody = node(&format!("redis-sentinel://{}/other", hosts.join(","))).await;
    assert!(!nobody.0.is_up(), "no such master");
}

/// Channels of all masters, so that some are on any of them.
const CHANNELS: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];

async fn assert_all_linked(
    a: &(Arc<RedisBus>, Arc<Recorder>),
    b: &(Arc<RedisBus>, Arc<Recorder>),
    word: &str,
) {
    for channel in CHANNELS {
        assert_linked(a, b, channel, word).await;
    }
}

async fn two_on(cluster: &RedisCluster) -> [(Arc<RedisBus>, Arc<Recorder>); 2] {
    let nodes = [node(&cluster.url()).await, node(&cluster.url()).await];
    for (bus, _) in &nodes {
        for channel in CHANNELS {
            bus.subscribe(channel).await.unwrap();
        }
    }
    nodes
}

#[tokio::test]
async fn a_cluster_spreads_the_channels() {
    let cluster = RedisCluster::start(3, 0);
    let [a, b] = two_on(&cluster).await;
    assert_all_linked(&a, &b, "m").await;
    let on_each: Vec<usize> = cluster
        .servers
        .iter()
        .map(|server| server.ask::<Vec<String>>("PUBSUB SHARDCHANNELS socketio:*").len())
        .collect();
    assert_eq!(on_each.iter().sum::<usize>(), CHANNELS.len());
    assert!(on_each.iter().all(|count| *count > 0), "{on_each:?}");
}

#[tokio::test]
async fn comes_back_when_a_server_of_the_cluster_was_restarted() {
    let mut cluster = RedisCluster::start(3, 0);
    let [a, b] = two_on(&cluster).await;
    cluster.servers[1].kill();
    a.1.wait_for("lost").await;
    b.1.wait_for("lost").await;
    cluster.servers[1].restart();
    wait_until("both are up", || a.0.is_up() && b.0.is_up()).await;
    assert_all_linked(&a, &b, "after").await;
}

#[tokio::test]
async fn follows_the_cluster_to_a_promoted_replica() {
    let mut cluster = RedisCluster::start(3, 1);
    let [a, b] = two_on(&cluster).await;
    assert_all_linked(&a, &b, "before").await;
    cluster.servers[0].kill();
    a.1.wait_for("restored").await;
    b.1.wait_for("restored").await;
    assert_all_linked(&a, &b, "after").await;
    let heard = cluster.servers[3].ask::<Vec<String>>("PUBSUB SHARDCHANNELS socketio:*");
    assert!(!heard.is_empty(), "the replica of old has its master's channels");
}

/// A master that is told to let its replica take over goes on living, as a replica.
#[tokio::test]
async fn goes_along_with_a_planned_fail_over() {
    let cluster = RedisCluster::start(3, 1);
    let [a, b] = two_on(&cluster).await;
    assert_all_linked(&a, &b, "before").await;
    let () = cluster.servers[3].ask("CLUSTER FAILOVER");
    cluster.servers[3].wait_for("ROLE", |role: &redis::Value| {
        matches!(role, redis::Value::Array(role) if role[0] == redis::Value::BulkString(b"master".into()))
    });
    for channel in CHANNELS {
        wait_until_linked(&a, &b, channel).await;
        wait_until_linked(&b, &a, channel).await;
    }
}

/// Publishes until it arrives: some of it may be lost where nothing says when all is well again.
async fn wait_until_linked(
    from: &(Arc<RedisBus>, Arc<Recorder>),
    to: &(Arc<RedisBus>, Arc<Recorder>),
    channel: &str,
) {
    let expected = format!("{channel}: at last");
    wait_until("a message arrives", || {
        // It may be down just now.
        let _ = from.0.publish(channel, "at last".into());
        to.1.told().contains(&expected)
    })
    .await;
}

#[tokio::test]
async fn follows_slots_that_move() {
    let cluster = RedisCluster::start(3, 0);
    let [a, b] = two_on(&cluster).await;
    assert_all_linked(&a, &b, "before").await;
    let slot: u32 = cluster.servers[0].ask("CLUSTER KEYSLOT socketio:a");
    let old = (slot * 3 / 16384) as usize;
    let new = cluster.servers[(old + 1) % 3].ask::<String>("CLUSTER MYID");
    for server in &cluster.servers {
        let () = server.ask(&format!("CLUSTER SETSLOT {slot} NODE {new}"));
    }
    a.1.wait_for("restored").await;
    b.1.wait_for("restored").await;
    assert_all_linked(&a, &b, "after").await;
}
