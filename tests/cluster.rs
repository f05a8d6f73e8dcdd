//! Servers as nodes of a cluster, on the bus of one process: what is asked on one reaches the sockets of all.

mod support;

use std::sync::Arc;
use std::time::Duration;

use support::{Client, PATIENCE};
use tokio_socketio::bus::LocalExchange;
use tokio_socketio::{Args, ClusterOptions, Io, Server, Socket};

/// A node, and a client of it.
struct Node {
    io: Io,
    _server: Server,
    client: Client,
    id: String,
}

/// Nodes that know of each other, each with two shards and one client in the rooms `all` and the node's own name.
async fn nodes(exchange: &LocalExchange, count: usize) -> Vec<Node> {
    let mut nodes = Vec::new();
    for n in 1..=count {
        let io = Io::builder().shards(2).build();
        let name = format!("node-{n}");
        let options =
            ClusterOptions { answer_timeout: Duration::from_millis(300), ..ClusterOptions::new(&name) };
        join(&io, options, exchange);
        io.on_connect(move |socket: Socket| {
            socket.join("all");
            socket.join(&*name);
            async {}
        });
        io.on("say", |socket: Socket, room: String, text: String| async move {
            socket.to(room).emit("said", text);
        });
        let server = io.listen("127.0.0.1:0").expect("a free port");
        let mut client = Client::open(server.addresses()[0]).await;
        client.send("40").await;
        let connected: serde_json::Value = serde_json::from_str(&client.text().await[2..]).unwrap();
        let id = connected["sid"].as_str().unwrap().to_owned();
        nodes.push(Node { io, _server: server, client, id });
    }
    until("all nodes know each other", || nodes.iter().all(|node| node.io.other_nodes().len() == count - 1))
        .await;
    nodes
}

fn join(io: &Io, options: ClusterOptions, exchange: &LocalExchange) {
    let joining = io.join_cluster(options);
    let bus = exchange.join(joining.sink());
    joining.with(Arc::new(bus));
}

