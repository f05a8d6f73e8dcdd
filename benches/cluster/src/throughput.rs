//! Messages from users on one node to users on another, as fast as they are acked; and events that are not stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;

use crate::client::Client;
use crate::process::cpu_us;
use crate::{Options, Work, median, report};

/// Pairs of users, and messages that each sender has under way.
const PAIRS: u64 = 100;
const IN_FLIGHT: u64 = 16;
/// How what is counted begins.
const PUSH: &str = r#"42["private_message","#;
const SUCCESS: &str = r#"{"success":true,"#;

pub async fn run(options: &Options) -> Result<()> {
    let (mut rates, mut cpu) = (Vec::new(), Vec::new());
    for round in 0..options.rounds {
        let done = window(options, 3_000_000 + round as u64 * 1000).await?;
        rates.push(done.rate);
        cpu.push(done.cpu_us);
    }
    report(
        options,
        Work::Stored,
        &format!("`send_message` from node to node, {PAIRS} pairs, {IN_FLIGHT} in flight"),
        &[("messages_per_s", median(rates)), ("cpu_of_both_nodes_us_per_message", median(cpu))],
        "acked, stored and pushed, all counted",
    );
    Ok(())
}

struct Done {
    rate: f64,
    cpu_us: f64,
}

async fn window(options: &Options, first_user: u64) -> Result<Done> {
    let (acked, pushed, stop) =
        (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let (mut senders, mut receivers) = (Vec::new(), Vec::new());
    for pair in 0..PAIRS {
        let (from, to) = (first_user + 2 * pair, first_user + 2 * pair + 1);
        receivers.push((Client::connect(options.ports[1], to).await?, pushed.clone()));
        senders.push((Client::connect(options.ports[0], from).await?, to, acked.clone(), stop.clone()));
    }
    let receiving: Vec<_> = receivers
        .into_iter()
        .map(|(mut client, pushed)| {
            tokio::spawn(async move {
                while let Ok(packets) = client.packets().await {
                    let pushes = packets.iter().filter(|packet| packet.starts_with(PUSH)).count();
                    pushed.fetch_add(pushes as u64, Relaxed);
                }
            })
        })
        .collect();
    let sending: Vec<_> = senders
        .into_iter()
        .map(|(client, to, acked, stop)| tokio::spawn(send(client, to, acked, stop)))
        .collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (start, before, cpu_before) = (Instant::now(), acked.load(Relaxed), cpu_us(&options.pids)?);
    tokio::time::sleep(Duration::from_secs(options.secs)).await;
    let (count, secs) = (acked.load(Relaxed) - before, start.elapsed().as_secs_f64());
    let cpu = cpu_us(&options.pids)? - cpu_before;
    stop.store(true, Relaxed);
    for sender in sending {
        sender.await??;
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    while pushed.load(Relaxed) < acked.load(Relaxed) {
        ensure!(Instant::now() < deadline, "{} of {} were pushed", pushed.load(Relaxed), acked.load(Relaxed));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    receiving.iter().for_each(tokio::task::JoinHandle::abort);
    Ok(Done { rate: count as f64 / secs, cpu_us: cpu / count as f64 })
}

/// Only counts and looks at the beginnings: what the generator does with a message, the nodes have no time for.
async fn send(mut client: Client, to: u64, acked: Arc<AtomicU64>, stop: Arc<AtomicBool>) -> Result<()> {
    let payload = json!({ "toUserId": to, "messageType": 1, "content": "x".repeat(64) });
    let message = |id: u64| format!("42{id}[\"send_message\",{payload}]");
    client.send_all((0..IN_FLIGHT).map(message)).await?;
    let mut due = IN_FLIGHT;
    while due > 0 {
        let mut ids = Vec::new();
        for packet in client.packets().await? {
            let Some((id, answer)) = packet.strip_prefix("43").and_then(|ack| ack.split_once('[')) else {
                continue;
            };
            ensure!(answer.starts_with(SUCCESS), "refused: {answer}");
            ids.push(id.parse()?);
        }
        acked.fetch_add(ids.len() as u64, Relaxed);
        if stop.load(Relaxed) {
            due -= ids.len() as u64;
        } else {
            client.send_all(ids.into_iter().map(message)).await?;
        }
    }
    Ok(())
}
