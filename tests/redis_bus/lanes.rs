//! A bus with threads of its own: what they publish and ask for, and where they hear it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;
use tokio_socketio::Reactor;
use tokio_socketio::bus::redis::{RedisBus, RedisOptions};
use tokio_socketio::bus::{Bus, Sink};

use super::contract::{PATIENCE, Recorder};
use super::server::{RedisCluster, RedisServer};
use super::wait_for_outages;

/// A sink that remembers which thread has told it what, too.
struct Ear {
    recorder: Arc<Recorder>,
    threads: Mutex<HashMap<String, ThreadId>>,
}

impl Sink for Ear {
    fn message(&self, channel: &str, message: Bytes) {
        self.threads.lock().unwrap().insert(channel.to_owned(), thread::current().id());
        self.recorder.message(channel, message);
    }

    fn lost(&self) {
        self.recorder.lost();
    }

    fn restored(&self) {
        self.recorder.restored();
    }
}

struct Node {
    bus: Arc<RedisBus>,
    ear: Arc<Ear>,
    reactors: Vec<Reactor>,
}

impl Node {
    async fn join(url: String) -> Self {
        let reactors: Vec<_> = (0..2).map(|n| Reactor::start(format!("lane-{n}")).unwrap()).collect();
        let ear = Arc::new(Ear { recorder: Recorder::new(), threads: Mutex::default() });
        let options = RedisOptions {
            url,
            linger: Duration::ZERO,
            reactors: reactors.clone(),
            ..RedisOptions::default()
        };
        Node { bus: RedisBus::connect(options, ear.clone()).await.unwrap(), ear, reactors }
    }

    /// Does it on one of the threads.
    async fn on<T: Send + 'static>(
        &self,
        reactor: usize,
        job: impl FnOnce(&RedisBus) -> T + Send + 'static,
    ) -> T {
        let bus = self.bus.clone();
        let done = self.reactors[reactor].runtime().spawn(async move { job(&bus) });
        timeout(PATIENCE, done).await.expect("in time").expect("no panic")
    }

    async fn subscribe(&self, reactor: usize, channel: &str) {
        let channel = channel.to_owned();
        let subscribed = self.on(reactor, move |bus| bus.subscribe(&channel)).await;
        timeout(PATIENCE, subscribed).await.expect("in time").expect("the subscription");
    }

    fn told_on(&self, channel: &str) -> Option<usize> {
        let thread = *self.ear.threads.lock().unwrap().get(channel)?;
        self.reactors.iter().position(|reactor| reactor.thread() == thread)
    }
}

async fn channels_are_heard_where_they_were_asked_for(url: String) {
    let (a, b) = (Node::join(url.clone()).await, Node::join(url).await);
    a.subscribe(0, "zero").await;
    a.subscribe(1, "one").await;
    a.bus.subscribe("home").await.unwrap();
    // Who asks second hears it where the first does.
    a.subscribe(1, "zero").await;
    for (reactor, channel) in [(0, "one"), (1, "zero"), (0, "home")] {
        b.on(reactor, move |bus| bus.publish(channel, "m".into())).await.unwrap();
        a.ear.recorder.wait_for(&format!("{channel}: m")).await;
    }
    assert_eq!(["zero", "one", "home"].map(|channel| a.told_on(channel)), [Some(0), Some(1), None]);
    // Given up and asked for on another thread, it is heard there, and once.
    for round in 0..50 {
        let reactor = round % 2;
        a.on(reactor, |bus| bus.unsubscribe("one")).await;
        // The bus sees to what is given up before it sees to what is asked for.
        a.bus.subscribe(&format!("another {round}")).await.unwrap();
        a.subscribe(reactor, "one").await;
        b.on(1, move |bus| bus.publish("one", round.to_string().into())).await.unwrap();
        a.ear.recorder.wait_for(&format!("one: {round}")).await;
        assert_eq!(a.told_on("one"), Some(reactor), "round {round}");
    }
    let told = a.ear.recorder.told();
    assert_eq!(told.len(), 53, "each was told once: {told:?}");
}

#[tokio::test]
async fn on_one_server() {
    let redis = RedisServer::start();
    channels_are_heard_where_they_were_asked_for(redis.url()).await;
}

