//! What a connect costs Redis: alone, and when many come.

use std::time::Duration;

use anyhow::Result;

use crate::client::Client;
use crate::process::{calls, difference};
use crate::{Options, Work, report};

/// Commands that a connect may cause. Renewals of leases, and what keeps the link alive, are not among them.
const OF_CONNECTS: [&str; 8] =
    ["subscribe", "ssubscribe", "publish", "spublish", "evalsha", "eval", "zadd", "hset"];

pub async fn run(options: &Options) -> Result<()> {
    for (what, count, together) in
        [("one by one", 60, 1), ("50 at a time", 1000, 50), ("200 at a time", 2000, 200)]
    {
        let before = calls(&options.redis).await?;
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
        let of_connects: u64 =
            called.iter().filter(|(name, _)| OF_CONNECTS.contains(&name.as_str())).map(|(_, n)| n).sum();
        let note: Vec<_> = called.iter().map(|(name, n)| format!("{name} {n}")).collect();
        report(
            options,
            Work::RedisConnects,
            &format!("connects of {count} users, {what}"),
            &[("redis_commands_of_each_connect", of_connects as f64 / count as f64)],
            &note.join(", "),
        );
        drop(clients);
        tokio::time::sleep(Duration::from_secs(8)).await;
    }
    Ok(())
}
