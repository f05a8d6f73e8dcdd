//! How many messages a second the store over MySQL commits on this disk, and how many rows a second the server takes by
//! itself, from one connection in multi-row inserts. Prints figures, judges nothing:
//! `cargo test --release --test mysql_rate -- --ignored --nocapture`

#[path = "support/mysql.rs"]
mod mysql;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mysql::MysqlServer;
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;
use tokio_socketio::store::{MysqlOptions, MysqlStore, NewMessage, Store as _, Target};

const MEASURE: Duration = Duration::from_secs(4);
const BATCH: u64 = 512;
const TEXT: &str = "a message of the usual length, no novel";

#[test]
#[ignore = "a measurement"]
fn rate() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        println!("the server by itself: {:.0} rows/s", server_alone().await);
        println!("stores  appenders  messages/s  messages/commit  median ms  99% ms");
        for (stores, appenders) in [(1, 1u64), (1, 16), (1, 256), (1, 2048), (3, 3000)] {
            measure(stores, appenders).await;
        }
    });
}

/// An empty database with the store's tables.
async fn database() -> String {
    let server = MysqlServer::shared();
    let url = server.url(&server.database().await);
    open(&url).await.close().await.unwrap();
    url
}

async fn open(url: &str) -> MysqlStore {
    MysqlStore::open(MysqlOptions { url: url.to_owned(), ..MysqlOptions::default() }).await.unwrap()
}

/// The same rows as the store's, in commits of full batches, with nothing to be looked up or answered.
async fn server_alone() -> f64 {
    let mut connection = Conn::from_url(database().await).await.unwrap();
    let mut spent = Duration::ZERO;
    let mut rows = 0;
    while spent < MEASURE {
        let mut insert =
            "INSERT INTO messages (message_id, conversation_id, seq, from_user_id, message_type, content, \
                          client_message_id, created_at_ms) VALUES "
                .to_owned();
        for n in rows..rows + BATCH {
            let comma = if n == rows { "" } else { ", " };
            let (user, round) = (n % 2048, n / 2048);
            let id = uuid::Uuid::now_v7().simple();
            write!(
                insert,
                "{comma}(x'{id}', {}, {}, {user}, 1, '{TEXT}', '{user}-{round}', 1)",
                user * 3 + round % 3,
                round / 3
            )
            .unwrap();
        }
        let start = Instant::now();
        connection.query_drop(insert).await.unwrap();
        spent += start.elapsed();
        rows += BATCH;
    }
    rows as f64 / spent.as_secs_f64()
}

async fn measure(stores: usize, appenders: u64) {
    let url = database().await;
    let mut opened = Vec::new();
    for _ in 0..stores {
        opened.push(Arc::new(open(&url).await));
    }
    let start = Instant::now();
    let tasks: Vec<_> = (1..=appenders)
        .map(|user| {
            let store = Arc::clone(&opened[user as usize % stores]);
            tokio::spawn(async move {
                let mut latencies = Vec::new();
                for n in 0u64.. {
                    let sent = Instant::now();
                    if sent - start > MEASURE {
                        break;
                    }
                    // Each appender talks to three others in turn; the first messages found their conversations.
                    let message = NewMessage {
                        client_message_id: Some(format!("{user}-{n}")),
                        ..NewMessage::text(user, Target::User(10_000 + n % 3), TEXT)
                    };
                    store.append(message).await.unwrap();
                    latencies.push(sent.elapsed());
                }
                latencies
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await.unwrap());
    }
    let elapsed = start.elapsed().as_secs_f64();
    latencies.sort_unstable();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize].as_secs_f64() * 1000.0;
    let stats: Vec<_> = opened.iter().map(|store| store.stats()).collect();
    let (appended, commits) = stats.iter().fold((0, 0), |sum, s| (sum.0 + s.appended, sum.1 + s.commits));
    println!(
        "{stores:>6}  {appenders:>9}  {:>10.0}  {:>15.1}  {:>9.2}  {:>6.2}",
        appended as f64 / elapsed,
        appended as f64 / commits as f64,
        at(0.5),
        at(0.99)
    );
    for store in opened {
        store.close().await.unwrap();
    }
}
