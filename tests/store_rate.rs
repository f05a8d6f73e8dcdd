//! How many messages a second the embedded store commits on this disk. Prints figures, judges nothing:
//! `cargo test --release --test store_rate -- --ignored --nocapture`

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_socketio::store::{NewMessage, SqliteOptions, SqliteStore, Store, Target};

const MEASURE: Duration = Duration::from_secs(3);

#[test]
#[ignore = "a measurement"]
fn rate() {
    // On the disk of the build, not on a tmpfs.
    let root = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    println!("appenders  messages/s  messages/commit  median ms  99% ms");
    for appenders in [1u64, 16, 256, 2048] {
        let directory = tempfile::tempdir_in(root).unwrap();
        let store = SqliteStore::open(&directory.path().join("store.db"), SqliteOptions::default()).unwrap();
        runtime.block_on(measure(Arc::new(store), appenders));
    }
}

async fn measure(store: Arc<SqliteStore>, appenders: u64) {
    let start = Instant::now();
    let tasks: Vec<_> = (1..=appenders)
        .map(|user| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let mut latencies = Vec::new();
                for n in 0u64.. {
                    let sent = Instant::now();
                    if sent - start > MEASURE {
                        break;
                    }
                    // Each appender talks to 50 others in turn.
                    let message = NewMessage {
                        client_message_id: Some(format!("{user}-{n}")),
                        ..NewMessage::text(
                            user,
                            Target::User(10_000 + n % 50),
                            "a message of the usual length, no novel",
                        )
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
    let stats = store.stats();
    assert_eq!(stats.appended, latencies.len() as u64);
    println!(
        "{appenders:>9}  {:>10.0}  {:>15.1}  {:>9.2}  {:>6.2}",
        stats.appended as f64 / elapsed,
        stats.appended as f64 / stats.commits as f64,
        at(0.5),
        at(0.99)
    );
    store.close().await.unwrap();
}
