//! The bus over real Redis: the contract on every kind of it, every kind of outage, and what else an operator meets.
#![cfg(feature = "redis")]

#[path = "../../src/bus/contract.rs"]
mod contract;
mod direct;
mod kinds;
mod outages;
#[path = "../support/proxy.rs"]
mod proxy;
#[path = "../support/redis.rs"]
mod server;
mod servers;

use std::sync::Arc;
use std::time::Duration;

use contract::{PATIENCE, Recorder};
use server::{RedisServer, installed};
use tokio::time::{sleep, timeout};
use tokio_socketio::bus::redis::{RedisBus, RedisOptions, UrlError};
use tokio_socketio::bus::{Bus, BusError, Sink};

/// A node's bus, and what its sink was told.
type Node = (Arc<RedisBus>, Arc<Recorder>);

/// A node on its way to a Redis.
async fn node(url: &str) -> Node {
    node_with(RedisOptions { url: url.into(), linger: Duration::ZERO, ..RedisOptions::default() }).await
}

async fn node_with(options: RedisOptions) -> Node {
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
async fn assert_linked(a: &Node, b: &Node, channel: &str, word: &str) {
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
