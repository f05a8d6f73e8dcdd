//! Clients that were cut off come back to what they had, on one server.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use support::comeback::Comeback;
use support::{Client, Said, start, until};
use tokio_socketio::{Io, IoBuilder, RecoveryOptions, Refused, Server, Socket};

const LONG: Duration = Duration::from_secs(120);

fn on_shards(shards: u16) -> IoBuilder {
    Io::builder().shards(shards).recovery_window(LONG)
}

/// Each client is in the rooms `all` and `group`, is told whether it is back, and is counted by its extensions.
fn define(io: &Io) {
    struct Visits(AtomicUsize);
    io.on_connect(|socket: Socket| async move {
        if !socket.recovered() {
            socket.join("all");
            socket.join("group");
            socket.extensions().insert(Visits(AtomicUsize::new(0)));
        }
        let visits =
            socket.extensions().get::<Visits>().map(|visits| visits.0.fetch_add(1, Ordering::Relaxed) + 1);
        socket.emit("hello", (socket.recovered(), visits));
    });
    io.on("rooms", |socket: Socket| async move {
        let mut rooms = socket.rooms().await;
        rooms.sort();
        rooms
    });
    io.on("tell", |socket: Socket, room: String, what: u32| async move {
        socket.to(room).emit("told", what);
    });
}

/// Waits until the server knows that clients have gone.
async fn gone(server: &Server, sessions: usize) {
    until("the server notices", || server.node().sessions() == sessions).await;
}

