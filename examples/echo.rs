//! The server that load generators run against: `echo [PORT]`, 3000 by default.
//!
//! Event `echo` answers its ack with the same arguments; event `bcast` is emitted again, with its arguments, to
//! every client of the namespace. `join` joins a room and answers as `echo` does; `room` emits `bcast` to a room.

use serde_json::value::RawValue;
use tokio_socketio::{Args, Io, Socket};

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let port: u16 = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(3000);
    let io = Io::new();
    io.on("echo", |args: Args| async move { args });
    io.on("bcast", |socket: Socket, args: Args| async move { socket.namespace().emit("bcast", args) });
    io.on("join", |socket: Socket, room: String| async move {
        socket.join(room.as_str());
        room
    });
    io.on("room", |socket: Socket, room: String, what: Box<RawValue>| async move {
        socket.namespace().to(room).emit("bcast", what);
    });
    io.serve(("127.0.0.1", port)).await
}
