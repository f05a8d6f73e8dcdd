//! Servers as nodes of a cluster that reach each other past Redis: each shard hears what it has asked for by itself.
#![cfg(feature = "redis")]

#[allow(dead_code, reason = "each test file uses its own part of this")]
#[path = "support/redis.rs"]
mod redis;
mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use redis::RedisServer;
use support::{Client, until};
use tokio_socketio::bus::redis::{DirectOptions, RedisBus, RedisOptions};
use tokio_socketio::{ClusterOptions, Io, Server, Socket};

const SHARDS: u16 = 3;

struct Node {
    io: Io,
    server: Server,
    bus: Arc<RedisBus>,
}

impl Node {
    fn address(&self) -> SocketAddr {
        self.server.addresses()[0]
    }
}

/// Nodes that reach each other. A client asks to `join` a room, and a shard to be held up.
async fn nodes(redis: &RedisServer, count: usize) -> Vec<Node> {
    let mut nodes = Vec::new();
    for n in 0..count {
        let io = Io::builder().shards(SHARDS).build();
        let name = format!("node-{n}");
        let joining = io.join_cluster(ClusterOptions::new(&name));
        let options = RedisOptions {
            url: redis.url(),
            linger: Duration::ZERO,
            direct: Some(DirectOptions::new(&name)),
            ..RedisOptions::default()
        };
        let bus = RedisBus::connect(options, joining.sink()).await.unwrap();
        joining.with(bus.clone());
        io.on("join", |socket: Socket, room: String| async move {
            socket.join(&*room);
            room
        });
        io.on("hold up", |millis: u64| async move {
            std::thread::sleep(Duration::from_millis(millis));
        });
        let server = io.listen("127.0.0.1:0").unwrap();
        nodes.push(Node { io, server, bus });
    }
    reached(&nodes).await;
    nodes
}

async fn reached(nodes: &[Node]) {
    let all = |node: &Node| {
        node.bus.stats().reached_directly == nodes.len() - 1 && node.io.other_nodes().len() == nodes.len() - 1
    };
    until("all reach each other", || nodes.iter().all(all)).await;
}

async fn join(client: &mut Client, room: &str) {
    client.send(&format!(r#"421["join","{room}"]"#)).await;
    client.expect(&format!(r#"431["{room}"]"#)).await;
}

/// Sends to a room until a client hears it; what the client has not asked for yet it may miss.
async fn hears(node: &Node, room: &str, client: &mut Client) {
    let mut sent = 0;
    let heard = tokio::select! {
        text = client.text() => text,
        () = async {
            loop {
                node.io.to(room).emit("said", sent);
                sent += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        } => unreachable!(),
    };
    assert!(heard.starts_with(r#"42["said","#), "{heard}");
    // The rest is on its way.
    node.io.to(room).emit("last", room);
    let last = format!(r#"42["last","{room}"]"#);
    while client.text().await != last {}
}

/// Clients of the second node, each the first one in `room N`, on a shard of its own.
async fn client_of_each_shard(nodes: &[Node]) -> Vec<Client> {
    let mut clients = Client::join_on_each_shard(nodes[1].address(), SHARDS).await;
    for (n, client) in clients.iter_mut().enumerate() {
        let room = format!("room {n}");
        join(client, &room).await;
        hears(&nodes[0], &room, client).await;
    }
    clients
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_says_is_in_order_whichever_shards_hear_it() {
    let redis = RedisServer::start();
    let nodes = nodes(&redis, 2).await;
    let mut clients = client_of_each_shard(&nodes).await;
    for client in &mut clients {
        for n in 0..SHARDS {
            join(client, &format!("room {n}")).await;
        }
    }
    for n in 0..300 {
        nodes[0].io.to(format!("room {}", n % SHARDS)).emit("said", n);
    }
    for client in &mut clients {
        for n in 0..300 {
            client.expect(&format!(r#"42["said",{n}]"#)).await;
        }
    }
    let stats = nodes[1].bus.stats();
    assert!(stats.received_directly > 0, "it went past Redis: {stats:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_for_rooms_of_several_shards_comes_once() {
    let redis = RedisServer::start();
    let nodes = nodes(&redis, 2).await;
    let mut clients = client_of_each_shard(&nodes).await;
    for n in 0..100 {
        nodes[0].io.to("room 0").to("room 1").to("room 2").emit("said", n);
    }
    for client in &mut clients {
        for n in 0..100 {
            client.expect(&format!(r#"42["said",{n}]"#)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_was_held_up_hears_what_it_asks_for_then() {
    let redis = RedisServer::start();
    let nodes = nodes(&redis, 2).await;
    let mut clients = Client::join_on_each_shard(nodes[1].address(), SHARDS).await;
    let mut others = clients.split_off(1);
    let [held_up] = &mut clients[..] else { panic!("one for each shard") };
    for round in 0..3 {
        // For longer than a line may be used without an answer, and than one is dialed for.
        held_up.send(r#"420["hold up",2300]"#).await;
        held_up.send(&format!(r#"421["join","late {round}"]"#)).await;
        for (n, other) in others.iter_mut().enumerate() {
            let room = format!("meanwhile {round} {n}");
            join(other, &room).await;
            hears(&nodes[0], &room, other).await;
        }
        held_up.expect("430[]").await;
        held_up.expect(&format!(r#"431["late {round}"]"#)).await;
        hears(&nodes[0], &format!("late {round}"), held_up).await;
    }
    reached(&nodes).await;
}
