//! What is particular to the store over MySQL: several nodes on one database, and whatever can happen to a server and to
//! the connections to it. The servers are real ones; a second connection plays the other program, the stuck node, the
//! administrator; a proxy loses answers.

#[path = "support/mysql.rs"]
mod mysql;

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mysql::MysqlServer;
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_socketio::store::{
    Appended, Conversation, Message, MysqlOptions, MysqlStore, NewMessage, Store, StoreError, StoreExt as _,
    Target,
};

/// How long anything may take before a test gives up. No test waits so long when all is well.
const PATIENCE: Duration = Duration::from_secs(120);

/// Options for tests in which no message is given up.
fn options(url: String) -> MysqlOptions {
    MysqlOptions { url, give_up: PATIENCE, ..MysqlOptions::default() }
}

async fn open(url: &str) -> MysqlStore {
    MysqlStore::open(options(url.to_owned())).await.unwrap()
}

/// An empty database on the shared server.
async fn database() -> String {
    let server = MysqlServer::shared();
    server.url(&server.database().await)
}

/// Another program with the same database.
async fn other_program(url: &str) -> Conn {
    Conn::from_url(url).await.unwrap()
}

/// Waits for a condition, asking again and again.
async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A message of user 1 to a group.
fn message(group: u64, text: &str) -> NewMessage {
    NewMessage::text(1, Target::Group(group), text)
}

fn named(message: NewMessage, client_id: &str) -> NewMessage {
    NewMessage { client_message_id: Some(client_id.to_owned()), ..message }
}

