//! What is particular to the embedded store: its file, its lock, its batches, and what happens when SQLite refuses.
//!
//! A second connection to the same file plays the other program, the damaged disk, the failing commit.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;
use tokio_socketio::store::{
    Conversation, Message, NewMessage, SqliteOptions, SqliteStore, Store, StoreError, StoreExt as _, Target,
};

struct Directory(TempDir);

impl Directory {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("store.db")
    }

    fn open(&self) -> SqliteStore {
        self.open_with(SqliteOptions::default())
    }

    fn open_with(&self, options: SqliteOptions) -> SqliteStore {
        SqliteStore::open(&self.path(), options).unwrap()
    }

    /// Another program with the same file.
    fn other_program(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }
}

/// A message of user 1 to group 1.
fn message(text: &str) -> NewMessage {
    NewMessage::text(1, Target::Group(1), text)
}

async fn stored(store: &SqliteStore) -> Vec<Message> {
    let page = store.sync(Conversation::Group(1), 0, 1000).await.unwrap();
    assert!(!page.has_more, "the tests store fewer");
    let seqs: Vec<u64> = page.messages.iter().map(|message| message.seq).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "seq has a gap or a double");
    page.messages
}

/// Waits with generous patience for a store that can be busy for as long as the test wants.
fn patient() -> SqliteOptions {
    SqliteOptions { busy_timeout: Duration::from_secs(600), ..SqliteOptions::default() }
}

#[tokio::test]
async fn reopening_keeps_everything() {
    let directory = Directory::new();
    let keep = NewMessage { client_message_id: Some("c".into()), ..message("keep") };
    let store = directory.open();
    let first = store.append(keep.clone()).await.unwrap().message;
    let before = stored(&store).await;
    store.close().await.unwrap();

    let store = directory.open();
    assert_eq!(stored(&store).await, before);
    let again = store.append(keep).await.unwrap();
    assert!(again.duplicate, "idempotence survives a restart");
    assert_eq!(again.message, first);
    assert_eq!(store.append(message("next")).await.unwrap().message.seq, 2);
}

#[tokio::test]
async fn messages_that_wait_share_a_commit() {
    const COUNT: u64 = 100;
    let directory = Directory::new();
    let store = directory.open_with(patient());
    let other = directory.other_program();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // The writer can take some of them and must wait; the rest come after.
    let answers: Vec<_> = (0..COUNT).map(|n| store.append(message(&n.to_string()))).collect();
    assert_eq!(store.stats().commits, 0, "nothing is committed while another program writes");
    other.execute_batch("COMMIT").unwrap();
    for answer in answers {
        answer.await.unwrap();
    }
    let stats = store.stats();
    assert_eq!((stats.appended, stats.failed), (COUNT, 0));
    assert!(stats.commits <= 2, "{COUNT} messages in one or two commits, not {}", stats.commits);
    assert_eq!(stored(&store).await.len() as u64, COUNT);
}