/// The next event, as its JSON array.
async fn event(client: &mut Client) -> String {
    let text = client.text().await;
    text.strip_prefix("42").unwrap_or_else(|| panic!("{text} where an event is due")).to_owned()
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_reaches_the_room_on_every_node_once() {
    let mut nodes = nodes(&LocalExchange::default(), 3).await;
    nodes[0].io.to("all").to("node-2").emit("e", 1);
    nodes[1].io.emit("e", 2);
    let third = nodes[2].id.clone();
    nodes[0].io.to(&*third).emit("only", 3);
    nodes[2].io.except("node-1").emit("e", 4);
    nodes[2].io.local().emit("e", 5);
    let expected: [&[&str]; 3] = [
        &[r#"["e",1]"#, r#"["e",2]"#],
        &[r#"["e",1]"#, r#"["e",2]"#, r#"["e",4]"#],
        &[r#"["e",1]"#, r#"["e",2]"#, r#"["only",3]"#, r#"["e",4]"#, r#"["e",5]"#],
    ];
    for (node, expected) in nodes.iter_mut().zip(expected) {
        let mut got = Vec::new();
        for _ in expected {
            got.push(event(&mut node.client).await);
        }
        // Events of different nodes have no order among each other.
        got.sort_unstable();
        let mut expected: Vec<_> = expected.iter().map(|text| (*text).to_owned()).collect();
        expected.sort_unstable();
        assert_eq!(got, expected);
        node.io.local().emit("end", ());
        assert_eq!(event(&mut node.client).await, r#"["end"]"#, "and nothing twice");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_speaks_to_a_room_of_another_node() {
    let mut nodes = nodes(&LocalExchange::default(), 2).await;
    nodes[0].client.send(r#"42["say","node-2","hello"]"#).await;
    assert_eq!(event(&mut nodes[1].client).await, r#"["said","hello"]"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn acks_are_collected_from_all_nodes() {
    let mut nodes = nodes(&LocalExchange::default(), 3).await;
    let io = nodes[0].io.clone();
    let asked =
        tokio::spawn(async move { io.to("all").emit_with_acks::<String>("name?", ()).await.unwrap() });
    for (n, node) in nodes.iter_mut().enumerate() {
        let asked = node.client.text().await;
        let id = asked.strip_prefix("42").and_then(|rest| rest.strip_suffix(r#"["name?"]"#)).expect(&asked);
        node.client.send(&format!(r#"43{id}["client {n}"]"#)).await;
    }
    let answers = asked.await.unwrap();
    let mut names: Vec<_> = answers.received.into_iter().map(|(_, name)| name).collect();
    names.sort();
    assert_eq!(names, ["client 0", "client 1", "client 2"]);
    assert!(answers.missing.is_empty() && answers.silent.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_are_found_moved_and_put_out_on_all_nodes() {
    let mut nodes = nodes(&LocalExchange::default(), 3).await;
    let found = nodes[0].io.fetch_sockets().await;
    assert_eq!((found.len(), found.silent.len()), (3, 0));
    let third = found.iter().find(|socket| socket.id().to_string() == nodes[2].id).unwrap();
    assert_eq!(third.node(), Some("node-3"));
    assert!(third.rooms().iter().any(|room| &**room == "node-3") && third.url().contains("EIO=4"));
    third.join("picked");
    third.emit("hello", "you");
    assert_eq!(event(&mut nodes[2].client).await, r#"["hello","you"]"#);
    nodes[1].io.to("picked").emit("hello", "picked");
    assert_eq!(event(&mut nodes[2].client).await, r#"["hello","picked"]"#);
    let (answer, ()) = tokio::join!(third.emit_with_ack::<u32>("age?", ()), async {
        assert_eq!(event(&mut nodes[2].client).await, r#"0["age?"]"#);
        nodes[2].client.send("430[7]").await;
    });
    assert_eq!(answer, Ok(7));
    nodes[0].io.to("node-2").join("moved");
    nodes[0].io.to("moved").emit("moved", ());
    assert_eq!(event(&mut nodes[1].client).await, r#"["moved"]"#);
    nodes[2].io.to("node-1").disconnect_sockets(true);
    nodes[0].client.until_closed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_speak_to_each_other() {
    let nodes = nodes(&LocalExchange::default(), 3).await;
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    for (n, node) in nodes.iter().enumerate() {
        let told = told.clone();
        node.io.on_server_side_emit("tell", move |from: Arc<str>, args: Args| {
            told.send((n, from.to_string(), args.json().to_owned())).unwrap();
            async {}
        });
        if n != 2 {
            node.io.on_server_side_emit("double", |_: Arc<str>, args: Args| async move {
                tokio::task::yield_now().await;
                args.first::<u64>().unwrap_or_default() * 2
            });
        }
    }
    nodes[0].io.server_side_emit("tell", (1, "x"));
    let mut got = [heard.recv().await.unwrap(), heard.recv().await.unwrap()];
    got.sort();
    assert_eq!(got, [1, 2].map(|n| (n, "node-1".to_owned(), r#"[1,"x"]"#.to_owned())));
    // Only to nodes that have the room.
    nodes[0].io.to("node-3").server_side_emit("tell", 2);
    assert_eq!(heard.recv().await.unwrap().0, 2);

    let answers = nodes[0].io.server_side_emit_with_ack::<u64>("double", 21).await.unwrap();
    assert_eq!(answers.received, [("node-2".to_owned(), 42)]);
    assert_eq!(answers.missing.len(), 1, "node-3 has no handler for it");
    assert!(answers.silent.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_do_not_answer_are_named() {
    let exchange = LocalExchange::default();
    let nodes = nodes(&exchange, 2).await;
    // It is there, as far as the others know, and says nothing.
    let mute = Io::new();
    join(&mute, ClusterOptions::new("mute"), &exchange);
    until("the third node is known", || nodes[0].io.other_nodes().len() == 2).await;
    let answers = nodes[0].io.server_side_emit_with_ack::<u64>("anybody", ()).await.unwrap();
    assert_eq!(answers.silent, Vec::<String>::new());
    mute.on_server_side_emit("anybody", |_: Arc<str>, _: Args| async {
        std::future::pending::<()>().await;
    });
    let answers = nodes[0].io.server_side_emit_with_ack::<u64>("anybody", ()).await.unwrap();
    assert_eq!(answers.silent, ["mute"]);
    // A node that leaves is not waited for.
    mute.leave_cluster().await;
    until("the third node is gone", || nodes[0].io.other_nodes() == ["node-2"]).await;
    let found = nodes[0].io.fetch_sockets().await;
    assert_eq!((found.len(), found.silent.len()), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_of_another_nodes_event_is_on_the_servers_runtime_from_the_start() {
    let nodes = nodes(&LocalExchange::default(), 2).await;
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    nodes[1].io.on_server_side_emit("where", move |_: Arc<str>, _: Args| {
        let tell = tell.clone();
        async move { tell.send(tokio::runtime::Handle::current().id()).unwrap() }
    });
    // On a thread with a runtime of its own, as the bus may have one.
    let speaker = nodes[0].io.clone();
    let speaking = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { speaker.server_side_emit("where", ()) });
    });
    assert_eq!(told.recv().await, Some(tokio::runtime::Handle::current().id()));
    speaking.join().unwrap();
}