/// All messages of a group. Fails on a gap or a double in seq, and where ids do not grow with it.
async fn stored(store: &MysqlStore, group: u64) -> Vec<Message> {
    let mut messages: Vec<Message> = Vec::new();
    loop {
        let page = store.sync(Conversation::Group(group), messages.len() as u64, 1000).await.unwrap();
        messages.extend(page.messages);
        if !page.has_more {
            break;
        }
    }
    let seqs: Vec<u64> = messages.iter().map(|message| message.seq).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "group {group}: seq has a gap or a double");
    assert!(messages.is_sorted_by_key(|message| message.id), "group {group}: ids grow with seq");
    messages
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_write_to_the_same_conversations() {
    const EACH: u64 = 200;
    let url = database().await;
    let mut stores = Vec::new();
    for _ in 0..3 {
        stores.push(Arc::new(open(&url).await));
    }
    // Every message goes to two of the nodes at once, as that of a client which lost its connection does. Each third one
    // names another conversation when it is repeated.
    let mut answers = Vec::new();
    for n in 0..EACH {
        for (node, store) in stores.iter().enumerate() {
            let new = |group: u64| named(message(1 + group % 5, "x"), &format!("{node}/{n}"));
            answers.push((node, n, store.append(new(n))));
            answers.push((node, n, stores[(node + 1) % 3].append(new(n + u64::from(n % 3 == 0)))));
        }
        if n % 20 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let mut by_name: HashMap<(usize, u64), Vec<_>> = HashMap::new();
    for (node, n, answer) in answers {
        by_name.entry((node, n)).or_default().push(answer.await.unwrap());
    }
    for (name, answers) in by_name {
        let new = answers.iter().filter(|appended| !appended.duplicate).count();
        assert_eq!(new, 1, "{name:?} was stored {new} times");
        assert_eq!(answers[0].message, answers[1].message, "{name:?}");
    }
    let mut count = 0;
    for group in 1..=5 {
        count += stored(&stores[0], group).await.len() as u64;
    }
    assert_eq!(count, 3 * EACH);
    assert_eq!(stores.iter().map(|store| store.stats().appended).sum::<u64>(), 3 * EACH);
    assert_eq!(stores.iter().map(|store| store.stats().failed).sum::<u64>(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_start_at_once_create_the_schema_once() {
    let url = database().await;
    let opened = (0..3).map(|_| tokio::spawn(MysqlStore::open(options(url.clone()))));
    for (node, store) in opened.collect::<Vec<_>>().into_iter().enumerate() {
        let store = store.await.unwrap().unwrap();
        store.append(message(1, &node.to_string())).await.unwrap();
        store.close().await.unwrap();
    }
    let steps: Vec<u32> = other_program(&url).await.query("SELECT step FROM schema_version").await.unwrap();
    assert_eq!(steps, (1..=steps.len() as u32).collect::<Vec<_>>());
}

#[tokio::test]
async fn databases_of_others_are_refused_and_left_alone() {
    for (prepare, says) in [
        ("CREATE TABLE messages (text VARCHAR(10))", "another program"),
        ("CREATE TABLE schema_version (step INT); INSERT INTO schema_version VALUES (1000)", "newer"),
    ] {
        let url = database().await;
        let mut other = other_program(&url).await;
        other.query_drop(prepare).await.unwrap();
        let error = MysqlStore::open(options(url)).await.unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        let tables: Vec<String> = other.query("SHOW TABLES").await.unwrap();
        assert_eq!(tables.len(), 1, "{tables:?}");
    }
}

#[tokio::test]
async fn a_database_that_cannot_be_used_yet_is_waited_for() {
    let server = MysqlServer::shared();
    let url = server.url("not_there_yet");
    let store = open(&url).await;
    let error = store.append(message(1, "lost")).await.unwrap_err();
    assert_eq!(error.code(), "store_unavailable", "{error}");
    assert_eq!(store.sync(Conversation::Group(1), 0, 1).await.unwrap_err().code(), "store_unavailable");
    other_program(&server.url("mysql")).await.query_drop("CREATE DATABASE not_there_yet").await.unwrap();
    eventually("the store finds the new database", || async { store.is_up() }).await;
    assert_eq!(store.append(message(1, "x")).await.unwrap().message.seq, 1);

    let wrong = url.replace("secret", "wrong");
    let store = open(&wrong).await;
    assert_eq!(store.append(message(1, "lost")).await.unwrap_err().code(), "store_unavailable");
    // It does not wait for the database either.
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_store_opens_while_its_server_is_away() {
    let server = MysqlServer::start();
    let url = server.url(&server.database().await);
    server.kill();
    let store = open(&url).await;
    assert!(!store.is_up());
    assert_eq!(store.append(message(1, "lost")).await.unwrap_err().code(), "store_unavailable");
    server.restart();
    eventually("the store finds the server", || async { store.is_up() }).await;
    assert_eq!(store.append(message(1, "x")).await.unwrap().message.seq, 1);
    assert_eq!(stored(&store, 1).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_no_acknowledged_message() {
    const WRITERS: usize = 16;
    const ACKS_BETWEEN_KILLS: usize = 200;
    let server = MysqlServer::start();
    let url = server.url(&server.database().await);
    let store = Arc::new(open(&url).await);
    let (stop, acks) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let told = Arc::new(Mutex::new(Vec::new()));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (store, stop, acks, told) =
                (Arc::clone(&store), Arc::clone(&stop), Arc::clone(&acks), Arc::clone(&told));
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for n in 0.. {
                    if stop.load(SeqCst) {
                        break;
                    }
                    let new = named(message(1 + n % 3, &"x".repeat(300)), &format!("{writer}/{n}"));
                    let told = Arc::clone(&told);
                    let (tell, answer) = tokio::sync::oneshot::channel();
                    let then = move |appended: Result<Appended, StoreError>| {
                        if let Ok(appended) = &appended {
                            told.lock().unwrap().push(Arc::clone(&appended.message));
                        }
                        tell.send(appended).unwrap();
                    };
                    store.append_then(new, Box::new(then));
                    match answer.await.unwrap() {
                        Ok(appended) => {
                            assert!(!appended.duplicate, "a message that was sent once is a repetition");
                            acknowledged.push(appended.message);
                            acks.fetch_add(1, SeqCst);
                        }
                        Err(error) => {
                            assert_eq!(error.code(), "store_unavailable", "{error}");
                            tokio::time::sleep(Duration::from_millis(20)).await;
                        }
                    }
                }
                acknowledged
            })
        })
        .collect();
    for kill in 1..=3 {
        let enough = acks.load(SeqCst) + ACKS_BETWEEN_KILLS;
        eventually("messages are acknowledged", || async { acks.load(SeqCst) >= enough }).await;
        server.kill();
        eventually("the outage is noticed", || async { !store.is_up() }).await;
        server.restart();
        eventually("the store is back", || async { store.is_up() }).await;
        assert!(store.reconnects() >= kill);
    }
    stop.store(true, SeqCst);
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.extend(writer.await.unwrap());
    }

    let mut all = HashMap::new();
    for group in 1..=3 {
        for message in stored(&store, group).await {
            let name = message.client_message_id.clone().unwrap();
            assert!(all.insert(name, message).is_none(), "a message is stored twice");
        }
    }
    for message in &acknowledged {
        assert_eq!(all.get(message.client_message_id.as_ref().unwrap()), Some(&**message), "lost or changed");
    }
    // What was told is what was stored by this node, each once, in order.
    let told = told.lock().unwrap();
    let ids: HashSet<_> = told.iter().map(|message| &message.message_id).collect();
    assert_eq!(ids.len(), told.len(), "a message was told twice");
    assert!(acknowledged.iter().all(|message| ids.contains(&message.message_id)));
    for group in 1..=3 {
        let seqs = told.iter().filter(|message| message.group_id == Some(group)).map(|message| message.seq);
        assert!(seqs.is_sorted(), "group {group} was told out of order");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_costs_time_only() {
    let server = MysqlServer::start();
    let url = server.url(&server.database().await);
    let store = open(&url).await;
    store.append(message(1, "before")).await.unwrap();
    server.pause();
    let waiting: Vec<_> = (0..20).map(|n| store.append(message(1, &n.to_string()))).collect();
    let reading = store.sync(Conversation::Group(1), 0, 1);
    eventually("the silence is noticed", || async { !store.is_up() }).await;
    let start = Instant::now();
    assert_eq!(store.append(message(1, "refused")).await.unwrap_err().code(), "store_unavailable");
    assert_eq!(store.sync(Conversation::Group(1), 0, 1).await.unwrap_err().code(), "store_unavailable");
    assert!(start.elapsed() < PATIENCE / 2, "refused at once, not after a time limit");
    server.resume();
    for (n, answer) in waiting.into_iter().enumerate() {
        assert_eq!(answer.await.unwrap().message.content, n.to_string());
    }
    let _ = reading.await;
    eventually("reading works again", || async { store.sync(Conversation::Group(1), 0, 1).await.is_ok() })
        .await;
    let contents: Vec<_> = stored(&store, 1).await.into_iter().map(|message| message.content).collect();
    let expected = std::iter::once("before".to_owned()).chain((0..20).map(|n| n.to_string()));
    assert_eq!(contents, expected.collect::<Vec<_>>());
}

#[tokio::test]
async fn what_waits_too_long_is_given_up() {
    let server = MysqlServer::start();
    let url = server.url(&server.database().await);
    let give_up = Duration::from_millis(300);
    let store = MysqlStore::open(MysqlOptions { url, give_up, ..MysqlOptions::default() }).await.unwrap();
    server.kill();
    let error = store.append(message(1, "late")).await.unwrap_err();
    assert_eq!(error.code(), "store_unavailable", "{error}");
    eventually("the outage is noticed", || async { !store.is_up() }).await;
    store.close().await.expect("a store closes also without a database");
}

/// Where an answer gets lost.
#[derive(Clone, Copy, Debug)]
enum Cut {
    /// The server never sees the commit.
    Before,
    /// The server commits, and its answer never arrives.
    After,
}

/// A proxy that cuts connections at their next commits, as it is told.
async fn cutting_proxy(server: u16, cuts: Arc<Mutex<Vec<Cut>>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(forward(client, server, Arc::clone(&cuts)));
        }
    });
    port
}

async fn forward(mut client: TcpStream, server: u16, cuts: Arc<Mutex<Vec<Cut>>>) -> std::io::Result<()> {
    let mut server = TcpStream::connect(("127.0.0.1", server)).await?;
    let (mut up, mut down) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            read = client.read(&mut up) => {
                let sent = &up[..read?];
                let commits = sent.windows(6).any(|window| window == b"COMMIT");
                match if commits { cuts.lock().unwrap().pop() } else { None } {
                    _ if sent.is_empty() => return Ok(()),
                    None => server.write_all(sent).await?,
                    Some(Cut::Before) => return Ok(()),
                    Some(Cut::After) => {
                        server.write_all(sent).await?;
                        server.shutdown().await?;
                        // The server closes when it has done what was asked.
                        server.read_to_end(&mut Vec::new()).await?;
                        return Ok(());
                    }
                }
            }
            read = server.read(&mut down) => {
                let answered = &down[..read?];
                if answered.is_empty() {
                    return Ok(());
                }
                client.write_all(answered).await?;
            }
        }
    }
}

