//! What a program may do that is easily done wrong: its own code panics, waits, comes early, comes twice, lets go. The server
//! goes on, and nobody else is harmed.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use support::comeback::Comeback;
use support::{Client, PATIENCE, Said, request, start, until};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_socketio::bus::LocalExchange;
use tokio_socketio::{
    AckError, Args, Binary, ClusterOptions, Io, Refused, Server, Settings, Socket, SocketId,
};

fn on_shards(shards: u16) -> tokio_socketio::IoBuilder {
    Io::builder().shards(shards)
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("it ends in time")
}

#[tokio::test]
async fn of_a_name_that_a_pattern_makes_keeps_what_the_pattern_has() {
    let (io, _server, address) = start(on_shards(1), |io| {
        io.of_matching(|name| name.starts_with("/room-"))
            .middleware(|socket: Socket| async move {
                let auth: serde_json::Value = socket.handshake().auth().unwrap_or_default();
                if auth["key"] == 1 { Ok(()) } else { Err(Refused::new("no key")) }
            })
            .on("which", |socket: Socket| async move { socket.namespace_name().to_owned() });
    });
    let mut client = Client::open(address).await;
    // While it is there, when it is gone, and after more was added to it.
    for round in 0..3 {
        client.send(r#"40/room-1,{"key":1}"#).await;
        assert!(client.text().await.starts_with("40/room-1,"), "round {round}");
        io.of("/room-1").emit("hello", round);
        client.expect(&format!(r#"42/room-1,["hello",{round}]"#)).await;
        client.send(r#"42/room-1,1["which"]"#).await;
        client.expect(r#"43/room-1,1["/room-1"]"#).await;
        if round == 1 {
            io.of("/room-1").on("own", || async { "its own" });
        }
        if round > 0 {
            client.send(r#"42/room-1,2["own"]"#).await;
            client.expect(r#"43/room-1,2["its own"]"#).await;
        }
        let mut stranger = Client::open(address).await;
        stranger.send("40/room-1,").await;
        stranger.expect(r#"44/room-1,{"message":"no key"}"#).await;
        client.send("41/room-1,").await;
    }
    client.send(r#"40/room-2,{"key":1}"#).await;
    assert!(client.text().await.starts_with("40/room-2,"));
    for packet in [r#"42/room-2,1["own"]"#, r#"42/room-2,2["which"]"#] {
        client.send(packet).await;
    }
    client.expect(r#"43/room-2,2["/room-2"]"#).await;
}

#[tokio::test]
async fn what_decides_on_handshakes_and_names_may_panic_and_ask_the_server() {
    let (io, _server, address) = start(
        on_shards(1).allow_request(|request| {
            assert!(request.head.query_get("panic").is_none(), "on purpose");
            Ok(())
        }),
        |_| (),
    );
    let of = io.clone();
    io.of_matching(move |name| {
        assert_ne!(name, "/panic", "on purpose");
        name == of.of("/other").name().unwrap_or_default().replace("other", "asked")
    });
    let target = "/socket.io/?EIO=4&transport=polling&panic=1";
    assert_eq!(request(address, "GET", target, "").await.0, 403);
    let mut client = Client::join(address).await;
    client.send("40/panic,").await;
    client.expect(r#"44/panic,{"message":"Invalid namespace"}"#).await;
    client.send("40/asked,").await;
    assert!(client.text().await.starts_with("40/asked,"));
    assert_eq!(in_time(io.fetch_sockets()).await.len(), 1, "the shard lives");
}

#[tokio::test]
async fn attachments_are_nobody_elses_after_a_panic() {
    struct Evil;
    impl<'de> Deserialize<'de> for Evil {
        fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            panic!("on purpose")
        }
    }
    let (_io, _server, address) = start(on_shards(1), |io| {
        io.on("evil", |_: Evil| async {});
        io.on("bytes", |bytes: Option<Binary>| async move { bytes.map(|bytes| bytes.len()) });
        io.on("args", |args: Args| async move { args.first::<Binary>().is_ok() });
    });
    let (mut one, mut other) = (Client::join(address).await, Client::join(address).await);
    one.send(r#"451-["evil",{"_placeholder":true,"num":0}]"#).await;
    one.send_binary(b"a secret").await;
    one.send(r#"421["args",1]"#).await;
    one.expect("431[false]").await;
    for event in ["bytes", "args"] {
        other.send(&format!(r#"421["{event}",{{"_placeholder":true,"num":0}}]"#)).await;
    }
    other.expect("431[false]").await;
}

#[tokio::test]
async fn before_it_listens_there_is_nobody() {
    let io = on_shards(2).build();
    let waiting = io.timeout(Duration::from_secs(600));
    assert!(in_time(io.fetch_sockets()).await.is_empty());
    assert!(in_time(io.local().local_sockets()).await.is_empty());
    assert!(in_time(waiting.emit_with_acks::<()>("ask", ())).await.unwrap().received.is_empty());
}

#[tokio::test]
async fn where_it_can_not_listen_it_may_try_elsewhere() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let io = on_shards(2).build();
    io.on("ping", || async { "pong" });
    assert!(io.listen(taken.local_addr().unwrap()).is_err());
    let server = io.listen("127.0.0.1:0").unwrap();
    let mut client = Client::join(server.addresses()[0]).await;
    client.send(r#"421["ping"]"#).await;
    client.expect(r#"431["pong"]"#).await;
    assert!(io.listen("127.0.0.1:0").is_err(), "it has listened");
}

#[tokio::test]
async fn all_that_was_added_for_comings_and_goings_is_called() {
    let (said, mut heard) = mpsc::unbounded_channel();
    let (_io, _server, address) = start(on_shards(1), |io| {
        for n in 0..2 {
            let said_first = said.clone();
            io.on_connect(move |socket: Socket| {
                socket.join(format!("room {n}"));
                let said_last = said_first.clone();
                socket.on_disconnect(move || {
                    said_last.send(format!("gone {n}")).unwrap();
                    async {}
                });
                said_first.send(format!("here {n}")).unwrap();
                async {}
            });
            let said_last = said.clone();
            io.on_disconnect(move |_: Socket, _, mut rooms: Vec<Arc<str>>| {
                rooms.sort();
                said_last.send(format!("left {n} {}", rooms.join(", "))).unwrap();
                async {}
            });
        }
    });
    drop(said);
    let mut heard = async || in_time(heard.recv()).await.unwrap();
    let client = Client::join(address).await;
    assert_eq!([heard().await, heard().await], ["here 0", "here 1"]);
    drop(client);
    let mut last = [heard().await, heard().await, heard().await, heard().await];
    last.sort();
    assert_eq!(last, ["gone 0", "gone 1", "left 0 room 0, room 1", "left 1 room 0, room 1"]);
}

#[tokio::test]
async fn what_middleware_sends_arrives_once_its_socket_has_joined() {
    let (_io, _server, address) = start(on_shards(1), |io| {
        io.middleware(|socket: Socket| async move {
            socket.emit("early", (1, Binary::from("x")));
            tokio::task::yield_now().await;
            socket.volatile().emit("lost", ());
            socket.emit("early", 2);
            match socket.handshake().auth::<serde_json::Value>() {
                Ok(auth) if auth["no"] == true => Err("no"),
                _ => Ok(()),
            }
        });
        io.on_connect(|socket: Socket| async move { socket.emit("hello", ()) });
    });
    let mut client = Client::join(address).await;
    client.expect(r#"451-["early",1,{"_placeholder":true,"num":0}]"#).await;
    assert_eq!(client.said().await, Said::Binary(b"x".to_vec()));
    client.expect(r#"42["early",2]"#).await;
    client.expect(r#"42["hello"]"#).await;
    let mut refused = Client::open(address).await;
    refused.send(r#"40{"no":true}"#).await;
    refused.expect(r#"44{"message":"no"}"#).await;
}

#[tokio::test]
async fn who_does_not_wait_any_more_keeps_no_place() {
    let settings = Settings { max_pending_acks: 2, ..Settings::default() };
    let (io, _server, address) = start(on_shards(1).settings(settings), |_| ());
    let mut client = Client::join(address).await;
    let socket = io.sockets().local_sockets().await.remove(0);
    for n in 0..10 {
        let asked = socket.emit_with_ack::<()>("ask", n);
        assert!(timeout(Duration::from_millis(5), asked).await.is_err(), "given up");
        client.expect(&format!(r#"42{n}["ask",{n}]"#)).await;
    }
    let asked = tokio::spawn(async move { socket.emit_with_ack::<u32>("ask", ()).await });
    client.expect(r#"4210["ask"]"#).await;
    client.send("4310[7]").await;
    assert_eq!(in_time(asked).await.unwrap(), Ok(7));
}

#[tokio::test]
async fn a_server_that_stops_waits_for_what_has_begun() {
    let done = Arc::new(AtomicUsize::new(0));
    let (count, count_gone) = (done.clone(), done.clone());
    let (_io, server, address) = start(on_shards(2), |io| {
        io.on("work", move |socket: Socket| {
            let count = count.clone();
            async move {
                socket.emit("working", ());
                tokio::time::sleep(Duration::from_millis(200)).await;
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        io.on_disconnect(move || {
            let count = count_gone.clone();
            async move {
                tokio::time::sleep(Duration::from_millis(200)).await;
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
    });
    let mut client = Client::join(address).await;
    client.send(r#"42["work"]"#).await;
    client.expect(r#"42["working"]"#).await;
    in_time(server.stop(PATIENCE * 10)).await;
    assert_eq!(done.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_handler_may_stop_its_server() {
    let (stopped, mut told) = mpsc::unbounded_channel::<()>();
    let io = on_shards(2).build();
    let server: Arc<std::sync::Mutex<Option<Server>>> = Arc::default();
    let its = server.clone();
    io.on("stop", move || {
        let (server, stopped) = (its.lock().unwrap().take().unwrap(), stopped.clone());
        async move {
            server.stop(PATIENCE * 10).await;
            drop(stopped);
        }
    });
    let listening = io.listen("127.0.0.1:0").unwrap();
    let address = listening.addresses()[0];
    *server.lock().unwrap() = Some(listening);
    let mut clients = Client::join_on_each_shard(address, 2).await;
    clients[0].send(r#"42["stop"]"#).await;
    for client in &mut clients {
        assert_eq!(client.until_closed().await.1, Some(1001));
    }
    until("the port is free again", || std::net::TcpListener::bind(address).is_ok()).await;
    drop(io);
    assert_eq!(in_time(told.recv()).await, None, "the handler is gone, and all that it held");
}

#[tokio::test]
async fn a_handle_from_before_is_good_for_what_the_client_came_back_to() {
    let (io, server, address) = start(on_shards(3).recovery_window(PATIENCE * 10), |io| {
        io.on_connect(|socket: Socket| async move { socket.emit("hello", socket.recovered()) });
    });
    for another_shard in [false, true] {
        let mut client = Comeback::join(address).await;
        client.expect(&[r#"["hello",false]"#]).await;
        let id: SocketId = client.sid.parse().unwrap();
        let socket = io.local().local_sockets().await.into_iter().find(|socket| socket.id() == id).unwrap();
        client.cut();
        until("the server notices", || server.node().sessions() == 0).await;
        assert!(if another_shard { client.back_on_another_shard().await } else { client.back().await });
        client.expect(&[r#"["hello",true]"#]).await;

        socket.join("room");
        let mut rooms = in_time(socket.rooms()).await;
        while rooms.is_empty() {
            rooms = in_time(socket.rooms()).await;
        }
        assert_eq!(rooms, [Arc::from("room")]);
        io.to("room").emit("in the room", ());
        client.expect(&[r#"["in the room"]"#]).await;
        let asking = socket.clone();
        let asked = tokio::spawn(async move { asking.emit_with_ack::<u8>("ask", ()).await });
        client.client().expect(r#"420["ask"]"#).await;
        client.client().send("430[5]").await;
        assert_eq!(in_time(asked).await.unwrap(), Ok(5));
        socket.close();
        assert_eq!(client.client().until_closed().await.1, Some(1000));
        until("it is closed", || server.node().sessions() == 0).await;
        assert_eq!(in_time(socket.emit_with_ack::<()>("ask", ())).await, Err(AckError::Disconnected));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn handlers_for_other_nodes_may_come_before_the_cluster() {
    let exchange = LocalExchange::default();
    let gone = Arc::new(AtomicUsize::new(0));
    let nodes: Vec<_> = ["a", "b"]
        .into_iter()
        .map(|name| {
            let (io, gone) = (on_shards(1).build(), gone.clone());
            io.on_server_side_emit("who", move |_: Arc<str>, _: Args| async move { name });
            io.on_node_gone(move |_| _ = gone.fetch_add(1, Ordering::SeqCst));
            let joining = io.join_cluster(ClusterOptions::new(name));
            let bus = exchange.join(joining.sink());
            joining.with(Arc::new(bus));
            io
        })
        .collect();
    until("they know each other", || nodes.iter().all(|io| io.other_nodes().len() == 1)).await;
    let answers = nodes[0].server_side_emit_with_ack::<String>("who", ()).await.unwrap();
    assert_eq!(answers.received, [("b".to_owned(), "b".to_owned())]);
    let patient = nodes[0].timeout(Duration::MAX);
    assert!(in_time(patient.emit_with_acks::<()>("ask", ())).await.unwrap().silent.is_empty());
    nodes[1].leave_cluster().await;
    until("it is told", || gone.load(Ordering::SeqCst) == 1).await;
}
