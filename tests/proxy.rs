//! Behind proxies: whose word on the client's address is taken, and what follows from it.

mod support;

use support::{Client, raw_request, start};
use tokio_socketio::{Io, IoBuilder, Limits, Socket};

fn behind(trusted: &str) -> IoBuilder {
    let trusted_proxies = vec![trusted.parse().unwrap()];
    let limits = Limits { trusted_proxies, max_connections_per_ip: 2, ..Limits::default() };
    Io::builder().shards(2).limits(limits)
}

fn who(io: &Io) {
    io.on("who", |socket: Socket| async move { socket.handshake().client_ip().to_string() });
}

/// A WebSocket request as a proxy passes it on.
fn forwarded(client: &str) -> String {
    format!(
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         X-Forwarded-For: {client}\r\n\r\n"
    )
}

async fn join(address: std::net::SocketAddr, client: &str) -> Client {
    let mut client = Client::upgrade_with(address, &forwarded(client)).await.expect("it is let in");
    assert!(client.text().await.starts_with('0'));
    client.send("40").await;
    assert!(client.text().await.starts_with("40"));
    client
}

#[tokio::test]
async fn a_trusted_proxy_is_believed_and_its_clients_are_counted_apart() {
    let (_io, server, address) = start(behind("127.0.0.0/8"), who);
    let mut clients = Vec::new();
    for (forwarded, seen) in [
        ("203.0.113.1", "203.0.113.1"),
        ("6.6.6.6, 203.0.113.1:4711, 127.0.0.9", "203.0.113.1"),
        ("203.0.113.2", "203.0.113.2"),
        ("203.0.113.3, no address", "127.0.0.1"),
    ] {
        let mut client = join(address, forwarded).await;
        client.send(r#"421["who"]"#).await;
        client.expect(&format!(r#"431["{seen}"]"#)).await;
        clients.push(client);
    }
    let third =
        Client::upgrade_with(address, &forwarded("203.0.113.1")).await.err().expect("two are its share");
    assert!(
        third.starts_with("HTTP/1.1 503") && third.ends_with("too many connections from this address"),
        "{third}"
    );
    let polling = |client| {
        format!(
            "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\
             X-Forwarded-For: {client}\r\n\r\n"
        )
    };
    assert!(raw_request(address, &polling("203.0.113.1")).await.starts_with("HTTP/1.1 503"));
    assert!(raw_request(address, &polling("203.0.113.2")).await.starts_with("HTTP/1.1 200"));
    // Who leaves makes room.
    let sessions = server.node().sessions();
    drop(clients.remove(0));
    while server.node().sessions() >= sessions {
        tokio::task::yield_now().await;
    }
    join(address, "203.0.113.1").await;
}

#[tokio::test]
async fn from_anybody_else_the_header_is_ignored() {
    let (_io, _server, address) = start(behind("10.0.0.0/8"), who);
    let mut first = join(address, "203.0.113.1").await;
    first.send(r#"421["who"]"#).await;
    first.expect(r#"431["127.0.0.1"]"#).await;
    let _second = join(address, "203.0.113.2").await;
    let third = Client::upgrade_with(address, &forwarded("203.0.113.3"))
        .await
        .err()
        .expect("one address, two connections");
    assert!(third.starts_with("HTTP/1.1 503"), "{third}");
}
