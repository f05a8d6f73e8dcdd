//! Direct connections between nodes: where there are none, where they break, and who else comes to the door.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_socketio::bus::Bus;
use tokio_socketio::bus::redis::{DirectOptions, RedisBus, RedisOptions};

use super::contract::PATIENCE;
use super::proxy::Proxy;
use super::server::RedisServer;
use super::{Node, assert_linked, node_with, wait_until};

async fn join(redis: &RedisServer, direct: DirectOptions) -> Node {
    let options = RedisOptions {
        url: redis.url(),
        linger: Duration::ZERO,
        direct: Some(direct),
        ..RedisOptions::default()
    };
    node_with(options).await
}

/// A node that the others reach by a proxy.
async fn join_behind(redis: &RedisServer, name: &str) -> (Node, Proxy) {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let proxy = Proxy::start(port).await;
    let advertise = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, proxy.port())));
    (join(redis, DirectOptions { port, advertise, ..DirectOptions::new(name) }).await, proxy)
}

async fn wait_until_reached(node: &Node, others: usize) {
    wait_until("others are reached directly", || node.0.stats().reached_directly == others).await;
}

/// Publishes numbers on a channel until told to stop; tells how many.
fn publish_numbers(bus: &Arc<RedisBus>, channel: &'static str, stop: &Arc<AtomicBool>) -> JoinHandle<u64> {
    let (bus, stop) = (bus.clone(), stop.clone());
    tokio::spawn(async move {
        let mut count = 0;
        while !stop.load(Ordering::Relaxed) {
            for _ in 0..10 {
                bus.publish(channel, count.to_string().into()).unwrap();
                count += 1;
            }
            sleep(Duration::from_millis(1)).await;
        }
        count
    })
}

/// All numbers have come, each once and in order.
async fn assert_all_came(node: &Node, channel: &str, count: u64) {
    node.1.wait_for(&format!("{channel}: {}", count - 1)).await;
    let prefix = format!("{channel}: ");
    let told = node.1.told();
    let numbers = told.iter().filter_map(|told| told.strip_prefix(&prefix)?.parse::<u64>().ok());
    let wrong = numbers.clone().zip(0..).find(|(came, due)| came != due);
    assert_eq!(wrong, None, "(came, due) of {count} that were published; {} came", numbers.count());
    assert!(!told.contains(&"lost".to_owned()), "nothing is said to be lost");
}

async fn more_than(node: &Node, more: usize) {
    let before = node.1.told().len();
    node.1.wait_until("more messages", |told| told.len() > before + more).await;
}

#[tokio::test]
async fn redis_is_left_out_where_all_are_reached() {
    let redis = RedisServer::start();
    let (a, b) = (join(&redis, DirectOptions::new("a")).await, join(&redis, DirectOptions::new("b")).await);
    b.0.subscribe("x").await.unwrap();
    for node in [&a, &b] {
        wait_until_reached(node, 1).await;
    }
    for n in 0..100 {
        a.0.publish("x", n.to_string().into()).unwrap();
    }
    assert_all_came(&b, "x", 100).await;
    // A machine that stands still for a second makes it go by Redis for a moment.
    wait_until("a hundred messages go past Redis, and none by it", || {
        let before = a.0.stats();
        for _ in 0..100 {
            a.0.publish("x", "m".into()).unwrap();
            a.0.publish("nobody's", "m".into()).unwrap();
        }
        let after = a.0.stats();
        after.sent_directly - before.sent_directly == 100 && after.commands - before.commands < 50
    })
    .await;
    wait_until("they are counted as such", || b.0.stats().received_directly >= 100).await;
    let ttl = redis.ask::<i64>("PTTL socketio:direct");
    assert!(ttl > 0, "the registry lasts {ttl} ms");
}

#[tokio::test]
async fn who_is_alone_says_nothing_to_redis() {
    let redis = RedisServer::start();
    let a = join(&redis, DirectOptions::new("a")).await;
    wait_until("a hundred messages are no commands", || {
        let before = a.0.stats().commands;
        for _ in 0..100 {
            a.0.publish("x", "m".into()).unwrap();
        }
        a.0.stats().commands - before < 50
    })
    .await;
}

#[tokio::test]
async fn who_can_not_be_reached_hears_by_redis() {
    let redis = RedisServer::start();
    let a = join(&redis, DirectOptions::new("a")).await;
    let b = join(&redis, DirectOptions::new("b")).await;
    let nobody = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let hidden = DirectOptions { advertise: Some(nobody), ..DirectOptions::new("hidden") };
    let hidden = join(&redis, hidden).await;
    let deaf = join(&redis, DirectOptions { listen: false, ..DirectOptions::new("deaf") }).await;
    let all = [&a, &b, &hidden, &deaf];
    for node in all {
        node.0.subscribe("x").await.unwrap();
    }
    wait_until_reached(&a, 1).await;
    wait_until_reached(&hidden, 2).await;
    for (from, name) in all.into_iter().zip(["a", "b", "hidden", "deaf"]) {
        for n in 0..100 {
            from.0.publish("x", format!("{name} {n}").into()).unwrap();
        }
    }
    for (node, own) in all.into_iter().zip(["a", "b", "hidden", "deaf"]) {
        for name in ["a", "b", "hidden", "deaf"].into_iter().filter(|name| *name != own) {
            node.1.wait_for(&format!("x: {name} 99")).await;
            let told = node.1.told();
            let of_it = told.iter().filter(|told| told.starts_with(&format!("x: {name} ")));
            let due: Vec<_> = (0..100).map(|n| format!("x: {name} {n}")).collect();
            assert!(of_it.eq(&due), "{own} hears {name}: {told:?}");
        }
    }
}

