//! Markdown from report lines: a row for each kind of work and server, each figure the median of its runs.

use std::{collections::BTreeMap, fmt::Write};

use super::median;
use crate::report::Report;

const BUSY: &str = "| work | server | server CPU µs/op | spread | per second | spread | p50 µs | p99 µs | server cores \
    | generator cores | runs | |\n|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|\n";
const IDLE: &str = "| work | server | RSS bytes/connection | of it anonymous | RSS MiB in all | idle CPU % \
    | pings in window | runs |\n|---|---|--:|--:|--:|--:|--:|--:|\n";
const FIGURES: &str = "| work | server | figures | runs |\n|---|---|---|--:|\n";

/// The rows keep the order in which work and servers first appear.
pub fn render(reports: &[Report]) -> String {
    let (idle, busy): (Vec<_>, Vec<_>) = reports.iter().partition(|report| report.idle.is_some());
    // What did no ops has no rate.
    let busy = busy.into_iter().filter(|report| report.ops > 0 || report.figures.is_empty()).collect();
    let figures = reports.iter().filter(|report| !report.figures.is_empty()).collect();
    let mut tables = Vec::new();
    for (head, reports, row) in [
        (BUSY, busy, busy_row as fn(&[&Report]) -> String),
        (IDLE, idle, idle_row),
        (FIGURES, figures, figures_row),
    ] {
        let rows: String = rows(&reports).iter().map(|runs| row(runs)).collect();
        if !rows.is_empty() {
            tables.push(format!("{head}{rows}"));
        }
    }
    tables.join("\n")
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

fn busy_row(runs: &[&Report]) -> String {
    let rate = |run: &Report| Some(run.ops_per_sec);
    let limited = runs.iter().any(|run| run.cpu.generator_limited);
    format!(
        "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
        runs[0].work,
        runs[0].server,
        cell(runs, 2, |run| run.cpu.server_cpu_us_per_op),
        spread(runs, 2, |run| run.cpu.server_cpu_us_per_op),
        cell(runs, 0, rate),
        spread(runs, 0, rate),
        cell(runs, 0, |run| run.latency_us.as_ref().map(|latency| latency.p50)),
        cell(runs, 0, |run| run.latency_us.as_ref().map(|latency| latency.p99)),
        cell(runs, 2, |run| run.cpu.server_cpu_cores),
        cell(runs, 2, |run| Some(run.cpu.client_cpu_cores)),
        runs.len(),
        if limited { "generator-limited" } else { "" },
    )
}

fn idle_row(runs: &[&Report]) -> String {
    format!(
        "| {} | {} | {} | {} | {} | {} | {} | {} |\n",
        runs[0].work,
        runs[0].server,
        cell(runs, 0, |run| run.idle.as_ref().map(|idle| idle.rss_bytes_per_connection)),
        cell(runs, 0, |run| run.idle.as_ref().map(|idle| idle.rss_anon_bytes_per_connection)),
        cell(runs, 1, |run| run.server_rss_kib.map(|kib| kib as f64 / 1024.0)),
        cell(runs, 1, |run| run.idle.as_ref().map(|idle| idle.idle_cpu_percent)),
        cell(runs, 0, |run| run.idle.as_ref().map(|idle| idle.pings as f64)),
        runs.len(),
    )
}

fn figures_row(runs: &[&Report]) -> String {
    let mut figures = String::new();
    for name in runs[0].figures.keys() {
        let value = median(runs.iter().filter_map(|run| run.figures.get(name).copied()).collect());
        let value = (value.unwrap_or(f64::NAN) * 1000.0).round() / 1000.0;
        let _ = write!(
            figures,
            "{}{} {value}",
            if figures.is_empty() { "" } else { ", " },
            name.replace('_', " ")
        );
    }
    if !runs[0].note.is_empty() {
        let _ = write!(figures, " ({})", runs[0].note);
    }
    format!("| {} | {} | {figures} | {} |\n", runs[0].work, runs[0].server, runs.len())
}

fn cell(runs: &[&Report], digits: usize, figure: impl Fn(&Report) -> Option<f64>) -> String {
    let values = runs.iter().filter_map(|run| figure(run)).collect();
    median(values).map_or_else(String::new, |value| format!("{value:.digits$}"))
}

fn spread(runs: &[&Report], digits: usize, figure: impl Fn(&Report) -> Option<f64>) -> String {
    let values = || runs.iter().filter_map(|run| figure(run));
    match (values().reduce(f64::min), values().reduce(f64::max)) {
        (Some(low), Some(high)) if runs.len() > 1 => format!("{low:.digits$}–{high:.digits$}"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{report::Idle, results::tests::run};

    #[test]
    fn runs_gather_by_work_and_server_in_order_of_appearance() {
        let mut idle = run("idle", "ours", 0.0);
        idle.idle = Some(Idle { rss_bytes_per_connection: 1234.0, ..Idle::default() });
        let mut counted = run("jitter", "ours", 0.0);
        counted.figures.insert("times_away".into(), 7.5);
        let runs = [
            run("zz", "ours", 10.0),
            idle,
            run("aa", "ours", 5.0),
            run("zz", "node", 1.0),
            run("zz", "ours", 30.0),
            counted,
        ];
        let text = render(&runs);
        let rows: Vec<_> =
            text.lines().filter(|line| line.contains("ours") || line.contains("node")).collect();
        let starts = [
            "| zz ws | ours |  |  | 20 | 10–30 |",
            "| zz ws | node |  |  | 1 |  |",
            "| aa ws | ours |  |  | 5 |",
            "| idle ws | ours | 1234 |",
            "| jitter ws | ours | times away 7.5 | 1 |",
        ];
        assert_eq!(rows.len(), starts.len(), "{text}");
        for (row, start) in rows.iter().zip(starts) {
            assert!(row.starts_with(start), "{row} does not start with {start}");
        }
    }

    #[test]
    fn a_report_line_reads_back() {
        let mut run = run("echo", "ours", 12.5);
        run.cpu.server_cpu_us_per_op = Some(3.25);
        let line = serde_json::to_string(&run).unwrap();
        let back: Report = serde_json::from_str(&line).unwrap();
        assert_eq!(back.cpu.server_cpu_us_per_op, Some(3.25));
        assert_eq!(serde_json::to_string(&back).unwrap(), line);
    }
}
