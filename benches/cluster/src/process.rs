//! What processes and Redis have done, counted.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};

/// User and system time of processes, in microseconds (proc_pid_stat(5), fields 14 and 15).
pub fn cpu_us(pids: &[u32]) -> Result<f64> {
    const TICKS_PER_SECOND: f64 = 100.0;
    let mut ticks = 0;
    for pid in pids {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let after_name = stat.rsplit_once(") ").context("a stat line")?.1;
        let fields: Vec<_> = after_name.split(' ').collect();
        ticks += fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    }
    Ok(ticks as f64 * 1e6 / TICKS_PER_SECOND)
}

/// Calls of each command since Redis began.
pub async fn calls(redis: &str) -> Result<BTreeMap<String, u64>> {
    let mut connection = redis::Client::open(redis)?.get_multiplexed_async_connection().await?;
    let info: String = redis::cmd("INFO").arg("commandstats").query_async(&mut connection).await?;
    let line = |line: &str| {
        let (name, stats) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        Some((name.to_owned(), stats.split(',').next()?.parse().ok()?))
    };
    Ok(info.lines().filter_map(line).collect())
}

/// What was called in between, without what this program asks itself.
pub fn difference(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let of = |(name, calls): (&String, &u64)| (name.clone(), calls - before.get(name).unwrap_or(&0));
    after.iter().map(of).filter(|(name, calls)| *calls > 0 && name != "info" && !name.contains('|')).collect()
}