/// Publishes all the while as something happens to the way from one node to another, again and again.
async fn loses_nothing(happens: impl AsyncFn(&Proxy)) {
    let redis = RedisServer::start();
    let a = join(&redis, DirectOptions::new("a")).await;
    let (b, proxy) = join_behind(&redis, "b").await;
    let c = join(&redis, DirectOptions::new("c")).await;
    for node in [&b, &c] {
        node.0.subscribe("x").await.unwrap();
    }
    let stop = Arc::new(AtomicBool::new(false));
    let sender = publish_numbers(&a.0, "x", &stop);
    for _ in 0..3 {
        wait_until_reached(&a, 2).await;
        more_than(&b, 100).await;
        happens(&proxy).await;
        more_than(&b, 100).await;
        // What is asked for meanwhile comes, too.
        b.0.subscribe("y").await.unwrap();
        a.0.publish("y", "m".into()).unwrap();
        b.1.wait_for("y: m").await;
        b.0.unsubscribe("y");
        proxy.mend();
    }
    wait_until_reached(&a, 2).await;
    stop.store(true, Ordering::Relaxed);
    let count = sender.await.unwrap();
    for node in [&b, &c] {
        assert_all_came(node, "x", count).await;
    }
}

#[tokio::test]
async fn a_way_that_is_cut_loses_nothing() {
    loses_nothing(async |proxy| {
        proxy.cut();
        sleep(Duration::from_millis(50)).await;
    })
    .await;
}

#[tokio::test]
async fn a_way_that_nothing_passes_loses_nothing() {
    loses_nothing(async |proxy| {
        proxy.stall();
        sleep(Duration::from_millis(1500)).await;
    })
    .await;
}

#[tokio::test]
async fn a_way_that_is_slow_for_a_while_loses_nothing() {
    loses_nothing(async |proxy| {
        proxy.stall();
        sleep(Duration::from_millis(300)).await;
        proxy.mend();
    })
    .await;
}

#[tokio::test]
async fn newcomers_miss_nothing_and_who_leaves_is_not_waited_for() {
    let redis = RedisServer::start();
    let a = join(&redis, DirectOptions::new("a")).await;
    let b = join(&redis, DirectOptions::new("b")).await;
    b.0.subscribe("x").await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let sender = publish_numbers(&a.0, "x", &stop);
    for round in 0..5 {
        let newcomer = join(&redis, DirectOptions::new(format!("newcomer {round}"))).await;
        let channel = format!("for newcomer {round}");
        newcomer.0.subscribe(&channel).await.unwrap();
        for n in 0..50 {
            a.0.publish(&channel, n.to_string().into()).unwrap();
        }
        assert_all_came(&newcomer, &channel, 50).await;
        timeout(PATIENCE, newcomer.0.close()).await.unwrap();
    }
    wait_until_reached(&a, 1).await;
    stop.store(true, Ordering::Relaxed);
    assert_all_came(&b, "x", sender.await.unwrap()).await;
}

#[tokio::test]
async fn an_outage_of_redis_ends_as_without_them() {
    let mut redis = RedisServer::start();
    let (a, b) = (join(&redis, DirectOptions::new("a")).await, join(&redis, DirectOptions::new("b")).await);
    for node in [&a, &b] {
        node.0.subscribe("x").await.unwrap();
    }
    for outage in 1..=2 {
        for node in [&a, &b] {
            wait_until_reached(node, 1).await;
        }
        assert_linked(&a, &b, "x", &format!("before {outage}")).await;
        redis.restart();
        for node in [&a, &b] {
            super::wait_for_outages(&node.1, outage).await;
        }
        assert_linked(&a, &b, "x", &format!("after {outage}")).await;
    }
}

#[tokio::test]
async fn a_full_redis_stops_no_messages() {
    let redis = RedisServer::start();
    let (a, b) = (join(&redis, DirectOptions::new("a")).await, join(&redis, DirectOptions::new("b")).await);
    b.0.subscribe("x").await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let sender = publish_numbers(&a.0, "x", &stop);
    more_than(&b, 100).await;
    redis.ask::<()>("CONFIG SET maxmemory 1");
    // For longer than what was read in the registry is trusted.
    let before = a.0.stats().published;
    wait_until("messages go by Redis", || a.0.stats().published > before + 100).await;
    redis.ask::<()>("CONFIG SET maxmemory 0");
    wait_until_reached(&a, 1).await;
    let before = b.0.stats().received_directly;
    wait_until("messages go directly", || b.0.stats().received_directly > before + 100).await;
    stop.store(true, Ordering::Relaxed);
    assert_all_came(&b, "x", sender.await.unwrap()).await;
}

