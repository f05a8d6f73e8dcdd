//! Measures a running cluster (`scripts/start-cluster.sh`) against what it stands on, in one run: the way of an event
//! from node to node against a bare Redis PUBLISH, messages that are acked against rows that the database takes by itself.
//! Prints a line of JSON for each work, as `sio-load` does. Every message is counted: a missing one is an error, not a
//! lower figure.

mod client;
mod commits;
mod connects;
mod latency;
mod process;
mod throughput;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use serde_json::json;

/// Where the cluster is, and how much is done.
#[derive(Clone, Debug, Parser)]
#[command(about = "Measures a running cluster against its Redis and its database")]
pub struct Options {
    /// The Redis that the nodes meet at.
    #[arg(long, default_value = "redis://127.0.0.1:6390")]
    redis: String,
    /// The database of the nodes.
    #[arg(long)]
    store: String,
    /// The Socket.IO ports of two nodes.
    #[arg(long, value_delimiter = ',', default_value = "8081,8083")]
    ports: Vec<u16>,
    /// The processes of these nodes.
    #[arg(long, value_delimiter = ',')]
    pids: Vec<u32>,
    /// Messages one after the other, for latency.
    #[arg(long, default_value_t = 3000)]
    messages: usize,
    /// Seconds of each throughput window.
    #[arg(long, default_value_t = 10)]
    secs: u64,
    /// Alternating rounds, whose median counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// When this is run, and of which commit, for the report.
    #[arg(long, default_value = "")]
    run: String,
    /// What is measured; all, unless given.
    #[arg(value_enum)]
    works: Vec<Work>,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Work {
    /// One message after the other, from node to node.
    CrossNode,
    /// The same, of nodes that were started with `node.busy_poll`; only where it is named.
    CrossNodeBusy,
    /// What connects cost Redis.
    RedisConnects,
    /// As many stored messages as go.
    Stored,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let wanted = |work| options.works.is_empty() || options.works.contains(&work);
    if wanted(Work::CrossNode) {
        latency::run(&options, Work::CrossNode).await?;
    }
    if options.works.contains(&Work::CrossNodeBusy) {
        latency::run(&options, Work::CrossNodeBusy).await?;
    }
    if wanted(Work::RedisConnects) {
        connects::run(&options).await?;
    }
    if wanted(Work::Stored) {
        throughput::run(&options).await?;
        commits::run(&options).await?;
    }
    Ok(())
}

/// The value in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The value that 99 of 100 are not above.
pub fn p99(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() * 99 / 100).copied().unwrap_or(f64::NAN)
}

/// A line of the report: the work, and its figures by name, the unit at the name's end.
pub fn report(options: &Options, work: Work, text: &str, figures: &[(&str, f64)], note: &str) {
    let figure = |(name, value): &(&str, f64)| ((*name).to_owned(), json!((value * 1000.0).round() / 1000.0));
    let figures: serde_json::Map<_, _> = figures.iter().map(figure).collect();
    let key = work.to_possible_value().map(|value| value.get_name().to_owned());
    let line = json!({
        "server": "ours", "key": key, "run": options.run, "work": text, "command": "cluster", "transport": "ws",
        "figures": figures, "note": note,
    });
    println!("{line}");
}
