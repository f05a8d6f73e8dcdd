//! Memory and CPU of connections that only keep their heartbeat. Memory per connection is a slope between two
//! numbers of connections, so that what the server needs anyway does not count.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{Setup, after};
use crate::{
    engine::Quiet,
    report::{Idle, Report, Step, Window, round},
    server::Server,
};

pub fn run(setup: Setup, counts: &[usize], settle: Duration, hold: Duration) -> Result<Report> {
    ensure!(counts.is_sorted_by(|a, b| a < b) && counts.first() > Some(&0), "--connections must rise");
    let last = *counts.last().context("--connections is empty")?;
    let mut report = setup.report("idle", last, None, "");
    let concurrency = setup.concurrency;
    let (mut engine, server) = setup.engine()?;
    let mut steps = vec![step(&server, 0)?];
    for &count in counts {
        engine.connect_to(count, concurrency)?;
        engine.run(&mut Quiet, after(settle))?;
        let step = step(&server, count)?;
        eprintln!("{count} connections: VmRSS {} KiB, RssAnon {} KiB", step.rss_kib, step.rss_anon_kib);
        steps.push(step);
    }
    let pings = engine.tally.pings;
    let window = Window::open(&server)?;
    engine.run(&mut Quiet, window.start() + hold)?;
    let pings = engine.tally.pings - pings;
    window.close(&server, pings, &mut report)?;

    let low = if counts.len() > 1 { &steps[1] } else { &steps[0] };
    let high = &steps[steps.len() - 1];
    let slope = |low_kib: u64, high_kib: u64, connections: usize| {
        round((high_kib as f64 - low_kib as f64) * 1024.0 / connections as f64, 0)
    };
    let grown = high.connections - low.connections;
    report.idle = Some(Idle {
        rss_bytes_per_connection: slope(low.rss_kib, high.rss_kib, grown),
        rss_anon_bytes_per_connection: slope(low.rss_anon_kib, high.rss_anon_kib, grown),
        idle_cpu_percent: round(report.cpu.server_cpu_cores.unwrap_or(0.0) * 100.0, 1),
        hold_secs: report.secs,
        pings,
        steps,
    });
    Ok(report)
}

fn step(server: &Server, connections: usize) -> Result<Step> {
    let usage = server.usage()?.context("idle measures a server's memory: give --pid or --spawn")?;
    Ok(Step { connections, rss_kib: usage.rss_kib, rss_anon_kib: usage.rss_anon_kib })
}