#[tokio::test]
async fn a_batch_has_a_limit() {
    let directory = Directory::new();
    let store = directory.open_with(SqliteOptions { max_batch: 10, ..patient() });
    let other = directory.other_program();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let answers: Vec<_> = (0..100).map(|n| store.append(message(&n.to_string()))).collect();
    other.execute_batch("COMMIT").unwrap();
    for answer in answers {
        answer.await.unwrap();
    }
    assert!((10..=11).contains(&store.stats().commits), "{:?}", store.stats());
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_loses_nothing() {
    let directory = Directory::new();
    let store = directory.open_with(SqliteOptions { queue_limit: 10, max_batch: 5, ..patient() });
    let other = directory.other_program();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // At most a batch that the writer has taken, and the queue, are accepted.
    let answers: Vec<_> = (0..100).map(|n| store.append(message(&n.to_string()))).collect();
    other.execute_batch("COMMIT").unwrap();
    let mut accepted = Vec::new();
    for (n, answer) in answers.into_iter().enumerate() {
        match answer.await {
            Ok(_) => accepted.push(n.to_string()),
            Err(error) => assert_eq!((&error, error.code()), (&StoreError::Overloaded, "store_overloaded")),
        }
    }
    assert!((10..=15).contains(&accepted.len()), "accepted {}", accepted.len());
    let contents: Vec<_> = stored(&store).await.into_iter().map(|message| message.content).collect();
    assert_eq!(contents, accepted);
}

#[tokio::test]
async fn reading_does_not_wait_for_a_commit() {
    let directory = Directory::new();
    let store = directory.open_with(patient());
    store.append(message("before")).await.unwrap();
    let other = directory.other_program();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let waiting = store.append(message("waits"));
    // Would never return if it waited: the other program goes on only afterwards.
    assert_eq!(stored(&store).await.len(), 1);
    other.execute_batch("COMMIT").unwrap();
    waiting.await.unwrap();
    assert_eq!(stored(&store).await.len(), 2);
}

#[tokio::test]
async fn a_database_that_stays_locked_is_unavailable_and_recovers() {
    let directory = Directory::new();
    let store = directory.open_with(SqliteOptions { busy_timeout: Duration::from_millis(1), ..patient() });
    store.append(message("1")).await.unwrap();
    let other = directory.other_program();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = store.append(message("lost")).await.unwrap_err();
    assert_eq!(error.code(), "store_unavailable");
    assert!(error.to_string().contains("locked"), "{error}");
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(store.append(message("2")).await.unwrap().message.seq, 2);
    assert_eq!(stored(&store).await.len(), 2);
}

#[tokio::test]
async fn a_message_that_the_database_refuses_fails_alone() {
    let directory = Directory::new();
    let store = directory.open_with(patient());
    let other = directory.other_program();
    other
        .execute_batch(
            "CREATE TRIGGER refuse AFTER INSERT ON messages WHEN new.content = 'bad'
             BEGIN SELECT RAISE(ABORT, 'refused'); END",
        )
        .unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let answers: Vec<_> = ["a", "bad", "b", "bad", "bad", "c"].map(|text| store.append(message(text))).into();
    other.execute_batch("COMMIT").unwrap();
    let mut results = Vec::new();
    for answer in answers {
        results.push(answer.await.map(|appended| appended.message.seq).map_err(|error| error.code()));
    }
    let refused = Err("invalid_message");
    assert_eq!(results, [Ok(1), refused, Ok(2), refused, refused, Ok(3)]);
    assert!(store.stats().commits <= 2, "they shared a transaction: {:?}", store.stats());
    assert_eq!(stored(&store).await.len(), 3);
}

#[tokio::test]
async fn a_failing_commit_fails_its_batch_and_nothing_else() {
    let directory = Directory::new();
    let store = directory.open_with(patient());
    store.append(message("1")).await.unwrap();
    let other = directory.other_program();
    // A deferred foreign key is checked by COMMIT, which then fails with everything else done.
    other
        .execute_batch(
            "CREATE TABLE nobody (id INTEGER PRIMARY KEY);
             CREATE TABLE broken (id INTEGER REFERENCES nobody (id) DEFERRABLE INITIALLY DEFERRED);
             CREATE TRIGGER break AFTER INSERT ON messages WHEN new.content = 'poison'
             BEGIN INSERT INTO broken VALUES (1); END",
        )
        .unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let new_group = NewMessage::text(1, Target::Group(2), "poison");
    let answers: Vec<_> =
        [message("poison"), message("neighbour"), new_group].map(|message| store.append(message)).into();
    other.execute_batch("COMMIT").unwrap();
    let mut results = Vec::new();
    for answer in answers {
        results.push(
            answer.await.map(|appended| appended.message.content.clone()).map_err(|error| error.code()),
        );
    }
    // The writer may have taken the first one alone; the poisoned ones fail in any case.
    let failed = Err("store_unavailable");
    assert_eq!((&results[0], &results[2]), (&failed, &failed), "{results:?}");
    assert_eq!(results[1], failed, "shares its transaction with the one or the other");
    assert_eq!(store.stats().failed, 3);

    // What was counted for the failed batch is forgotten, the new conversation too.
    assert_eq!(store.append(message("2")).await.unwrap().message.seq, 2);
    assert_eq!(store.append(NewMessage::text(1, Target::Group(2), "1")).await.unwrap().message.seq, 1);
    assert_eq!(stored(&store).await.len(), 2);
}

#[tokio::test]
async fn damaged_rows_are_named_corrupt() {
    let directory = Directory::new();
    let store = directory.open();
    store.append(message("x")).await.unwrap();
    directory.other_program().execute("UPDATE messages SET message_type = 77", []).unwrap();
    let error = store.sync(Conversation::Group(1), 0, 10).await.unwrap_err();
    assert_eq!(error.code(), "store_corrupt", "{error}");
}

#[tokio::test]
async fn a_second_store_in_the_directory_is_refused() {
    let directory = Directory::new();
    let store = directory.open();
    let error =
        SqliteStore::open(&directory.0.path().join("other.db"), SqliteOptions::default()).unwrap_err();
    let lock = directory.0.path().join("tokio-socketio.lock");
    assert_eq!(
        error,
        StoreError::InUse { lock_file: lock, holder: format!("process {}", std::process::id()) }
    );
    let text = error.to_string();
    assert!(text.contains("tokio-socketio.lock") && text.contains("--data"), "{text}");
    store.close().await.unwrap();
    directory.open();
}

#[tokio::test]
async fn a_dropped_store_lets_go_of_the_directory() {
    let directory = Directory::new();
    let store = directory.open();
    let last = store.append(message("queued"));
    drop(store);
    last.await.unwrap();
    let store = loop {
        match SqliteStore::open(&directory.path(), SqliteOptions::default()) {
            Ok(store) => break store,
            Err(StoreError::InUse { .. }) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(stored(&store).await.len(), 1);
}

#[tokio::test]
async fn a_newer_database_is_refused_and_left_alone() {
    let directory = Directory::new();
    let store = directory.open();
    store.append(message("x")).await.unwrap();
    store.close().await.unwrap();
    directory.other_program().pragma_update(None, "user_version", 1000).unwrap();
    let before = std::fs::read(directory.path()).unwrap();
    let error = SqliteStore::open(&directory.path(), SqliteOptions::default()).unwrap_err();
    assert!(matches!(&error, StoreError::Newer { found: 1000, .. }), "{error:?}");
    assert!(error.to_string().contains("newer"), "{error}");
    assert_eq!(std::fs::read(directory.path()).unwrap(), before);
}

#[tokio::test]
async fn other_files_are_refused_and_left_alone() {
    let refused = |path: &Path| {
        let before = std::fs::read(path).unwrap();
        let error = SqliteStore::open(path, SqliteOptions::default()).unwrap_err();
        assert_eq!(error.code(), "store_corrupt", "{error}");
        assert!(error.to_string().contains("store.db"), "{error}");
        assert_eq!(std::fs::read(path).unwrap(), before);
    };
    let directory = Directory::new();
    std::fs::write(directory.path(), "Dear diary, ".repeat(1000)).unwrap();
    refused(&directory.path());

    let directory = Directory::new();
    directory.other_program().execute_batch("CREATE TABLE recipes (name TEXT)").unwrap();
    refused(&directory.path());
}

#[tokio::test]
async fn missing_directories_are_created_for_the_owner_alone() {
    let directory = Directory::new();
    let inner = directory.0.path().join("a").join("b");
    let store = SqliteStore::open(&inner.join("store.db"), SqliteOptions::default()).unwrap();
    store.append(message("x")).await.unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&inner).unwrap().permissions().mode() & 0o777, 0o700);
    }
    let file = inner.join("store.db").join("x.db");
    let error = SqliteStore::open(&file, SqliteOptions::default()).unwrap_err();
    assert_eq!(error.code(), "store_unavailable", "a file where a directory should be: {error}");
}