#[tokio::test]
async fn a_node_starts_where_redis_is_full() {
    let redis = RedisServer::start();
    let a = join(&redis, DirectOptions::new("a")).await;
    a.0.subscribe("x").await.unwrap();
    redis.ask::<()>("CONFIG SET maxmemory 1");
    let b = join(&redis, DirectOptions::new("b")).await;
    assert!(b.0.is_up());
    b.0.subscribe("x").await.unwrap();
    wait_until("it is reached by Redis", || {
        a.0.publish("x", "m".into()).unwrap();
        b.0.stats().received > 0
    })
    .await;
    redis.ask::<()>("CONFIG SET maxmemory 0");
    for node in [&a, &b] {
        wait_until_reached(node, 1).await;
    }
    // Others may have left it out.
    super::wait_for_outages(&b.1, 1).await;
    assert_linked(&a, &b, "x", "after").await;
}

#[tokio::test]
async fn who_is_forgotten_in_the_registry_begins_anew() {
    let redis = RedisServer::start();
    let (a, b) = (join(&redis, DirectOptions::new("a")).await, join(&redis, DirectOptions::new("b")).await);
    for node in [&a, &b] {
        node.0.subscribe("x").await.unwrap();
        wait_until_reached(node, 1).await;
    }
    redis.ask::<()>("FLUSHALL");
    for node in [&a, &b] {
        super::wait_for_outages(&node.1, 1).await;
        wait_until_reached(node, 1).await;
    }
    assert_linked(&a, &b, "x", "after").await;
}

#[tokio::test]
async fn entries_of_other_versions_are_nodes_that_can_not_be_reached() {
    let redis = RedisServer::start();
    redis.ask::<i32>("HSET socketio:direct 00000000000000aa anything");
    let (a, b) = (join(&redis, DirectOptions::new("a")).await, join(&redis, DirectOptions::new("b")).await);
    b.0.subscribe("x").await.unwrap();
    wait_until_reached(&a, 1).await;
    let now: Vec<String> = redis.ask("TIME");
    let entry = format!("{}000 0a 9 somewhere else", now[0]);
    let mut command = ::redis::cmd("HSET");
    command.arg("socketio:direct").arg("00000000000000bb").arg(entry);
    command.exec(&mut redis.connection()).unwrap();
    wait_until("messages go by Redis, too", || {
        let before = a.0.stats().commands;
        for _ in 0..100 {
            a.0.publish("x", "m".into()).unwrap();
        }
        a.0.stats().commands - before >= 100
    })
    .await;
}

#[tokio::test]
async fn strangers_are_shown_out_and_harm_nobody() {
    let redis = RedisServer::start();
    let a = join(&redis, DirectOptions::new("a")).await;
    let b = join(&redis, DirectOptions::new("b")).await;
    b.0.subscribe("x").await.unwrap();
    wait_until_reached(&a, 1).await;
    let entries = redis.ask::<Vec<String>>("HVALS socketio:direct");
    let doors: Vec<SocketAddr> =
        entries.iter().filter_map(|entry| entry.split(' ').nth(3)?.parse().ok()).collect();
    assert_eq!(doors.len(), 2, "{entries:?}");
    // A hello that is right, and a proof that is not.
    let mut hello = vec![0, 0, 0, 51, b'H'];
    hello.extend(b"sio-bus\x01");
    hello.extend([0; 3 * 8 + 2 + 16]);
    hello.extend([0, 0, 0, 21, b'Q']);
    hello.extend([0; 20]);
    let lies: [&[u8]; 5] = [b"GET / HTTP/1.1\r\n\r\n", &[0xff; 100], &[0; 100], &hello, &[0, 0, 0, 1, b'M']];
    for door in doors {
        for lie in lies {
            let mut stranger = TcpStream::connect(door).await.unwrap();
            stranger.write_all(lie).await.unwrap();
            let mut said = Vec::new();
            let end = timeout(PATIENCE, stranger.read_to_end(&mut said)).await.expect("an end in time");
            // At most the proof that it is at the right door.
            assert!(said.is_empty() || said.len() == 41, "{end:?}: {said:?}");
        }
        // Who says nothing is not waited for, and there may be many of them.
        let mut silent = Vec::new();
        for _ in 0..200 {
            silent.push(TcpStream::connect(door).await.unwrap());
        }
        for mut stranger in silent {
            let end = timeout(PATIENCE, stranger.read(&mut [0; 1])).await.expect("an end in time");
            assert!(matches!(end, Ok(0) | Err(_)));
        }
    }
    wait_until_reached(&a, 1).await;
    a.0.publish("x", "m".into()).unwrap();
    b.1.wait_for("x: m").await;
}