#[tokio::test]
async fn on_a_cluster() {
    let redis = RedisCluster::start(3, 0);
    redis.wait_until_ready();
    channels_are_heard_where_they_were_asked_for(redis.url()).await;
}

#[tokio::test]
async fn what_a_node_says_leaves_in_one_order_whichever_thread_says_it() {
    const ROUNDS: usize = 500;
    let redis = RedisServer::start();
    let (a, b) = (Node::join(redis.url()).await, Node::join(redis.url()).await);
    b.subscribe(0, "x").await;
    for n in 0..ROUNDS {
        // The second says it after the first, which is all that is known of their order.
        for reactor in 0..2 {
            a.on(reactor, move |bus| bus.publish("x", (2 * n + reactor).to_string().into())).await.unwrap();
        }
    }
    b.ear.recorder.wait_for(&format!("x: {}", 2 * ROUNDS - 1)).await;
    assert_eq!(b.ear.recorder.told(), (0..2 * ROUNDS).map(|n| format!("x: {n}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn messages_larger_than_what_the_system_takes_at_once_arrive_whole() {
    let redis = RedisServer::start();
    let (a, b) = (Node::join(redis.url()).await, Node::join(redis.url()).await);
    b.subscribe(1, "x").await;
    b.subscribe(1, "end").await;
    let large = |n: u8| Bytes::from(vec![b'a' + n; 3 << 20]);
    for n in 0..8 {
        a.on(0, move |bus| bus.publish("x", large(n))).await.unwrap();
    }
    a.on(1, |bus| bus.publish("end", "".into())).await.unwrap();
    b.ear.recorder.wait_for("end: ").await;
    let told = b.ear.recorder.told();
    for n in 0..8 {
        assert!(told[usize::from(n)].as_bytes()[3..] == large(n)[..], "message {n}");
    }
}

#[tokio::test]
async fn all_threads_come_back_after_an_outage() {
    let mut redis = RedisServer::start();
    let (a, b) = (Node::join(redis.url()).await, Node::join(redis.url()).await);
    a.subscribe(0, "zero").await;
    a.subscribe(1, "one").await;
    redis.restart();
    wait_for_outages(&a.ear.recorder, 1).await;
    wait_for_outages(&b.ear.recorder, 1).await;
    for (reactor, channel) in [(1, "zero"), (0, "one")] {
        b.on(reactor, move |bus| bus.publish(channel, "again".into())).await.unwrap();
        a.ear.recorder.wait_for(&format!("{channel}: again")).await;
    }
    assert_eq!([a.told_on("zero"), a.told_on("one")], [Some(0), Some(1)]);
}

#[tokio::test]
async fn a_thread_that_is_gone_takes_nothing_with_it() {
    let redis = RedisServer::start();
    let (a, b) = (Node::join(redis.url()).await, Node::join(redis.url()).await);
    b.bus.subscribe("x").await.unwrap();
    let Node { bus, reactors, .. } = a;
    let (publisher, reactor) = (bus.clone(), reactors[0].clone());
    drop(reactors);
    // What it said last is sent, and the bus keeps the thread for as long as it needs it.
    let running = reactor.run(move || async move { publisher.publish("x", "last".into()).unwrap() });
    assert!(running.wait());
    drop(reactor);
    b.ear.recorder.wait_for("x: last").await;
    timeout(PATIENCE, bus.close()).await.expect("the close in time");
}

#[tokio::test]
async fn what_was_heard_on_a_thread_that_has_panicked_is_heard_elsewhere() {
    let redis = RedisServer::start();
    let (a, b) = (Node::join(redis.url()).await, Node::join(redis.url()).await);
    a.subscribe(0, "zero").await;
    a.subscribe(1, "one").await;
    assert!(!a.reactors[0].run(|| async { panic!("of the test") }).wait());
    wait_for_outages(&a.ear.recorder, 1).await;
    for channel in ["zero", "one"] {
        b.bus.publish(channel, "again".into()).unwrap();
        a.ear.recorder.wait_for(&format!("{channel}: again")).await;
    }
    assert_eq!([a.told_on("zero"), a.told_on("one")], [None, Some(1)]);
}
