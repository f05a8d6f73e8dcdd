//! Redis, or the way to it, goes and comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tokio_socketio::bus::{Bus, BusError};

use super::contract::PATIENCE;
use super::proxy::Proxy;
use super::server::RedisServer;
use super::{assert_linked, node, wait_for_outages};

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
