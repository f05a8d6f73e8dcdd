//! The server that the official protocol test suites run against: `conformance [PORT] [recovery] [patient]`, 3000 by default. With
//! `recovery`, clients that were cut off may come back to what they had; with `patient`, heartbeats are the usual ones.
//!
//! At `/engine.io/` messages come back. At `/socket.io/`, on the namespaces `/` and `/custom`, `auth` tells the
//! handshake's auth on connection, `message` comes back as `message-back`, `message-with-ack` in its ack, and
//! `request-ack` makes the server ask with `ack-me` and report the answer as `ack-result`. `shutdown` makes it emit `last`
//! and close the connection as if the server went away. `join` joins a room, `say` sends to others in a room, `state` answers
//! whether the client is back, and in which rooms it is.

use std::time::Duration;

use tokio_socketio::{Args, Binary, Cors, Data, Engine, EngineSocket, Io, Namespace, Socket};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let port: u16 = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(3000);
    let has = |flag: &str| std::env::args().skip(2).any(|arg| arg == flag);
    let echo = Engine::new().on_message(|socket: EngineSocket, data: Data| async move { socket.send(data) });
    let mut builder = Io::builder();
    if !has("patient") {
        builder = builder
            .ping_interval(Duration::from_millis(300))
            .ping_timeout(Duration::from_millis(200))
            .connect_timeout(Duration::from_secs(1));
    }
    let io = builder
        .max_payload(1_000_000)
        .cors(Cors::any())
        .engine("/engine.io/", echo)
        .recovery_window(Duration::from_secs(if has("recovery") { 60 } else { 0 }))
        .build();
    define(&io);
    define(&io.of("/custom"));
    io.serve(("127.0.0.1", port)).await
}

/// Anything that can be said, bytes included.
#[derive(serde::Deserialize, serde::Serialize)]
#[serde(untagged)]
enum What {
    Binary { binary: Binary },
    Other(serde_json::Value),
}

fn define(namespace: &Namespace) {
    namespace.on_connect(|socket: Socket| async move {
        let auth: serde_json::Value = socket.handshake().auth().unwrap_or_default();
        socket.emit("auth", auth);
    });
    namespace.on("message", |socket: Socket, args: Args| async move { socket.emit("message-back", args) });
    namespace.on("message-with-ack", |args: Args| async move { args });
    namespace.on("request-ack", |socket: Socket, args: Args| async move {
        if let Ok(answer) = socket.emit_with_ack::<Args>("ack-me", args).await {
            socket.emit("ack-result", answer);
        }
    });
    namespace.on("join", |socket: Socket, room: String| async move { socket.join(room) });
    namespace.on("say", |socket: Socket, room: String, event: String, what: What| async move {
        socket.to(room).emit(&event, what);
    });
    namespace.on("state", |socket: Socket| async move { (socket.recovered(), socket.rooms().await) });
    namespace.on("shutdown", |socket: Socket| async move {
        socket.emit("last", "word");
        socket.close_for_shutdown();
    });
}
