//! A server on its way out: no new sessions, those that there are go on until they are told, and nothing is lost.

mod support;

use serde_json::Value;
use support::{Client, PATIENCE, raw_request, request, start};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_socketio::{CloseReason, Io, Socket};

const POLLING: &str = "/socket.io/?EIO=4&transport=polling";
const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";

/// Opens a polling session in the root namespace; the target of its requests.
async fn join_by_polling(address: std::net::SocketAddr) -> String {
    let (_, open) = request(address, "GET", POLLING, "").await;
    let open: Value = serde_json::from_str(&open[1..]).unwrap();
    let target = format!("{POLLING}&sid={}", open["sid"].as_str().unwrap());
    assert_eq!(request(address, "POST", &target, "40").await, (200, "ok".into()));
    assert!(request(address, "GET", &target, "").await.1.starts_with("40"));
    target
}

#[tokio::test]
async fn newcomers_are_refused_while_the_others_go_on() {
    let (_io, server, address) = start(Io::builder().shards(2), |io| {
        io.on("echo", |text: String| async move { text });
    });
    let mut client = Client::join(address).await;
    let polling = join_by_polling(address).await;
    server.refuse_new();

    let refused = raw_request(address, &format!("GET {POLLING} HTTP/1.1\r\nHost: test\r\n\r\n")).await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(refused.contains("Retry-After: 1") && refused.contains("Connection: close"), "{refused}");
    let refused = Client::upgrade(address, WEBSOCKET).await.err().expect("no WebSocket for a new session");
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");

    client.send(r#"421["echo","still here"]"#).await;
    client.expect(r#"431["still here"]"#).await;
    assert_eq!(request(address, "POST", &polling, r#"421["echo","me too"]"#).await, (200, "ok".into()));
    assert_eq!(request(address, "GET", &polling, "").await, (200, r#"431["me too"]"#.into()));
    // A session may still upgrade, by a connection that comes only now.
    let target = polling.replace("polling", "websocket");
    let mut upgraded = Client::upgrade(address, &target).await.expect("a session's WebSocket is no newcomer");
    upgraded.send("2probe").await;
    upgraded.expect("3probe").await;
}

#[tokio::test]
async fn a_closed_client_gets_what_was_sent_and_no_disconnect() {
    let (said, mut reasons) = mpsc::unbounded_channel();
    let (io, _server, address) = start(Io::builder().shards(2), |io| {
        io.on_disconnect(move |_: Socket, reason: CloseReason| {
            said.send(reason).unwrap();
            async {}
        });
    });
    let mut client = Client::join(address).await;
    let polling = join_by_polling(address).await;
    let big = "x".repeat(100_000);
    io.emit("last", &big);
    for socket in io.local().local_sockets().await {
        socket.close_for_shutdown();
    }
    let last = format!(r#"42["last","{big}"]"#);
    assert_eq!(client.until_closed().await, (vec![last.clone()], Some(1001)));
    assert_eq!(request(address, "GET", &polling, "").await, (200, last));
    assert_eq!(request(address, "GET", &polling, "").await, (200, "1".into()));
    for _ in 0..2 {
        let reason = timeout(PATIENCE, reasons.recv()).await.unwrap();
        assert_eq!(reason, Some(CloseReason::ShuttingDown));
    }
}

#[tokio::test]
async fn a_server_that_stops_waits_for_clients_between_two_polls() {
    let (io, server, address) = start(Io::builder().shards(2), |_| ());
    let mut clients = Client::join_on_each_shard(address, 2).await;
    let polling = join_by_polling(address).await;
    io.emit("last", "word");
    let stopping = tokio::spawn(server.stop(PATIENCE));
    // When these are closed, all shards have heard of it.
    for mut client in clients.drain(..) {
        assert_eq!(client.until_closed().await.1, Some(1001));
    }
    assert_eq!(request(address, "GET", &polling, "").await, (200, r#"42["last","word"]"#.into()));
    let refused = raw_request(address, &format!("GET {POLLING} HTTP/1.1\r\nHost: test\r\n\r\n")).await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert_eq!(request(address, "GET", &polling, "").await, (200, "1".into()));
    timeout(PATIENCE, stopping).await.unwrap().unwrap();
    std::net::TcpListener::bind(address).expect("the port is free again");
}
