//! socketioxide on axum with the contract of the load generator: `echo` answers its ack with its own argument, `bcast` goes
//! again to every client of the main namespace, `join` joins a room and answers as `echo` does, `room` emits `bcast` to a
//! room. Listens on loopback, at PORT (default 3000).
//!
//! socketioxide makes every event a task of its own, so broadcasts of one sender may change order.

use std::net::Ipv4Addr;

use serde_json::Value;
use socketioxide::{
    SocketIo,
    extract::{AckSender, Data, SocketRef},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The default of 128 buffered packets per client refuses a flood of acks: that is measured, not refused, here.
    let (layer, io) = SocketIo::builder().max_buffer_size(1 << 20).build_layer();
    let (bcast_io, room_io) = (io.clone(), io.clone());
    io.ns("/", async move |socket: SocketRef| {
        socket.on("echo", async |Data(value): Data<Value>, ack: AckSender| {
            let _ = ack.send(&value);
        });
        let io = bcast_io.clone();
        socket.on("bcast", async move |Data(value): Data<Value>| {
            let _ = io.emit("bcast", &value).await;
        });
        socket.on("join", async |socket: SocketRef, Data(room): Data<String>, ack: AckSender| {
            socket.join(room.clone());
            let _ = ack.send(&room);
        });
        let io = room_io.clone();
        socket.on("room", async move |Data((room, value)): Data<(String, Value)>| {
            let _ = io.to(room).emit("bcast", &value).await;
        });
    });
    let port = std::env::var("PORT").map_or(Ok(3000), |port| port.parse())?;
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let app = axum::Router::new().layer(layer);
    axum::serve(axum::serve::ListenerExt::tap_io(listener, |tcp| drop(tcp.set_nodelay(true))), app).await?;
    Ok(())
}
