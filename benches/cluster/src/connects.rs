//! What a connect costs Redis: alone, and when many come.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::client::Client;
use crate::process::{calls, difference};
use crate::{Options, Work, report};

/// Commands that a connect may cause.
const OF_CONNECTS: [&str; 8] =
    ["subscribe", "ssubscribe", "publish", "spublish", "evalsha", "eval", "zadd", "hset"];
/// How long it is watched what Redis is told when nobody connects: renewals of leases, and what keeps links alive.
const IDLE: Duration = Duration::from_secs(20);

pub async fn run(options: &Options) -> Result<()> {
    let before = calls(&options.redis).await?;
    tokio::time::sleep(IDLE).await;
    let idle = difference(&before, &calls(&options.redis).await?);
    let idle_per_second = of_connects(&idle) / IDLE.as_secs_f64();
    for (what, figure, count, together) in [
        ("one by one", "redis_commands_of_a_lone_connect", 200, 1),
        ("50 at a time", "redis_commands_of_each_connect", 1000, 50),
        ("200 at a time", "redis_commands_of_each_connect", 2000, 200),
    ] {
        let (before, began) = (calls(&options.redis).await?, Instant::now());
        let mut clients = Vec::new();
        for start in (0..count).step_by(together) {
            let coming = (start..start + together).map(|n| {
                let port = options.ports[n % options.ports.len()];
                Client::connect(port, 2_000_000 + n as u64)
            });
            for client in futures_util::future::join_all(coming).await {
                clients.push(client?);
            }
            if together == 1 {
                tokio::time::sleep(Duration::from_millis(120)).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        let called = difference(&before, &calls(&options.redis).await?);
        let without = idle_per_second * began.elapsed().as_secs_f64();
        let note: Vec<_> = called.iter().map(|(name, n)| format!("{name} {n}")).collect();
        report(
            options,
            Work::RedisConnects,
            &format!("connects of {count} users, {what}"),
            &[(figure, (of_connects(&called) - without) / count as f64)],
            &format!("{}; {without:.0} of them without any connect", note.join(", ")),
        );
        drop(clients);
        tokio::time::sleep(Duration::from_secs(8)).await;
    }
    Ok(())
}

fn of_connects(called: &BTreeMap<String, u64>) -> f64 {
    OF_CONNECTS.iter().filter_map(|name| called.get(*name)).sum::<u64>() as f64
}
