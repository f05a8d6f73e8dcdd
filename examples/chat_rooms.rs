//! Rooms, acks and presence in forty lines: `chat_rooms [PORT]`, 3000 by default.
//!
//! ```js
//! const socket = io("http://localhost:3000", { auth: { name: "ada" } });
//! socket.on("said", (who, text) => console.log(who, text));
//! const members = await socket.emitWithAck("enter", "tea");
//! socket.emit("say", "tea", "hello");
//! ```

use serde::Deserialize;
use tokio_socketio::{CloseReason, Cors, Io, Refused, Socket};

#[derive(Clone, Deserialize)]
struct Name {
    name: String,
}

fn name(socket: &Socket) -> String {
    socket.extensions().get::<Name>().map(|name| name.name.clone()).unwrap_or_default()
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let port: u16 = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(3000);
    let io = Io::builder().cors(Cors::any()).build();

    io.middleware(|socket: Socket| async move {
        let name: Name =
            socket.handshake().auth().map_err(|_| Refused::new("give your name as auth.name"))?;
        socket.extensions().insert(name);
        Ok::<_, Refused>(())
    });

    // What a handler returns is the answer to whoever asks for an ack.
    io.on("enter", |socket: Socket, room: String| async move {
        socket.join(&*room);
        socket.to(&*room).emit("entered", (&room, name(&socket)));
        let members = socket.namespace().to(&*room).local_sockets().await;
        members.iter().map(name).collect::<Vec<_>>()
    });

    io.on("say", |socket: Socket, room: String, text: String| async move {
        socket.to(&*room).emit("said", (name(&socket), text));
    });

    io.on_disconnect(|socket: Socket, reason: CloseReason| async move {
        socket.broadcast().emit("left", (name(&socket), reason.as_str()));
    });

    io.serve(("127.0.0.1", port)).await
}
