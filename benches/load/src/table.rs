//! Markdown from report lines: a row for each kind of work and server, each figure the median of its runs.

use std::{collections::BTreeMap, fmt::Write, fs, path::PathBuf};

use anyhow::{Context, Result};

use crate::report::Report;

pub fn read(files: &[PathBuf]) -> Result<Vec<Report>> {
    let mut reports = Vec::new();
    for file in files {
        let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
        for line in text.lines().filter(|line| !line.is_empty()) {
            reports.push(serde_json::from_str(line).with_context(|| format!("{}: {line}", file.display()))?);
        }
    }
    Ok(reports)
}

/// The rows keep the order in which work and servers first appear.
pub fn render(reports: &[Report]) -> String {
    let (idle, busy): (Vec<_>, Vec<_>) = reports.iter().partition(|report| report.idle.is_some());
    let mut text = String::new();
    if !busy.is_empty() {
        text += "| work | server | runs | per second | spread | p50 µs | p99 µs | server CPU µs/op \
                 | server cores | generator cores | |\n|---|---|--:|--:|--:|--:|--:|--:|--:|--:|---|\n";
        rows(&busy).iter().for_each(|runs| busy_row(&mut text, runs));
    }
    if !busy.is_empty() && !idle.is_empty() {
        text += "\n";
    }
    if !idle.is_empty() {
        text += "| work | server | runs | RSS bytes/connection | of it anonymous | RSS MiB in all | idle CPU % \
                 | pings in window |\n|---|---|--:|--:|--:|--:|--:|--:|\n";
        rows(&idle).iter().for_each(|runs| idle_row(&mut text, runs));
    }
    text
}

fn rows<'a>(reports: &[&'a Report]) -> Vec<Vec<&'a Report>> {
    let mut order: BTreeMap<(&str, &str), (usize, usize)> = BTreeMap::new();
    let mut first_of_work: BTreeMap<&str, usize> = BTreeMap::new();
    for (at, report) in reports.iter().enumerate() {
        let work = *first_of_work.entry(&report.work).or_insert(at);
        order.entry((&report.work, &report.server)).or_insert((work, at));
    }
    let mut keys: Vec<_> = order.into_iter().collect();
    keys.sort_by_key(|(_, place)| *place);
    keys.iter()
        .map(|((work, server), _)| {
            reports.iter().copied().filter(|run| run.work == *work && run.server == *server).collect()
        })
        .collect()
}

fn busy_row(text: &mut String, runs: &[&Report]) {
    let rates = figures(runs, |run| Some(run.ops_per_sec));
    let (low, high) = (rates.first().copied().unwrap_or(0.0), rates.last().copied().unwrap_or(0.0));
    let limited = runs.iter().any(|run| run.cpu.generator_limited);
    let _ = writeln!(
        text,
        "| {} | {} | {} | {:.0} | {low:.0}–{high:.0} | {} | {} | {} | {} | {} | {} |",
        runs[0].work,
        runs[0].server,
        runs.len(),
        median(&rates).unwrap_or(0.0),
        cell(runs, 0, |run| run.latency_us.as_ref().map(|latency| latency.p50)),
        cell(runs, 0, |run| run.latency_us.as_ref().map(|latency| latency.p99)),
        cell(runs, 2, |run| run.cpu.server_cpu_us_per_op),
        cell(runs, 2, |run| run.cpu.server_cpu_cores),
        cell(runs, 2, |run| Some(run.cpu.client_cpu_cores)),
        if limited { "generator-limited" } else { "" },
    );
}

fn idle_row(text: &mut String, runs: &[&Report]) {
    let _ = writeln!(
        text,
        "| {} | {} | {} | {} | {} | {} | {} | {} |",
        runs[0].work,
        runs[0].server,
        runs.len(),
        cell(runs, 0, |run| run.idle.as_ref().map(|idle| idle.rss_bytes_per_connection)),
        cell(runs, 0, |run| run.idle.as_ref().map(|idle| idle.rss_anon_bytes_per_connection)),
        cell(runs, 1, |run| run.server_rss_kib.map(|kib| kib as f64 / 1024.0)),
        cell(runs, 1, |run| run.idle.as_ref().map(|idle| idle.idle_cpu_percent)),
        cell(runs, 0, |run| run.idle.as_ref().map(|idle| idle.pings as f64)),
    );
}

fn cell(runs: &[&Report], digits: usize, figure: impl Fn(&Report) -> Option<f64>) -> String {
    median(&figures(runs, figure)).map_or_else(String::new, |value| format!("{value:.digits$}"))
}

fn figures(runs: &[&Report], figure: impl Fn(&Report) -> Option<f64>) -> Vec<f64> {
    let mut values: Vec<f64> = runs.iter().filter_map(|run| figure(run)).collect();
    values.sort_by(f64::total_cmp);
    values
}

/// Of sorted values; the mean of the middle two where there is no middle one.
fn median(sorted: &[f64]) -> Option<f64> {
    let upper = *sorted.get(sorted.len() / 2)?;
    Some(if sorted.len() % 2 == 1 { upper } else { (sorted[sorted.len() / 2 - 1] + upper) / 2.0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Idle;

    fn report(work: &str, server: &str, rate: f64) -> Report {
        Report { work: work.into(), server: server.into(), ops_per_sec: rate, ..Report::default() }
    }

    #[test]
    fn median_of_odd_even_and_none() {
        assert_eq!(median(&[1.0, 2.0, 9.0]), Some(2.0));
        assert_eq!(median(&[1.0, 2.0]), Some(1.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn runs_gather_by_work_and_server_in_order_of_appearance() {
        let mut idle = report("idle ws", "ours", 0.0);
        idle.idle = Some(Idle { rss_bytes_per_connection: 1234.0, ..Idle::default() });
        let runs = [
            report("zz echo", "ours", 10.0),
            idle,
            report("aa flood", "ours", 5.0),
            report("zz echo", "node", 1.0),
            report("zz echo", "ours", 30.0),
        ];
        let text = render(&runs);
        let rows: Vec<_> =
            text.lines().filter(|line| line.contains("ours") || line.contains("node")).collect();
        let starts = [
            "| zz echo | ours | 2 | 20 | 10–30 |",
            "| zz echo | node | 1 | 1 | 1–1 |",
            "| aa flood | ours | 1 | 5 |",
            "| idle ws | ours | 1 | 1234 |",
        ];
        assert_eq!(rows.len(), starts.len(), "{text}");
        for (row, start) in rows.iter().zip(starts) {
            assert!(row.starts_with(start), "{row} does not start with {start}");
        }
    }

    #[test]
    fn a_report_line_reads_back() {
        let mut run = report("echo ws", "ours", 12.5);
        run.cpu.server_cpu_us_per_op = Some(3.25);
        let line = serde_json::to_string(&run).unwrap();
        let back: Report = serde_json::from_str(&line).unwrap();
        assert_eq!(back.cpu.server_cpu_us_per_op, Some(3.25));
        assert_eq!(serde_json::to_string(&back).unwrap(), line);
    }
}
