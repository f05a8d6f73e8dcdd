//! Measures a running cluster (`scripts/start-cluster.sh`) against what it stands on, in one run: the way of an event
//! from node to node against a bare Redis PUBLISH, messages that are acked against rows that the database takes by itself.
//! Prints Markdown. Every message is counted: a missing one is an error, not a lower figure.

mod client;
mod commits;
mod connects;
mod latency;
mod process;
mod throughput;

use anyhow::Result;
use clap::Parser;

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
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    println!("| work | figure | |\n|---|--:|---|");
    latency::run(&options).await?;
    connects::run(&options).await?;
    throughput::run(&options).await?;
    commits::run(&options).await
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

/// A line of the table.
pub fn row(work: &str, figure: String, note: &str) {
    println!("| {work} | {figure} | {note} |");
}
