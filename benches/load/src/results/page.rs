//! `RESULTS.md`: goals first, then the plots, then every figure.

use std::collections::BTreeMap;

use super::{Runs, goals, table};

pub fn render(runs: &Runs, machine: &str) -> String {
    let mut works: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for run in runs.0.iter().filter(|run| !run.run.is_empty()) {
        let works = works.entry(&run.run).or_default();
        if !works.contains(&run.key.as_str()) {
            works.push(&run.key);
        }
    }
    let made: String =
        works.iter().map(|(when, works)| format!("- {when}: {}\n", works.join(", "))).collect();
    let quick = match works.keys().any(|when| when.contains("quick")) {
        true => {
            "**Some of these runs were quick ones, which only show that all works: not for quoting.**\n\n"
        }
        false => "",
    };
    let goals = goals::render(runs);
    let tables = table::render(&runs.0);
    format!(
        "# Results\n\nWritten by `scripts/bench.sh --write` from [results/runs.jsonl](results/runs.jsonl); what the columns mean \
         and how far to trust them is in [README.md](README.md), what a host needs in \
         [docs/performance.md](../docs/performance.md).\n\n{machine}\n\n## Goals\n\nComputed from the medians below. \
         The floor is `sio-load floor` on tokio, unless the goal names another; a ratio is ours over what the goal \
         compares it with.\n\n{quick}{goals}\n## Plots\n\nBars are medians, the thin line is the spread of the runs.\n\n\
         ![CPU time of each unit of work](results/cpu.svg)\n\n![Idle connections](results/idle.svg)\n\n\
         ![As work grows](results/growth.svg)\n\n## All figures\n\n{tables}\n## When\n\n{made}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::run;

    #[test]
    fn the_page_says_when_each_work_was_run() {
        let at = |key: &str, server: &str, when: &str| {
            let mut run = run(key, server, 1.0);
            run.run = when.into();
            run
        };
        let runs = Runs(vec![
            at("echo", "ours", "day 2"),
            at("echo", "node", "day 1"),
            at("flood", "ours", "day 1"),
        ]);
        let page = render(&runs, "A machine.");
        assert!(page.ends_with("## When\n\n- day 1: echo, flood\n- day 2: echo\n"), "{page}");
        assert!(page.contains("| echo ws | node |") && page.contains("not measured"), "{page}");
    }
}
