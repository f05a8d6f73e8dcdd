//! What runs have printed, kept in one file of lines, and what is made of it: tables, goals, plots, the page with all.

mod goals;
mod page;
mod plot;
mod table;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::report::Report;

/// The server that all this is about, in reports.
const OURS: &str = "ours";

/// All runs. The figures of one work and server are those of the runs with its key.
#[derive(Default)]
pub struct Runs(Vec<Report>);

impl Runs {
    pub fn read(files: &[PathBuf]) -> Result<Self> {
        let mut runs = Vec::new();
        for file in files {
            let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
            for line in text.lines().filter(|line| !line.is_empty()) {
                runs.push(serde_json::from_str(line).with_context(|| format!("{}: {line}", file.display()))?);
            }
        }
        Ok(Self(runs))
    }

    /// Takes in newer runs: of a work and a server that they are of, the older ones go.
    fn renew(self, newer: Self) -> Self {
        let is_of = |run: &Report, other: &Report| (&run.key, &run.server) == (&other.key, &other.server);
        let kept = self.0.into_iter().filter(|run| !newer.0.iter().any(|new| is_of(run, new)));
        let mut runs: Vec<Report> = kept.collect();
        runs.extend(newer.0);
        // In the order of the works, whenever they were run.
        runs.sort_by_key(|run| WORKS.iter().position(|key| *key == run.key));
        Self(runs)
    }

    fn of<'a>(&'a self, key: &'a str, server: &'a str) -> impl Iterator<Item = &'a Report> {
        self.0.iter().filter(move |run| run.key == key && run.server == server)
    }

    /// The median of a figure over the runs of a work and a server.
    fn median(&self, key: &str, server: &str, figure: impl Fn(&Report) -> Option<f64>) -> Option<f64> {
        median(self.of(key, server).filter_map(figure).collect())
    }

    fn is_generator_limited(&self, key: &str, server: &str) -> bool {
        self.of(key, server).any(|run| run.cpu.generator_limited)
    }
}

/// Works, in the order of the page.
const WORKS: [&str; 20] = [
    "idle",
    "idle-polling",
    "connect",
    "connect-polling",
    "connect-upgrade",
    "echo",
    "echo-polling",
    "flood",
    "broadcast",
    "broadcast-10k",
    "rooms",
    "growth-connections",
    "growth-rooms",
    "cross-node",
    "cross-node-busy",
    "redis-connects",
    "stored",
    "crowd",
    "avalanche",
    "jitter",
];

/// The mean of the middle two where there is no middle one.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    Some(if values.len() % 2 == 1 { upper } else { (values[values.len() / 2 - 1] + upper) / 2.0 })
}

/// Tables and goals of some files, as text.
pub fn show(files: &[PathBuf]) -> Result<String> {
    let runs = Runs::default().renew(Runs::read(files)?);
    Ok(format!("{}\n{}", table::render(&runs.0), goals::render(&runs)))
}

/// Takes new runs into `folder/runs.jsonl`, and writes the plots beside it and the page into the folder above.
pub fn write(folder: &Path, files: &[PathBuf], machine: &str) -> Result<()> {
    fs::create_dir_all(folder)?;
    let kept = folder.join("runs.jsonl");
    let old = if kept.exists() { Runs::read(std::slice::from_ref(&kept))? } else { Runs::default() };
    let runs = old.renew(Runs::read(files)?);
    let mut lines = String::new();
    for run in &runs.0 {
        lines += &serde_json::to_string(run)?;
        lines.push('\n');
    }
    fs::write(&kept, lines)?;
    for (name, svg) in plot::all(&runs) {
        fs::write(folder.join(name), svg)?;
    }
    let page = folder.parent().unwrap_or(Path::new(".")).join("RESULTS.md");
    fs::write(page, page::render(&runs, machine))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn run(key: &str, server: &str, rate: f64) -> Report {
        Report {
            key: key.into(),
            work: format!("{key} ws"),
            server: server.into(),
            ops_per_sec: rate,
            ..Report::default()
        }
    }

    #[test]
    fn median_of_odd_even_and_none() {
        assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![2.0, 1.0]), Some(1.5));
        assert_eq!(median(Vec::new()), None);
    }

    #[test]
    fn newer_runs_take_the_place_of_older_ones_of_the_same_work_and_server() {
        let old = Runs(vec![run("flood", "ours", 1.0), run("flood", "node", 2.0), run("echo", "ours", 3.0)]);
        let new = Runs(vec![run("flood", "ours", 4.0), run("flood", "ours", 6.0)]);
        let all = old.renew(new);
        let rate = |run: &Report| Some(run.ops_per_sec);
        assert_eq!(all.median("flood", "ours", rate), Some(5.0));
        assert_eq!(all.median("flood", "node", rate), Some(2.0));
        assert_eq!(all.0[0].key, "echo", "works stand in their order");
    }
}
