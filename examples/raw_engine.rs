//! Engine.IO without Socket.IO on top: `raw_engine [PORT]`, 3000 by default. Everything comes back.
//!
//! ```js
//! const socket = new (require("engine.io-client").Socket)("http://localhost:3000");
//! socket.on("message", console.log);
//! socket.send("hello");
//! ```

use tokio_socketio::{CloseReason, Data, Engine, EngineSocket, Io};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let port: u16 = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(3000);
    let echo = Engine::new()
        .on_open(|socket: EngineSocket| async move { println!("{} has come", socket.id()) })
        .on_message(|socket: EngineSocket, data: Data| async move { socket.send(data) })
        .on_close(|socket: EngineSocket, reason: CloseReason| async move {
            println!("{} has gone: {reason}", socket.id());
        });
    Io::builder().engine("/engine.io/", echo).build().serve(("127.0.0.1", port)).await
}