#[tokio::test]
async fn lost_answers_to_a_commit_neither_lose_nor_double_a_message() {
    let server = MysqlServer::shared();
    let database = server.database().await;
    let cuts = Arc::new(Mutex::new(Vec::new()));
    let port = cutting_proxy(server.port(), Arc::clone(&cuts)).await;
    let store = open(&mysql::url_at(port, &database)).await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let mut expected = Vec::new();
    for (round, plan) in
        [vec![Cut::After], vec![Cut::Before], vec![Cut::After, Cut::Before, Cut::Before], vec![]]
            .iter()
            .enumerate()
    {
        *cuts.lock().unwrap() = plan.clone();
        // With a name of the client's, and without.
        let new = [message(1, "nameless"), named(message(1, "named"), &round.to_string())];
        let answers = new.map(|message| {
            let told = Arc::clone(&told);
            let (tell, answer) = tokio::sync::oneshot::channel();
            let then = move |appended: Result<Appended, StoreError>| {
                let appended = appended.unwrap();
                told.lock().unwrap().push(((*appended.message).clone(), appended.previous_at));
                tell.send(appended).unwrap();
            };
            store.append_then(message, Box::new(then));
            answer
        });
        for answer in answers {
            let appended = answer.await.unwrap();
            assert!(!appended.duplicate, "round {round}");
            expected.push((*appended.message).clone());
        }
        assert_eq!(cuts.lock().unwrap().len(), 0, "round {round}: as many commits as planned");
    }
    assert_eq!(stored(&store, 1).await, expected);
    let told = told.lock().unwrap();
    assert_eq!(told.iter().map(|(message, _)| message.clone()).collect::<Vec<_>>(), expected);
    let before = std::iter::once(None).chain(expected.iter().map(|message| Some(message.created_at)));
    assert_eq!(
        told.iter().map(|told| told.1).collect::<Vec<_>>(),
        before.take(told.len()).collect::<Vec<_>>()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_conversation_holds_up_no_other_one() {
    let url = database().await;
    let store = open(&url).await;
    for group in 1..=2 {
        store.append(message(group, "before")).await.unwrap();
    }
    let mut stuck = other_program(&url).await;
    let lock =
        "BEGIN; SELECT * FROM conversations WHERE kind = 2 AND first_id = 1 AND second_id = 0 FOR UPDATE";
    stuck.query_drop(lock).await.unwrap();
    let locked: Vec<_> = (0..5).map(|n| store.append(message(1, &n.to_string()))).collect();
    for n in 0..5 {
        // Would fail, after all its patience, if it waited for the other conversation.
        store.append(message(2, &n.to_string())).await.unwrap();
    }
    assert_eq!(stored(&store, 1).await.len(), 1);
    stuck.query_drop("COMMIT").await.unwrap();
    for (n, answer) in locked.into_iter().enumerate() {
        assert_eq!(answer.await.unwrap().message.content, n.to_string());
    }
    assert_eq!(stored(&store, 1).await.len(), 6);
    assert_eq!(store.stats().failed, 0);
}

#[tokio::test]
async fn a_node_that_stops_in_a_transaction_loses_its_locks() {
    let url = database().await;
    let store = open(&url).await;
    store.append(message(1, "before")).await.unwrap();
    let mut stuck = other_program(&url).await;
    // As sessions of a store do, but sooner. It does not say anything any more.
    stuck
        .query_drop("SET SESSION wait_timeout = 1; BEGIN; SELECT * FROM conversations FOR UPDATE")
        .await
        .unwrap();
    assert_eq!(store.append(message(1, "after")).await.unwrap().message.seq, 2);
    drop(stuck);
    // A transaction of the store would lose its locks as well, and waits for those of others but a moment.
    let limits = store
        .writing(|tx| {
            Box::pin(async { tx.query("SELECT @@wait_timeout, @@innodb_lock_wait_timeout", &[]).await })
        })
        .await
        .unwrap();
    assert!(limits[0].get::<u64>(0).unwrap() <= 10 && limits[0].get::<u64>(1).unwrap() <= 2, "{limits:?}");
}

#[tokio::test]
async fn a_message_that_the_database_refuses_fails_alone() {
    let url = database().await;
    let store = open(&url).await;
    let mut other = other_program(&url).await;
    other
        .query_drop(
            "CREATE TRIGGER refuse BEFORE INSERT ON messages FOR EACH ROW \
             IF new.content = 'bad' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'refused'; END IF",
        )
        .await
        .unwrap();
    let answers: Vec<_> =
        ["a", "bad", "b", "bad", "bad", "c"].map(|text| store.append(message(1, text))).into();
    let mut results = Vec::new();
    for answer in answers {
        results.push(answer.await.map(|appended| appended.message.seq).map_err(|error| error.code()));
    }
    let refused = Err("invalid_message");
    assert_eq!(results, [Ok(1), refused, Ok(2), refused, refused, Ok(3)]);
    assert_eq!(stored(&store, 1).await.len(), 3);
}

#[tokio::test]
async fn a_failing_statement_fails_its_batch_and_nothing_else() {
    let url = database().await;
    let store = open(&url).await;
    store.append(message(1, "1")).await.unwrap();
    let mut other = other_program(&url).await;
    other.query_drop("RENAME TABLE messages TO elsewhere").await.unwrap();
    let error = store.append(message(1, "lost")).await.unwrap_err();
    assert_eq!(error.code(), "store_unavailable", "{error}");
    other.query_drop("RENAME TABLE elsewhere TO messages").await.unwrap();
    eventually("the store goes on", || async { store.append(message(1, "2")).await.is_ok() }).await;
    assert_eq!(stored(&store, 1).await.len(), 2);
}

#[tokio::test]
async fn batches_keep_to_what_the_server_takes() {
    let server = MysqlServer::start();
    let url = server.url(&server.database().await);
    other_program(&url).await.query_drop("SET GLOBAL max_allowed_packet = 1048576").await.unwrap();
    let store = open(&url).await;
    // Quotes are twice as long as literals.
    let long = "'".repeat(100_000);
    let answers: Vec<_> = (0..40).map(|_| store.append(message(1, &long))).collect();
    let too_long = store.append(message(1, &"x".repeat(1 << 20)));
    let after = store.append(message(1, "after"));
    for answer in answers {
        assert_eq!(answer.await.unwrap().message.content, long);
    }
    assert_eq!(too_long.await.unwrap_err().code(), "invalid_message");
    assert_eq!(after.await.unwrap().message.seq, 41);
    assert_eq!(store.append(message(1, &"x".repeat(1 << 24))).await.unwrap_err().code(), "invalid_message");
    assert_eq!(store.reconnects(), 0);
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_loses_nothing() {
    let url = database().await;
    let small = MysqlOptions { queue_limit: 10, max_batch: 5, ..options(url.clone()) };
    let store = MysqlStore::open(small).await.unwrap();
    store.append(message(1, "before")).await.unwrap();
    let mut stuck = other_program(&url).await;
    stuck.query_drop("BEGIN; SELECT * FROM conversations FOR UPDATE").await.unwrap();
    let answers: Vec<_> = (0..100).map(|n| store.append(message(1, &n.to_string()))).collect();
    stuck.query_drop("COMMIT").await.unwrap();
    let mut accepted = vec!["before".to_owned()];
    for (n, answer) in answers.into_iter().enumerate() {
        match answer.await {
            Ok(_) => accepted.push(n.to_string()),
            Err(error) => assert_eq!((&error, error.code()), (&StoreError::Overloaded, "store_overloaded")),
        }
    }
    assert!(accepted.len() > 10, "accepted {}", accepted.len());
    let contents: Vec<_> = stored(&store, 1).await.into_iter().map(|message| message.content).collect();
    assert_eq!(contents, accepted);
}

#[tokio::test]
async fn work_in_the_way_of_others_is_done_again() {
    let url = database().await;
    let store = open(&url).await;
    let mut other = other_program(&url).await;
    other.query_drop("CREATE TABLE counts (n INT); INSERT INTO counts VALUES (0)").await.unwrap();
    other.query_drop("BEGIN; UPDATE counts SET n = n + 1").await.unwrap();
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let done = store.writing(move |tx| {
        counted.fetch_add(1, SeqCst);
        Box::pin(async move { tx.execute("UPDATE counts SET n = n + 10", &[]).await })
    });
    eventually("the work has met the lock", || async { runs.load(SeqCst) >= 2 }).await;
    other.query_drop("COMMIT").await.unwrap();
    assert_eq!(done.await.unwrap(), 1);
    let n: Option<u32> = other.query_first("SELECT n FROM counts").await.unwrap();
    assert_eq!(n, Some(11), "done once");
}

#[tokio::test]
async fn repetitions_are_known_after_reopening() {
    let url = database().await;
    let keep = named(message(1, "keep"), "c");
    let store = open(&url).await;
    let first = store.append(keep.clone()).await.unwrap().message;
    store.close().await.unwrap();
    let store = open(&url).await;
    let again = store.append(keep).await.unwrap();
    assert!(again.duplicate);
    assert_eq!(again.message, first);
    // Names are compared to the byte, also at their ends.
    for other in ["C", "c ", "ç", ""] {
        assert!(!store.append(named(message(1, "x"), other)).await.unwrap().duplicate, "{other:?}");
    }
    assert_eq!(stored(&store, 1).await.len(), 5);
}