#[tokio::test]
async fn off_it_leaves_no_trace() {
    let (io, _server, address) = start(Io::builder().shards(1), |io| {
        io.on_connect(|socket: Socket| async move { socket.emit("hello", socket.recovered()) });
    });
    let mut client = Client::open(address).await;
    client.send(r#"40{"pid":"AAAAAAAAAAAAAAAAAAAAAAAAAAA","offset":"AAAAAAAAAAAAAAAA"}"#).await;
    let answer = client.text().await;
    assert!(answer.starts_with(r#"40{"sid":""#) && answer.len() == r#"40{"sid":""}"#.len() + 27, "{answer}");
    client.expect(r#"42["hello",false]"#).await;
    io.emit("e", ());
    client.expect(r#"42["e"]"#).await;
}

#[tokio::test]
async fn what_was_missed_comes_in_order_and_once() {
    for another_shard in [false, true] {
        let (io, server, address) = start(on_shards(if another_shard { 3 } else { 1 }), define);
        let mut client = Comeback::join(address).await;
        client.expect(&[r#"["hello",false,1]"#]).await;
        let socket = io.local().local_sockets().await.remove(0);
        let (sid, pid) = (client.sid.clone(), client.pid.clone());
        assert_ne!(sid, pid, "the private id is nobody else's business");
        io.emit("had", ());
        client.expect(&[r#"["had"]"#]).await;
        client.cut();
        gone(&server, 0).await;

        io.to("all").emit("missed", 1);
        io.to("elsewhere").emit("not mine", ());
        io.emit("missed", (2, "to everybody"));
        io.except("group").emit("not mine", ());
        io.except(&*sid).emit("not mine", ());
        io.to("group").to("all").emit("missed", 3);
        io.to(&*sid).emit("missed", 4);
        socket.emit("missed", 5);
        socket.broadcast().emit("not mine", ());
        io.volatile().emit("not kept", ());
        io.timeout(Duration::ZERO).emit_with_acks::<()>("not kept", ()).await.unwrap();
        io.of("/other").emit("not mine", ());

        let back = if another_shard { client.back_on_another_shard().await } else { client.back().await };
        assert!(back, "another shard: {another_shard}");
        assert_eq!((&client.sid, &client.pid), (&sid, &pid));
        client
            .expect(&[
                r#"["missed",1]"#,
                r#"["missed",2,"to everybody"]"#,
                r#"["missed",3]"#,
                r#"["missed",4]"#,
                r#"["missed",5]"#,
                r#"["hello",true,2]"#,
            ])
            .await;
        client.client().send(r#"421["rooms"]"#).await;
        client.client().expect(r#"431[["all","group"]]"#).await;
        // All ways to it lead to it again.
        io.to("group").emit("live", 1);
        io.to(&*sid).emit("live", 2);
        socket.emit("live", 3);
        client.expect(&[r#"["live",1]"#, r#"["live",2]"#, r#"["live",3]"#]).await;
        let mut other = Comeback::join(address).await;
        other.expect(&[r#"["hello",false,1]"#]).await;
        other.client().send(&format!(r#"42["tell","{sid}",4]"#)).await;
        client.client().send(r#"42["tell","all",5]"#).await;
        client.expect(&[r#"["told",4]"#]).await;
        other.expect(&[r#"["told",5]"#]).await;
        assert_eq!(io.to(&*sid).fetch_sockets().await.len(), 1);
        io.to(&*sid).emit("live", 6);
        client.expect(&[r#"["live",6]"#]).await;
    }
}

#[tokio::test]
async fn it_may_be_cut_off_again_and_again() {
    let (io, server, address) = start(on_shards(3), define);
    let mut client = Comeback::join(address).await;
    client.expect(&[r#"["hello",false,1]"#]).await;
    // Each time that it is let in it is told so, which it may not have read before it was cut off again.
    let missed = async |client: &mut Comeback| loop {
        let event = client.event().await;
        if !event.starts_with(r#"["hello",true"#) {
            return event;
        }
    };
    for n in 0..30 {
        client.cut();
        gone(&server, 0).await;
        io.to("all").emit("missed", n);
        io.to("all").emit("missed", n + 1);
        // Cut off before it has read anything: the same again.
        for _ in 0..n % 3 {
            assert!(client.back().await);
            client.cut();
        }
        assert!(client.back().await);
        assert_eq!(missed(&mut client).await, format!(r#"["missed",{n}]"#));
        // Cut off in the middle.
        if n % 2 == 0 {
            client.cut();
            assert!(client.back().await);
        }
        assert_eq!(missed(&mut client).await, format!(r#"["missed",{}]"#, n + 1));
    }
    gone(&server, 1).await;
    assert_eq!(io.fetch_sockets().await.len(), 1);
}

#[tokio::test]
async fn a_client_knows_sooner_than_the_server_that_its_connection_is_dead() {
    let (io, server, address) = start(on_shards(3), define);
    for another_shard in [false, true] {
        let mut client = Comeback::join(address).await;
        client.expect(&[r#"["hello",false,1]"#]).await;
        let mut dead = client.fall_silent();
        io.to("all").emit("sent into the void", ());
        let back = if another_shard { client.back_on_another_shard().await } else { client.back().await };
        assert!(back);
        client.expect(&[r#"["sent into the void"]"#, r#"["hello",true,2]"#]).await;
        while !matches!(dead.said().await, Said::Closed(_)) {}
        client.cut();
        gone(&server, 0).await;
    }
}

#[tokio::test]
async fn what_is_not_known_begins_anew() {
    let (io, server, address) = start(on_shards(2), define);
    io.of("/other");
    let fresh = [r#"["hello",false,1]"#];
    let mut client = Comeback::join(address).await;
    client.expect(&fresh).await;
    let offset = client.offset.clone();

    // An event that was never sent.
    client.cut();
    client.offset = Some(tokio_socketio::ids::Offset::next().to_string());
    assert!(!client.back().await);
    client.expect(&fresh).await;
    // One that was sent before this session began, to another one.
    client.offset = offset;
    client.cut();
    gone(&server, 0).await;
    io.emit("missed", ());
    if client.back().await {
        client.expect(&[r#"["hello",false,1]"#, r#"["missed"]"#, r#"["hello",true,2]"#]).await;
    } else {
        client.expect(&fresh).await;
    }
    // A session of another namespace.
    let mut other = Client::open(address).await;
    other.send(&format!("40/other,{}", client.claim())).await;
    assert!(!other.text().await.contains(&client.pid));
    client.cut();
    assert!(client.back().await, "it is still there for its own");
    client.event().await;
    // Nonsense.
    for auth in [
        r#"{"pid":"x","offset":"y"}"#,
        r#"{"pid":1,"offset":[]}"#,
        r#"{"pid":"AAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#,
    ] {
        let mut client = Client::open(address).await;
        client.send(&format!("40{auth}")).await;
        assert!(client.text().await.contains(r#""pid":""#));
    }
}

#[tokio::test]
async fn who_left_or_was_put_out_does_not_come_back() {
    let (io, server, address) = start(on_shards(2), define);
    let fresh = [r#"["hello",false,1]"#];
    let mut client = Comeback::join(address).await;
    for how in 0..4 {
        client.expect(&fresh).await;
        match how {
            0 => client.client().send("41").await,
            1 => io.disconnect_sockets(false),
            2 => io.disconnect_sockets(true),
            _ => {
                // Put out while it was away.
                client.cut();
                gone(&server, 0).await;
                io.to("all").disconnect_sockets(true);
            }
        }
        while !io.fetch_sockets().await.is_empty() {}
        assert!(!client.back().await, "case {how}");
    }
}

#[tokio::test]
async fn closed_for_a_shutdown_it_comes_back() {
    let (io, server, address) = start(on_shards(2), define);
    let mut client = Comeback::join(address).await;
    client.expect(&[r#"["hello",false,1]"#]).await;
    io.local().local_sockets().await[0].close_for_shutdown();
    assert_eq!(client.client().until_closed().await, (vec![], Some(1001)));
    client.cut();
    gone(&server, 0).await;
    assert!(client.back().await);
    client.expect(&[r#"["hello",true,2]"#]).await;
}

#[tokio::test]
async fn the_window_ends_and_so_does_the_room_for_sessions() {
    let (_io, server, address) = start(on_shards(2).recovery_window(Duration::from_millis(20)), define);
    let mut client = Comeback::join(address).await;
    client.expect(&[r#"["hello",false,1]"#]).await;
    client.cut();
    gone(&server, 0).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!client.back().await);

    let options = RecoveryOptions { window: LONG, max_sessions: 2, ..RecoveryOptions::default() };
    let (_io, server, address) = start(on_shards(1).recovery(options), define);
    let mut clients = Vec::new();
    for n in 0..3 {
        clients.push(Comeback::join(address).await);
        clients[n].event().await;
    }
    for (n, client) in clients.iter_mut().enumerate() {
        client.cut();
        gone(&server, 2 - n).await;
    }
    let mut back = Vec::new();
    for client in &mut clients {
        back.push(client.back().await);
    }
    assert_eq!(back, [false, true, true]);
}

#[tokio::test]
async fn more_than_is_remembered_is_not_recovered() {
    let options = RecoveryOptions { window: LONG, log_bytes: 10_000, ..RecoveryOptions::default() };
    let (io, server, address) = start(on_shards(1).recovery(options), define);
    let mut client = Comeback::join(address).await;
    client.event().await;
    for (bytes, recovered) in [(1000, true), (20_000, false)] {
        client.cut();
        gone(&server, 0).await;
        io.emit("missed", "x".repeat(bytes));
        assert_eq!(client.back().await, recovered, "{bytes} bytes were missed");
        if recovered {
            client.event().await;
        }
        client.event().await;
    }
}

#[tokio::test]
async fn middleware_is_skipped_or_asked_again() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    for skip in [true, false] {
        let told = asked.clone();
        let (io, server, address) = start(on_shards(2).recovery_skip_middleware(skip), |io| {
            io.middleware(move |socket: Socket| {
                told.lock().unwrap().push(socket.recovered());
                let refused = socket.extensions().get::<String>().is_some();
                async move {
                    tokio::task::yield_now().await;
                    if refused { Err(Refused::new("never again")) } else { Ok(()) }
                }
            });
            io.on_connect(|socket: Socket| async move { socket.emit("hello", socket.recovered()) });
            io.on("ban", |socket: Socket| async move { socket.extensions().insert("banned".to_owned()) });
        });
        let mut client = Comeback::join(address).await;
        client.expect(&[r#"["hello",false]"#]).await;
        client.cut();
        gone(&server, 0).await;
        io.emit("missed", ());
        assert!(client.back().await);
        client.expect(&[r#"["missed"]"#, r#"["hello",true]"#]).await;
        assert_eq!(
            std::mem::take(&mut *asked.lock().unwrap()),
            if skip { vec![false] } else { vec![false, true] }
        );
        if !skip {
            client.client().send(r#"421["ban"]"#).await;
            client.client().expect("431[]").await;
            client.cut();
            gone(&server, 0).await;
            let mut again = Client::open(address).await;
            again.send(&format!("40{}", client.claim())).await;
            again.expect(r#"44{"message":"never again"}"#).await;
        }
    }
}

#[tokio::test]
async fn namespaces_come_back_each_for_itself() {
    let io = on_shards(2).build();
    let (fixed, made) = (io.of("/fixed"), io.of_matching(|name| name.starts_with("/made-")));
    for namespace in [&fixed, &made] {
        namespace.on_connect(|socket: Socket| async move { socket.emit("hello", socket.recovered()) });
    }
    let server = io.listen("127.0.0.1:0").unwrap();
    let mut clients = Vec::new();
    for namespace in ["/fixed", "/made-1", "/made-2"] {
        let mut client = Comeback::join_at(server.addresses()[0], namespace).await;
        client.expect(&[r#"["hello",false]"#]).await;
        clients.push(client);
    }
    let mut of_made = made.local().local_sockets().await;
    of_made.sort_by_key(|socket| socket.namespace_name().to_owned());
    clients.iter_mut().for_each(Comeback::cut);
    gone(&server, 0).await;
    fixed.emit("to", "fixed");
    of_made[0].namespace().emit("to", "made-1");
    made.emit("to", "all that were made");
    io.emit("to", "/");
    let missed: [&[&str]; 3] = [
        &[r#"["to","fixed"]"#],
        &[r#"["to","made-1"]"#, r#"["to","all that were made"]"#],
        &[r#"["to","all that were made"]"#],
    ];
    for (client, missed) in clients.iter_mut().zip(missed) {
        assert!(client.back().await);
        client.expect(missed).await;
        client.expect(&[r#"["hello",true]"#]).await;
    }
}

/// While events pour in, a client that is cut off at any moment has each of them once, and in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_middle_of_traffic_nothing_is_lost_or_doubled() {
    const EVENTS: u32 = 3000;
    let (io, _server, address) = start(on_shards(3), define);
    let mut client = Comeback::join(address).await;
    client.event().await;
    let pouring = std::thread::spawn(move || {
        for n in 0..EVENTS {
            io.to("all").emit("n", n);
            if n % 10 == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    });
    let mut due = 0;
    while due < EVENTS {
        let event = client.event().await;
        if event.starts_with(r#"["hello",true"#) {
            continue;
        }
        assert_eq!(event, format!(r#"["n",{due}]"#));
        due += 1;
        if due % 97 == 0 {
            client.cut();
            assert!(client.back().await);
        }
    }
    pouring.join().unwrap();
}
