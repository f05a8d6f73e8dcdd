//! What was acknowledged survives `kill -9`: a child process appends in a burst and prints each acknowledged message;
//! the parent kills it in the middle, opens the database and looks for every one of them.
//!
//! The child is this very test binary, told by the environment to run [`child`].

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use tokio_socketio::store::{
    Conversation, Message, NewMessage, SqliteOptions, SqliteStore, Store, StoreError, StoreExt as _, Target,
};

const DATABASE: &str = "STORE_KILL_DATABASE";
const ROUND: &str = "STORE_KILL_ROUND";
const WRITERS: u64 = 16;
const GROUPS: u64 = 3;
/// Acknowledgements after which the child is killed, one round each.
const KILL_AFTER: [usize; 6] = [1, 10, 57, 200, 411, 800];

/// Not a test: the process that gets killed. It appends until then.
#[test]
#[ignore = "runs only as the child of the other test"]
fn child() {
    let (Ok(database), Ok(round)) = (std::env::var(DATABASE), std::env::var(ROUND)) else { return };
    let store = Arc::new(SqliteStore::open(Path::new(&database), SqliteOptions::default()).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let writers = tokio::task::LocalSet::new();
    println!();
    for writer in 1..=WRITERS {
        let (store, round) = (Arc::clone(&store), round.clone());
        writers.spawn_local(async move {
            for n in 0.. {
                let appended = store.append(burst_message(&round, writer, n)).await.unwrap();
                let Message { conversation, seq, message_id, client_message_id, .. } = &*appended.message;
                println!("ack {conversation} {seq} {message_id} {}", client_message_id.as_ref().unwrap());
            }
        });
    }
    runtime.block_on(writers);
}

fn burst_message(round: &str, writer: u64, n: u64) -> NewMessage {
    NewMessage {
        client_message_id: Some(format!("{round}/{writer}/{n}")),
        ..NewMessage::text(writer, Target::Group(1 + (writer + n) % GROUPS), "x".repeat(300))
    }
}

#[tokio::test]
async fn every_acknowledged_message_survives_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("store.db");
    let mut acknowledged = Vec::new();
    for (round, kill_after) in KILL_AFTER.into_iter().enumerate() {
        let acks = burst_until_killed(&database, round, kill_after);
        assert!(acks.len() >= kill_after);
        acknowledged.extend(acks);

        let store = SqliteStore::open(&database, SqliteOptions::default()).unwrap();
        let stored = everything(&store).await;
        for (conversation, seq, message_id, client_id) in &acknowledged {
            let message =
                stored.get(client_id).unwrap_or_else(|| panic!("round {round}: {client_id} is lost"));
            let found = (&message.conversation.to_string(), &message.seq.to_string(), &message.message_id);
            assert_eq!(found, (conversation, seq, message_id), "round {round}: {client_id} has changed");
        }
        // A sender that never saw its acknowledgement repeats the message: no double.
        for (client_id, message) in stored.iter().take(20) {
            let new = NewMessage {
                client_message_id: Some(client_id.clone()),
                ..NewMessage::text(message.from_user_id, Target::Group(1), "repeated")
            };
            let again = store.append(new).await.unwrap();
            assert!(again.duplicate);
            assert_eq!(*again.message, *message);
        }
        store.close().await.unwrap();
        let integrity: String = rusqlite::Connection::open(&database)
            .unwrap()
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(integrity, "ok", "round {round}");
    }
}

/// Conversation, seq, message id and client id of each acknowledged message.
fn burst_until_killed(
    database: &Path,
    round: usize,
    kill_after: usize,
) -> Vec<(String, String, String, String)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--ignored", "--nocapture"])
        .env(DATABASE, database)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut acks = Vec::new();
    let mut line = String::new();
    while output.read_line(&mut line).unwrap() > 0 {
        // A line that was cut off by the kill is none.
        if let (Some(ack), true) = (line.strip_prefix("ack "), line.ends_with('\n')) {
            let mut fields = ack.split_whitespace().map(str::to_owned);
            let mut next = || fields.next().expect("four fields");
            acks.push((next(), next(), next(), next()));
        }
        if acks.len() == kill_after {
            child.kill().unwrap(); // SIGKILL
        }
        line.clear();
    }
    let status = child.wait().unwrap();
    assert!(!status.success(), "the child should have been killed in round {round}");
    acks
}

/// All messages by client id. Fails on a gap or a double in seq.
async fn everything(store: &SqliteStore) -> HashMap<String, Message> {
    let mut all = HashMap::new();
    for group in 1..=GROUPS {
        let mut last_seq = 0;
        loop {
            let page: Result<_, StoreError> = store.sync(Conversation::Group(group), last_seq, 1000).await;
            let page = page.unwrap();
            for message in page.messages {
                assert_eq!(message.seq, last_seq + 1, "group {group} has a gap or a double");
                last_seq = message.seq;
                let client_id = message.client_message_id.clone().unwrap();
                assert!(all.insert(client_id, message).is_none(), "a client id is stored twice");
            }
            if !page.has_more {
                break;
            }
        }
    }
    all
}
