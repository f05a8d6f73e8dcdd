//! Several servers that change their roles: Sentinel's, and Redis Cluster's.

use tokio_socketio::bus::Bus;

use super::server::{RedisCluster, RedisServer, installed};
use super::{Node, assert_linked, node, wait_for_outages, wait_until};

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

async fn assert_all_linked(a: &Node, b: &Node, word: &str) {
    for channel in CHANNELS {
        assert_linked(a, b, channel, word).await;
    }
}

async fn two_on(cluster: &RedisCluster) -> [Node; 2] {
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
async fn wait_until_linked(from: &Node, to: &Node, channel: &str) {
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
