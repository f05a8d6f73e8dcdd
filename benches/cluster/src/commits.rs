//! What the database takes by itself: the same rows, in transactions of the same size, with one connection.

use std::time::{Duration, Instant};

use anyhow::Result;
use mysql_async::prelude::Queryable as _;

use crate::{Options, Work, median, report};

/// Rows of one transaction: what the store commits together at most.
const ROWS: usize = 512;

pub async fn run(options: &Options) -> Result<()> {
    let mut connection = mysql_async::Conn::from_url(&options.store).await?;
    connection.query_drop("DROP TABLE IF EXISTS bench_messages").await?;
    connection.query_drop("CREATE TABLE bench_messages LIKE messages").await?;
    let (mut rates, mut number) = (Vec::new(), 0_u64);
    for _ in 0..options.rounds {
        let (start, before) = (Instant::now(), number);
        while start.elapsed() < Duration::from_secs(options.secs) {
            let rows: Vec<_> = (0..ROWS)
                .map(|_| {
                    number += 1;
                    format!(
                        "(UNHEX('{:032x}'),{},{},{},1,'{}',{})",
                        number,
                        number % 100,
                        number / 100 + 1,
                        number % 200,
                        "x".repeat(64),
                        number
                    )
                })
                .collect();
            let insert = format!(
                "INSERT INTO bench_messages (message_id, conversation_id, seq, from_user_id, message_type, \
                 content, created_at_ms) VALUES {}",
                rows.join(",")
            );
            connection.query_drop(insert).await?;
        }
        rates.push((number - before) as f64 / start.elapsed().as_secs_f64());
    }
    connection.query_drop("DROP TABLE bench_messages").await?;
    report(
        options,
        Work::Stored,
        &format!("rows that the database takes by itself, {ROWS} in a statement, one connection"),
        &[("rows_per_s", median(rates))],
        "the same table and rows",
    );
    Ok(())
}
