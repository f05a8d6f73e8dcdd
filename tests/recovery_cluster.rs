//! Clients that were cut off come back on another node, on the bus of one process.

mod support;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use support::comeback::Comeback;
use support::until;
use tokio_socketio::bus::{Bus, BusError, BusFuture, LocalBus, LocalExchange, LocalSessions, Sessions, Sink};
use tokio_socketio::{ClusterOptions, Io, RecoveredSession, Server, Socket};

struct Node {
    io: Io,
    server: Server,
}

impl Node {
    fn address(&self) -> SocketAddr {
        self.server.addresses()[0]
    }
}

struct User(String);

/// Nodes that know of each other. Each client is in the rooms `all` and its node's name, and has a user, named after
/// that node. It is told whether it is back, and who it is.
async fn nodes(exchange: &LocalExchange, sessions: &Arc<LocalSessions>, names: &[&str]) -> Vec<Node> {
    nodes_on(sessions, names, |_, sink| Arc::new(exchange.join(sink))).await
}

/// The same, on buses that `join` makes for them.
async fn nodes_on(
    sessions: &Arc<LocalSessions>,
    names: &[&str],
    join: impl Fn(&str, Arc<dyn Sink>) -> Arc<dyn Bus>,
) -> Vec<Node> {
    let mut nodes = Vec::new();
    for name in names {
        let io = Io::builder().shards(2).recovery_window(Duration::from_secs(120)).build();
        let options = ClusterOptions {
            answer_timeout: Duration::from_secs(5),
            sessions: Some(sessions.clone()),
            ..ClusterOptions::new(*name)
        };
        let joining = io.join_cluster(options);
        let bus = join(name, joining.sink());
        joining.with(bus);
        io.recovery_data(
            |socket: &Socket| {
                socket.extensions().get::<User>().map_or(Vec::new(), |user| user.0.clone().into())
            },
            |socket: &Socket, data: &[u8]| {
                socket.extensions().insert(User(String::from_utf8_lossy(data).into_owned()));
            },
        );
        let here = (*name).to_owned();
        io.on_connect(move |socket: Socket| {
            if !socket.recovered() {
                socket.join("all");
                socket.join(&*here);
                socket.extensions().insert(User(format!("user of {here}")));
            }
            let user = socket.extensions().get::<User>().unwrap();
            socket.emit("hello", (socket.recovered(), &user.0));
            async {}
        });
        io.on("rooms", |socket: Socket| async move {
            let mut rooms = socket.rooms().await;
            rooms.sort();
            rooms
        });
        io.on("tell", |socket: Socket, room: String, what: u32| async move {
            socket.to(room).emit("told", what);
        });
        let server = io.listen("127.0.0.1:0").expect("a free port");
        nodes.push(Node { io, server });
    }
    until("all nodes know each other", || nodes.iter().all(|n| n.io.other_nodes().len() == names.len() - 1))
        .await;
    nodes
}

async fn gone(node: &Node) {
    until("the server notices", || node.server.node().sessions() == 0).await;
}

