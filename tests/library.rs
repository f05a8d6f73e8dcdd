//! The library from outside: real servers, real connections, one and several shards.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use support::{Client, PATIENCE, Said, request, shard_of, start};
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;
use tokio_socketio::{
    Ack, AckError, AnyEvent, Args, Binary, CloseReason, Data, Engine, EngineSocket, Io, Limits, Refused,
    Settings, Socket,
};

fn one() -> tokio_socketio::IoBuilder {
    Io::builder().shards(1)
}

fn three() -> tokio_socketio::IoBuilder {
    Io::builder().shards(3)
}

#[tokio::test]
async fn parameters_and_answers() {
    let (_io, _server, address) = start(one(), |io| {
        io.on("none", || async { "nothing" });
        io.on("add", |a: i64, b: i64| async move { a + b });
        io.on("two", |a: String, b: Option<u8>| async move { (a, b) });
        io.on("later", |ack: Ack, n: u8| async move {
            tokio::spawn(async move { ack.send(n) });
        });
        io.on("never", |_ack: Ack| async {});
        io.on("echo", |args: Args| async move { args });
        io.on_any(|_: Socket, event: AnyEvent| async move { event.ack.send((event.name, "any")) });
    });
    let mut client = Client::join(address).await;
    for (packet, answer) in [
        (r#"421["none"]"#, r#"431["nothing"]"#),
        (r#"422["none",1,2,3]"#, r#"432["nothing"]"#),
        (r#"423["add",1,2]"#, "433[3]"),
        (r#"424["two","x",7]"#, r#"434["x",7]"#),
        (r#"425["two","x"]"#, r#"435["x",null]"#),
        (r#"426["later",9]"#, "436[9]"),
        (r#"427["echo",{"b":1,"a":[null,"€"]},2]"#, r#"437[{"b":1,"a":[null,"€"]},2]"#),
        (r#"428["else"]"#, r#"438["else","any"]"#),
    ] {
        client.send(packet).await;
        client.expect(answer).await;
    }
    // Events whose arguments are wrong are dropped, and so are acks that nobody sends; the next one is answered.
    for packet in [r#"4210["add",1]"#, r#"4211["add","x",2]"#, r#"4212["never"]"#] {
        client.send(packet).await;
    }
    client.send(r#"4213["add",20,22]"#).await;
    client.expect("4313[42]").await;
}

#[tokio::test]
async fn bytes_both_ways() {
    let (_io, _server, address) = start(one(), |io| {
        io.on("len", |a: Binary, b: Vec<Binary>| async move {
            (a.len(), b.len(), Binary::from(b[0].0.slice(1..)))
        });
    });
    let mut client = Client::join(address).await;
    client.send(r#"452-1["len",{"_placeholder":true,"num":0},[{"_placeholder":true,"num":1}]]"#).await;
    client.send_binary(&[1, 2, 3]).await;
    client.send_binary(&[4, 5]).await;
    client.expect(r#"461-1[3,1,{"_placeholder":true,"num":0}]"#).await;
    assert_eq!(client.said().await, Said::Binary(vec![5]));
}

#[tokio::test]
async fn a_panic_harms_nobody() {
    let (_io, _server, address) = start(one(), |io| {
        io.on("now", |x: u8| async move { assert_eq!(x, 0, "on purpose") });
        io.on("later", || async {
            tokio::task::yield_now().await;
            assert_eq!(1, 0, "on purpose");
        });
        io.on("ping", || async {});
    });
    let (mut client, mut other) = (Client::join(address).await, Client::join(address).await);
    client.send(r#"42["now",1]"#).await;
    client.send(r#"42["later"]"#).await;
    for client in [&mut client, &mut other] {
        client.send(r#"421["ping"]"#).await;
        client.expect("431[]").await;
    }
}

#[tokio::test]
async fn handlers_start_in_packet_order_though_earlier_ones_wait() {
    let gate = Arc::new(Notify::new());
    let (started, mut order) = mpsc::unbounded_channel();
    let (_io, _server, address) = start(one(), {
        let gate = gate.clone();
        move |io| {
            io.on("wait", move |n: u32| {
                started.send(n).unwrap();
                let gate = gate.clone();
                async move {
                    gate.notified().await;
                    n
                }
            });
        }
    });
    let mut client = Client::join(address).await;
    for n in 0..20 {
        client.send(&format!(r#"42{n}["wait",{n}]"#)).await;
    }
    for n in 0..20 {
        assert_eq!(timeout(PATIENCE, order.recv()).await.unwrap(), Some(n));
    }
    for _ in 0..20 {
        gate.notify_one();
        assert!(client.text().await.starts_with("43"));
    }
}

#[tokio::test]
async fn middleware_decides() {
    let (_io, _server, address) = start(one(), |io| {
        io.of("/guarded").middleware(|socket: Socket| async move {
            tokio::task::yield_now().await;
            match socket.handshake().auth::<serde_json::Value>().unwrap()["key"].as_str() {
                Some("right") => Ok(()),
                Some("panic") => panic!("on purpose"),
                _ => Err(Refused::new("no").with_data(json!({ "code": 7 }))),
            }
        });
        io.of("/guarded").on("who", |socket: Socket| async move { socket.namespace_name().to_owned() });
    });
    let mut client = Client::open(address).await;
    client.send(r#"40/guarded,{"key":"wrong"}"#).await;
    client.expect(r#"44/guarded,{"message":"no","data":{"code":7}}"#).await;
    client.send(r#"40/guarded,{"key":"panic"}"#).await;
    client.expect(r#"44/guarded,{"message":"Internal error"}"#).await;
    client.send(r#"40/guarded,{"key":"right"}"#).await;
    assert!(client.text().await.starts_with("40/guarded,"));
    client.send(r#"42/guarded,1["who"]"#).await;
    client.expect(r#"43/guarded,1["/guarded"]"#).await;
}

#[tokio::test]
async fn who_leaves_while_middleware_waits_is_not_let_in() {
    let (gate, connected) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    let (_io, _server, address) = start(one(), {
        let (gate, connected) = (gate.clone(), connected.clone());
        move |io| {
            io.of("/slow").middleware(move |_: Socket| {
                let gate = gate.clone();
                async move {
                    gate.notified().await;
                    Ok::<_, Refused>(())
                }
            });
            io.of("/slow").on_connect(move |_: Socket| {
                connected.fetch_add(1, Ordering::Relaxed);
                async {}
            });
            io.on("ping", || async {});
        }
    });
    let mut leaver = Client::join(address).await;
    leaver.send("40/slow,").await;
    // Another namespace goes on meanwhile.
    leaver.send(r#"421["ping"]"#).await;
    leaver.expect("431[]").await;
    drop(leaver);
    let mut client = Client::join(address).await;
    client.send("40/slow,").await;
    // The first permit may go to the one that has left, the second can't.
    gate.notify_one();
    gate.notify_one();
    gate.notify_waiters();
    assert!(client.text().await.starts_with("40/slow,"));
    assert_eq!(connected.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_pattern_makes_namespaces() {
    let (io, _server, address) = start(three(), |_| ());
    let pattern = io.of_matching(|name| name.starts_with("/room-"));
    pattern.on("shout", |socket: Socket| async move {
        socket.namespace().emit("shouted", socket.namespace_name())
    });
    let mut clients = Client::join_on_each_shard(address, 3).await;
    for round in 0..2 {
        for (n, client) in clients.iter_mut().enumerate() {
            client.send(&format!("40/room-{},", n % 2)).await;
            assert!(client.text().await.starts_with(&format!("40/room-{}", n % 2)), "round {round}");
        }
        clients[1].send(r#"42/room-1,["shout"]"#).await;
        clients[1].expect(r#"42/room-1,["shouted","/room-1"]"#).await;
        pattern.emit("all", 1);
        for (n, client) in clients.iter_mut().enumerate() {
            client.expect(&format!(r#"42/room-{},["all",1]"#, n % 2)).await;
            client.send(&format!("41/room-{},", n % 2)).await;
        }
    }
    clients[0].send("40/other,").await;
    clients[0].expect(r#"44/other,{"message":"Invalid namespace"}"#).await;
}

#[tokio::test]
async fn shards_that_stay_awake_serve_and_stop() {
    let (_io, server, address) = start(three().busy_poll(PATIENCE), |io| {
        io.on("tell", |socket: Socket, what: u32| async move {
            socket.broadcast().emit("told", what);
            what
        });
    });
    let mut clients = Client::join_on_each_shard(address, 3).await;
    for what in 0..20 {
        clients[0].send(&format!(r#"421["tell",{what}]"#)).await;
        clients[0].expect(&format!("431[{what}]")).await;
        for client in &mut clients[1..] {
            client.expect(&format!(r#"42["told",{what}]"#)).await;
        }
    }
    timeout(PATIENCE, server.stop(Duration::ZERO)).await.expect("they stop");
}

#[tokio::test]
async fn rooms_across_shards() {
    let (io, _server, address) = start(three(), |io| {
        io.on("join", |socket: Socket, room: String| async move { socket.join(room) });
        io.on("leave", |socket: Socket, room: String| async move { socket.leave(room) });
        io.on("rooms", |socket: Socket| async move { socket.rooms().await });
        io.on("tell", |socket: Socket, rooms: Vec<String>, except: Option<String>, what: u32| async move {
            let mut to = socket.broadcast();
            for room in rooms {
                to = to.to(room);
            }
            if let Some(room) = except {
                to = to.except(room);
            }
            to.emit("told", what);
        });
        io.on("id", |socket: Socket| async move { socket.id().to_string() });
    });
    let mut clients = Client::join_on_each_shard(address, 3).await;
    let mut ids = Vec::new();
    for (n, client) in clients.iter_mut().enumerate() {
        client.send(r#"420["join","all"]"#).await;
        client.expect("430[]").await;
        client.send(&format!(r#"421["join","room-{n}"]"#)).await;
        client.expect("431[]").await;
        client.send(r#"422["rooms"]"#).await;
        client.expect(&format!(r#"432[["all","room-{n}"]]"#)).await;
        client.send(r#"423["id"]"#).await;
        ids.push(client.text().await[4..].trim_matches(['[', ']', '"']).to_owned());
    }
    // A socket in two of the rooms hears it once; the one that speaks does not.
    clients[0].send(r#"42["tell",["all","room-1"],null,1]"#).await;
    // By id, as a room of one.
    clients[0].send(&format!(r#"42["tell",["{}"],null,2]"#, ids[1])).await;
    clients[0].send(r#"42["tell",["all"],"room-1",3]"#).await;
    clients[0].send(&format!(r#"42["tell",[],"{}",4]"#, ids[2])).await;
    clients[0].send(r#"42["tell",[],null,5]"#).await;
    for told in [1, 2, 4, 5] {
        clients[1].expect(&format!(r#"42["told",{told}]"#)).await;
    }
    for told in [1, 3, 5] {
        clients[2].expect(&format!(r#"42["told",{told}]"#)).await;
    }
    // From outside of any handler, and what is asked for is done in the order of asking.
    io.to("all").join("more");
    io.to("room-0").leave("more");
    io.to("more").emit("told", 6);
    io.emit("told", 7);
    for (n, client) in clients.iter_mut().enumerate() {
        if n > 0 {
            client.expect(r#"42["told",6]"#).await;
        }
        client.expect(r#"42["told",7]"#).await;
    }
    assert_eq!(io.fetch_sockets().await.len(), io.sockets().fetch_sockets().await.len());
    assert_eq!(io.to("all").except("more").fetch_sockets().await[0].id().to_string(), ids[0]);
    clients[1].send(r#"429["leave","all"]"#).await;
    clients[1].expect("439[]").await;
    assert_eq!(io.to("all").fetch_sockets().await.len(), 2);
}

#[tokio::test]
async fn acks_from_clients() {
    let (io, _server, address) = start(three().ack_timeout(Duration::from_secs(60)), |_| ());
    let mut clients = Client::join_on_each_shard(address, 3).await;
    for client in &mut clients {
        client.send(r#"42["unheard"]"#).await;
    }
    let sockets = io.sockets().local_sockets().await;
    let mine: Vec<Socket> = sockets.into_iter().filter(Socket::is_connected).collect();
    let asking = tokio::spawn({
        let io = io.clone();
        async move {
            io.timeout(Duration::from_millis(300)).emit_with_acks::<u32>("ask", "how many?").await.unwrap()
        }
    });
    for (n, client) in clients.iter_mut().enumerate() {
        client.expect(r#"420["ask","how many?"]"#).await;
        if n < 2 {
            client.send(&format!("430[{n}]")).await;
            client.send("430[99]").await; // a second answer
            client.send("4377[99]").await; // to nothing
        }
    }
    let answers = asking.await.unwrap();
    let mut received: Vec<u32> = answers.received.iter().map(|(_, answer)| *answer).collect();
    received.sort_unstable();
    assert_eq!(received, [0, 1]);
    assert!(answers.missing.iter().all(|(_, error)| *error == AckError::Timeout));
    assert_eq!(answers.missing.len() + received.len(), mine.len());

    // One socket: an answer of the wrong type, then one that leaves before it answers.
    let id = answers.received[0].0;
    let socket = mine.iter().find(|socket| socket.id() == id).unwrap().clone();
    let n = answers.received[0].1 as usize;
    let asking = tokio::spawn({
        let socket = socket.clone();
        async move { socket.emit_with_ack::<u32>("ask", ()).await }
    });
    clients[n].expect(r#"421["ask"]"#).await;
    clients[n].send(r#"431["text"]"#).await;
    assert!(matches!(asking.await.unwrap(), Err(AckError::Unexpected(_))));
    let asking = tokio::spawn(async move { (socket.emit_with_ack::<u32>("ask", ()).await, socket) });
    clients[n].expect(r#"422["ask"]"#).await;
    clients[n].send("41").await;
    let (answer, socket) = asking.await.unwrap();
    assert_eq!(answer, Err(AckError::Disconnected));
    assert!(!socket.is_connected());
    assert_eq!(socket.emit_with_ack::<u32>("ask", ()).await, Err(AckError::Disconnected), "gone is gone");
}

#[tokio::test]
async fn a_socket_owes_so_many_acks() {
    let settings = Settings { max_pending_acks: 2, ..Settings::default() };
    let (io, _server, address) = start(one().settings(settings), |_| ());
    let mut client = Client::join(address).await;
    let socket = io.sockets().local_sockets().await.remove(0);
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let socket = socket.clone();
            tokio::spawn(async move { socket.emit_with_ack::<()>("ask", ()).await })
        })
        .collect();
    client.expect(r#"420["ask"]"#).await;
    client.expect(r#"421["ask"]"#).await;
    assert_eq!(socket.emit_with_ack::<()>("ask", ()).await, Err(AckError::TooMany));
    client.send("430[]").await;
    client.send("431[]").await;
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap(), Ok(()));
    }
}

#[tokio::test]
async fn why_sockets_leave() {
    let (said, mut reasons) = mpsc::unbounded_channel();
    let settings = Settings {
        ping_interval: Duration::from_millis(100),
        ping_timeout: Duration::from_millis(100),
        ..Settings::default()
    };
    let (io, _server, address) = start(one().settings(settings), |io| {
        io.on_disconnect(move |_: Socket, reason: CloseReason| {
            said.send(reason).unwrap();
            async {}
        });
    });
    let mut reason = async || timeout(PATIENCE, reasons.recv()).await.unwrap().unwrap();

    let mut client = Client::join(address).await;
    client.send("41").await;
    assert_eq!(reason().await, CloseReason::ClientDisconnect);

    let mut client = Client::join(address).await;
    io.disconnect_sockets(false);
    client.expect("41").await;
    assert_eq!(reason().await, CloseReason::ServerDisconnect);

    let mut client = Client::join(address).await;
    io.disconnect_sockets(true);
    assert_eq!(client.until_closed().await.1, Some(1000));
    assert_eq!(reason().await, CloseReason::ServerDisconnect);

    drop(Client::join(address).await);
    assert_eq!(reason().await, CloseReason::TransportClose);

    let mut client = Client::join(address).await;
    client.send("4not a packet").await;
    client.until_closed().await;
    assert_eq!(reason().await, CloseReason::ParseError);

    let mut silent = Client::join(address).await;
    while silent.raw().await != Said::Closed(Some(1001)) {}
    assert_eq!(reason().await, CloseReason::PingTimeout);
}

#[tokio::test]
async fn own_handlers_and_extensions() {
    struct Visits(AtomicUsize);
    let (_io, _server, address) = start(one(), |io| {
        io.on("which", || async { "the namespace's" });
        io.on_connect(|socket: Socket| async move {
            socket.extensions().insert(Visits(AtomicUsize::new(0)));
            if socket.handshake().query("own").as_deref() == Some("yes, ünïcode") {
                socket.on("which", || async { "its own" });
            }
        });
        io.on("visit", |socket: Socket| async move {
            socket.extensions().get::<Visits>().unwrap().0.fetch_add(1, Ordering::Relaxed) + 1
        });
        io.on(
            "header",
            |socket: Socket| async move { socket.handshake().header("x-test").map(str::to_owned) },
        );
    });
    let mut plain = Client::join(address).await;
    let target = "/socket.io/?EIO=4&transport=websocket&own=yes%2C+%C3%BCn%C3%AFcode";
    let mut own = Client::open_at(address, target).await;
    own.send("40").await;
    assert!(own.text().await.starts_with("40"));
    for (client, which) in [(&mut plain, "the namespace's"), (&mut own, "its own")] {
        client.send(r#"421["which"]"#).await;
        client.expect(&format!(r#"431["{which}"]"#)).await;
        for visit in 1..3 {
            client.send(r#"422["visit"]"#).await;
            client.expect(&format!("432[{visit}]")).await;
        }
        client.send(r#"423["header"]"#).await;
        client.expect(r#"433["yes"]"#).await;
    }
}

#[tokio::test]
async fn handshakes_may_be_refused() {
    let allow = |request: &tokio_socketio::Request| match request.head.query_get("key") {
        Some(_) => Ok(()),
        None => Err("no key".to_owned()),
    };
    let (_io, _server, address) = start(one().allow_request(allow), |_| ());
    let refused = request(address, "GET", "/socket.io/?EIO=4&transport=polling", "").await;
    assert_eq!(refused, (403, r#"{"code":4,"message":"no key"}"#.to_owned()));
    let refused = Client::upgrade(address, "/socket.io/?EIO=4&transport=websocket").await.err().unwrap();
    assert!(refused.starts_with("HTTP/1.1 400") && refused.ends_with("no key"), "{refused}");
    assert_eq!(request(address, "GET", "/socket.io/?EIO=4&transport=polling&key=1", "").await.0, 200);
}

#[tokio::test]
async fn limits_are_kept() {
    let limits = Limits { max_connections: 2, packets_per_second: 50, ..Limits::default() };
    let settings = Settings { outbox_hard: 1 << 20, ..Settings::default() };
    let (io, server, address) =
        start(one().limits(limits).settings(settings).max_rooms_per_socket(2), |io| {
            io.on("join", |socket: Socket, room: String| async move { socket.join(room) });
            io.on("rooms", |socket: Socket| async move { socket.rooms().await.len() });
        });
    let (mut bystander, reader_that_does_not) = (Client::join(address).await, Client::join(address).await);
    assert_eq!(request(address, "GET", "/socket.io/?EIO=4&transport=polling", "").await.0, 503);
    assert!(server.node().refused() > 0);

    for n in 0..3 {
        bystander.send(&format!(r#"42["join","room-{n}"]"#)).await;
    }
    bystander.send(r#"421["rooms"]"#).await;
    bystander.expect("431[2]").await;

    let big = "x".repeat(500_000);
    for n in 0..100 {
        io.emit("big", (n, &big));
        assert!(bystander.text().await.starts_with(&format!(r#"42["big",{n},"#)));
    }
    assert_eq!(io.fetch_sockets().await.len(), 1, "who does not read is closed, who reads is not");
    drop(reader_that_does_not);

    for _ in 0..200 {
        bystander.send(r#"42["rooms"]"#).await;
    }
    assert_eq!(bystander.until_closed().await.1, Some(1008), "two hundred packets in two seconds at most");
}

#[tokio::test]
async fn a_volatile_event_is_dropped_where_nobody_is_ready() {
    let (io, _server, address) = start(one(), |_| ());
    let (_, open) = request(address, "GET", "/socket.io/?EIO=4&transport=polling", "").await;
    let open: serde_json::Value = serde_json::from_str(&open[1..]).unwrap();
    let target = format!("/socket.io/?EIO=4&transport=polling&sid={}", open["sid"].as_str().unwrap());
    assert_eq!(request(address, "POST", &target, "40").await, (200, "ok".into()));
    assert!(request(address, "GET", &target, "").await.1.starts_with("40"));
    io.volatile().emit("lost", ());
    io.emit("kept", ());
    assert_eq!(request(address, "GET", &target, "").await.1, r#"42["kept"]"#);
}

#[tokio::test]
async fn requests_find_their_session_on_any_shard() {
    let echo = Engine::new().on_message(|socket: EngineSocket, data: Data| async move { socket.send(data) });
    let (_io, _server, address) = start(three().engine("/engine/", echo), |_| ());
    let (_, open) = request(address, "GET", "/engine/?EIO=4&transport=polling", "").await;
    let open: serde_json::Value = serde_json::from_str(&open[1..]).unwrap();
    let sid = open["sid"].as_str().unwrap();
    assert!(shard_of(sid) < 3);
    // Each request comes by a connection of its own: among thirty, every shard has had its share.
    let target = format!("/engine/?EIO=4&transport=polling&sid={sid}");
    for n in 0..30 {
        assert_eq!(request(address, "POST", &target, &format!("4{n}\u{1e}bAQID")).await, (200, "ok".into()));
        assert_eq!(request(address, "GET", &target, "").await, (200, format!("4{n}\u{1e}bAQID")));
    }
    // So does the upgrade; the session is then on the WebSocket for good.
    let mut client =
        Client::upgrade(address, &format!("/engine/?EIO=4&transport=websocket&sid={sid}")).await.unwrap();
    client.send("2probe").await;
    client.expect("3probe").await;
    client.send("5").await;
    client.send("4over").await;
    client.expect("4over").await;
    assert_eq!(request(address, "GET", &target, "").await.0, 400);
    // A session of one endpoint is none of another.
    let elsewhere = format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
    assert_eq!(
        request(address, "GET", &elsewhere, "").await,
        (400, r#"{"code":1,"message":"Session ID unknown"}"#.into())
    );
}

#[tokio::test]
async fn a_server_stops_and_tells_everybody() {
    let (io, server, address) = start(three(), |_| ());
    let mut clients = Client::join_on_each_shard(address, 3).await;
    io.emit("last", ());
    let polling = tokio::spawn(async move {
        let (_, open) = request(address, "GET", "/socket.io/?EIO=4&transport=polling", "").await;
        let open: serde_json::Value = serde_json::from_str(&open[1..]).unwrap();
        let sid = open["sid"].as_str().unwrap().to_owned();
        request(address, "GET", &format!("/socket.io/?EIO=4&transport=polling&sid={sid}"), "").await
    });
    while server.node().sessions() < 4 {
        tokio::task::yield_now().await;
    }
    let stopping = tokio::spawn(server.stop(PATIENCE));
    for mut client in clients.drain(..) {
        let (texts, code) = client.until_closed().await;
        assert_eq!((texts.last().map(String::as_str), code), (Some(r#"42["last"]"#), Some(1001)));
    }
    assert_eq!(timeout(PATIENCE, polling).await.unwrap().unwrap(), (200, "1".into()));
    timeout(PATIENCE, stopping).await.unwrap().unwrap();
    std::net::TcpListener::bind(address).expect("the port is free again");
    // Handles outlive their server, and do nothing.
    io.emit("nobody", ());
    assert!(io.fetch_sockets().await.is_empty());
}