const FRESH: &str = r#"["hello",false,"user of a"]"#;
const BACK: &str = r#"["hello",true,"user of a"]"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_client_comes_back_on_another_node_and_misses_nothing() {
    let nodes = nodes(&LocalExchange::default(), &Arc::default(), &["a", "b", "c"]).await;
    let [a, b, c] = &nodes[..] else { unreachable!() };
    let mut client = Comeback::join(a.address()).await;
    client.expect(&[FRESH]).await;
    let (sid, pid) = (client.sid.clone(), client.pid.clone());
    client.cut();
    gone(a).await;
    a.io.to("all").emit("missed", 1);
    b.io.to("all").emit("missed", 2);
    c.io.to("all").emit("missed", 3);
    c.io.to("elsewhere").emit("not mine", ());
    b.io.except("a").emit("not mine", ());
    b.io.emit("missed", 4);
    c.io.to(&*sid).emit("missed", 5);
    a.io.to("a").to("all").emit("missed", 6);
    b.io.volatile().emit("not kept", ());
    let mut missed = Vec::new();
    assert!(client.back_to(b.address(), |_| true).await);
    for _ in 0..6 {
        missed.push(client.event().await);
    }
    let expected: Vec<_> = (1..7).map(|n| format!(r#"["missed",{n}]"#)).collect();
    assert_eq!(missed, expected);
    client.expect(&[BACK]).await;
    assert_eq!((&client.sid, &client.pid), (&sid, &pid));
    client.client().send(r#"421["rooms"]"#).await;
    client.client().expect(r#"431[["a","all"]]"#).await;
    // Every node reaches it, each event once.
    for (n, node) in nodes.iter().enumerate() {
        node.io.to("a").to("all").emit("live", n);
        client.expect(&[&format!(r#"["live",{n}]"#)]).await;
        node.io.to(&*sid).emit("live", n);
        client.expect(&[&format!(r#"["live",{n}]"#)]).await;
    }
    let mut other = Comeback::join(a.address()).await;
    other.expect(&[FRESH]).await;
    client.client().send(r#"42["tell","all",7]"#).await;
    other.expect(&[r#"["told",7]"#]).await;

    // On to the third node, back to the second, and home.
    for node in [c, b, a] {
        client.cut();
        a.io.to("all").emit("missed", 8);
        other.expect(&[r#"["missed",8]"#]).await;
        until("it is noticed", || b.server.node().sessions() + c.server.node().sessions() == 0).await;
        assert!(client.back_to(node.address(), |_| true).await);
        client.expect(&[r#"["missed",8]"#, BACK]).await;
        assert_eq!((&client.sid, &client.pid), (&sid, &pid));
    }
    assert_eq!(a.io.fetch_sockets().await.len(), 2);
}

/// While events pour in from all nodes, a client that goes from node to node has each of them once, and those of each
/// node in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_middle_of_traffic_nothing_is_lost_or_doubled() {
    const EVENTS: usize = 600;
    let nodes = nodes(&LocalExchange::default(), &Arc::default(), &["a", "b", "c"]).await;
    let mut client = Comeback::join(nodes[0].address()).await;
    client.expect(&[FRESH]).await;
    let pouring: Vec<_> = nodes
        .iter()
        .enumerate()
        .map(|(node, Node { io, .. })| {
            let io = io.clone();
            std::thread::spawn(move || {
                for n in 0..EVENTS {
                    io.to("all").emit("n", (node, n));
                    if n % 5 == 0 {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
            })
        })
        .collect();
    let (mut due, mut at) = ([0; 3], 0);
    while due.iter().sum::<usize>() < 3 * EVENTS {
        let event = client.event().await;
        if event == BACK {
            continue;
        }
        let (name, node, n): (String, usize, usize) = serde_json::from_str(&event).unwrap();
        assert_eq!((&*name, n), ("n", due[node]), "of node {node}: {due:?}");
        due[node] += 1;
        if due.iter().sum::<usize>() % 131 == 0 {
            client.cut();
            at = (at + 1) % 3;
            assert!(client.back_to(nodes[at].address(), |_| true).await);
        }
    }
    pouring.into_iter().for_each(|thread| thread.join().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_told_by_another_that_a_connection_is_dead() {
    let nodes = nodes(&LocalExchange::default(), &Arc::default(), &["a", "b", "c"]).await;
    let mut client = Comeback::join(nodes[0].address()).await;
    client.expect(&[FRESH]).await;
    for node in [&nodes[1], &nodes[2], &nodes[0]] {
        let mut dead = client.fall_silent();
        node.io.to("all").emit("sent into the void", ());
        assert!(client.back_to(node.address(), |_| true).await);
        client.expect(&[r#"["sent into the void"]"#, BACK]).await;
        while !matches!(dead.said().await, support::Said::Closed(_)) {}
    }
    assert_eq!(nodes[0].io.fetch_sockets().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_claim_a_session_one_has_it_in_the_end() {
    let nodes = nodes(&LocalExchange::default(), &Arc::default(), &["a", "b", "c"]).await;
    for _ in 0..10 {
        let mut client = Comeback::join(nodes[0].address()).await;
        client.expect(&[FRESH]).await;
        client.cut();
        gone(&nodes[0]).await;
        let claims = nodes[1..].iter().map(|node| {
            let (address, claim, pid) = (node.address(), client.claim(), client.pid.clone());
            tokio::spawn(async move {
                let mut client = support::Client::open(address).await;
                client.send(&format!("40{claim}")).await;
                let back = client.text().await.contains(&pid);
                (back, client)
            })
        });
        let mut back = Vec::new();
        for claim in claims.collect::<Vec<_>>() {
            back.push(claim.await.unwrap());
        }
        // The second may have taken it over from the first.
        assert!(back.iter().any(|(back, _)| *back));
        let found = nodes[0].io.fetch_sockets().await;
        assert_eq!(found.iter().filter(|socket| socket.id().to_string() == client.sid).count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_keeper_is_gone_the_program_vouches_or_not() {
    let exchange = LocalExchange::default();
    for (how, back) in
        [("no handler", false), ("not vouched for", false), ("vouched for", true), ("panic", false)]
    {
        let sessions: Arc<LocalSessions> = Arc::default();
        let mut nodes = nodes(&exchange, &sessions, &["a", "b"]).await;
        let (a, b) = (nodes.remove(0), nodes.remove(0));
        let mut client = Comeback::join(a.address()).await;
        client.expect(&[FRESH]).await;
        let (sid, offset) = (client.sid.clone(), client.offset.clone().unwrap());
        if how != "no handler" {
            b.io.on_recover_elsewhere(move |session: RecoveredSession| {
                assert_ne!(how, "panic", "on purpose");
                assert_eq!((session.id().to_string(), session.offset()), (sid.clone(), offset.clone()));
                assert_eq!((session.namespace_name(), session.data()), ("/", &b"user of a"[..]));
                let mut rooms = session.rooms().to_vec();
                rooms.sort();
                assert_eq!(rooms, ["a".into(), "all".into()] as [Arc<str>; 2]);
                // Which is told in whole milliseconds.
                assert!(session.offset_time() <= session.disconnected_at() + Duration::from_millis(1));
                async move {
                    tokio::task::yield_now().await;
                    session.emit("from the store", 1);
                    session.emit("from the store", 2);
                    how == "vouched for"
                }
            });
        }
        // The node drains: its client is told to go, and its session is left for the others before it is gone.
        let stopping = tokio::spawn(a.server.stop(support::PATIENCE));
        assert_eq!(client.client().until_closed().await.1, Some(1001));
        client.cut();
        stopping.await.unwrap();
        a.io.leave_cluster().await;
        until("it has gone", || b.io.other_nodes().is_empty()).await;
        assert_eq!(client.back_to(b.address(), |_| true).await, back, "{how}");
        if back {
            client.expect(&[r#"["from the store",1]"#, r#"["from the store",2]"#, BACK]).await;
            b.io.to("a").emit("live", ());
            client.expect(&[r#"["live"]"#]).await;
            // What the program has sent it counts as sent.
            client.cut();
            gone(&b).await;
            b.io.to("a").emit("missed", ());
            assert!(client.back().await);
            client.expect(&[r#"["missed"]"#, BACK]).await;
        } else {
            client.expect(&[r#"["hello",false,"user of b"]"#]).await;
        }
        b.io.leave_cluster().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_came_back_or_left_is_not_left_behind() {
    let sessions: Arc<LocalSessions> = Arc::default();
    let nodes = nodes(&LocalExchange::default(), &sessions, &["a", "b"]).await;
    let mut client = Comeback::join(nodes[0].address()).await;
    client.expect(&[FRESH]).await;
    client.cut();
    gone(&nodes[0]).await;
    assert!(client.back().await);
    client.expect(&[BACK]).await;
    client.cut();
    gone(&nodes[0]).await;
    nodes[1].io.to("all").disconnect_sockets(true);
    assert!(!client.back_to(nodes[1].address(), |_| true).await, "it was put out while it was away");
    nodes[0].io.leave_cluster().await;
    assert_eq!(sessions.take(&client.pid).await, Ok(None));
}

/// A bus on which what comes by the rooms' channels may be late, as by another server of a Redis Cluster. A fence waits for it.
struct Late {
    bus: LocalBus,
    ear: Arc<Ear>,
}

struct Ear {
    sink: Arc<dyn Sink>,
    /// What is late; `None`: nothing is.
    held: Mutex<Option<Vec<(String, Bytes)>>>,
}

impl Ear {
    fn hold(&self) {
        self.held.lock().unwrap().get_or_insert_default();
    }

    fn holds(&self) -> usize {
        self.held.lock().unwrap().as_ref().map_or(0, Vec::len)
    }

    fn let_go(&self) {
        let held = self.held.lock().unwrap().take();
        for (channel, message) in held.into_iter().flatten() {
            self.sink.message(&channel, message);
        }
    }
}

impl Sink for Ear {
    fn message(&self, channel: &str, message: Bytes) {
        let mut held = self.held.lock().unwrap();
        match held.as_mut().filter(|_| channel.starts_with("room:")) {
            Some(held) => held.push((channel.to_owned(), message)),
            None => {
                drop(held);
                self.sink.message(channel, message);
            }
        }
    }
}

impl Bus for Late {
    fn publish(&self, channel: &str, message: Bytes) -> Result<(), BusError> {
        self.bus.publish(channel, message)
    }

    fn subscribe(&self, channel: &str) -> BusFuture<Result<(), BusError>> {
        self.bus.subscribe(channel)
    }

    fn unsubscribe(&self, channel: &str) {
        self.bus.unsubscribe(channel);
    }

    fn settle(&self) -> BusFuture<()> {
        let (ear, settled) = (self.ear.clone(), self.bus.settle());
        Box::pin(async move {
            settled.await;
            ear.let_go();
        })
    }

    fn is_up(&self) -> bool {
        self.bus.is_up()
    }

    fn close(&self) -> BusFuture<()> {
        self.bus.close()
    }
}

/// Nodes `a`, `b` and `c`, and the ear of the one that is named.
async fn nodes_with_a_late_one(late: &str) -> (Vec<Node>, Arc<Ear>) {
    let (exchange, ears) = (LocalExchange::default(), Mutex::new(None));
    let nodes = nodes_on(&Arc::default(), &["a", "b", "c"], |name, sink| -> Arc<dyn Bus> {
        if name != late {
            return Arc::new(exchange.join(sink));
        }
        let ear = Arc::new(Ear { sink, held: Mutex::default() });
        ears.lock().unwrap().replace(ear.clone());
        Arc::new(Late { bus: exchange.join(ear.clone()), ear })
    })
    .await;
    (nodes, ears.into_inner().unwrap().unwrap())
}

/// A client of `home` that was cut off, and an event of `speaker` that it missed and that is late.
async fn one_who_missed_what_is_late(home: &Node, speaker: &Node, ear: &Ear) -> Comeback {
    let mut client = Comeback::join(home.address()).await;
    client.expect(&[FRESH]).await;
    client.cut();
    gone(home).await;
    ear.hold();
    speaker.io.to("all").emit("missed", 1);
    assert_eq!(ear.holds(), 1);
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_late_at_the_keeper_is_not_missed() {
    let (nodes, ear) = nodes_with_a_late_one("a").await;
    let [a, b, c] = &nodes[..] else { unreachable!() };
    let mut client = one_who_missed_what_is_late(a, c, &ear).await;
    assert!(client.back_to(b.address(), |_| true).await);
    client.expect(&[r#"["missed",1]"#, BACK]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_late_where_the_client_comes_to_does_not_come_twice() {
    let (nodes, ear) = nodes_with_a_late_one("b").await;
    let [a, b, c] = &nodes[..] else { unreachable!() };
    // So that `b` has the room's channel.
    let mut other = Comeback::join(b.address()).await;
    other.expect(&[r#"["hello",false,"user of b"]"#]).await;
    let mut client = one_who_missed_what_is_late(a, c, &ear).await;
    assert!(client.back_to(b.address(), |_| true).await);
    client.expect(&[r#"["missed",1]"#, BACK]).await;
    ear.let_go();
    c.io.to("all").emit("live", 2);
    client.expect(&[r#"["live",2]"#]).await;
    other.expect(&[r#"["missed",1]"#, r#"["live",2]"#]).await;
}
