//! The goals of the project, each judged by the runs that there are. Nothing here is typed in but the bounds.

use std::fmt::Write;

use super::{OURS, Runs, median};
use crate::report::Report;

const PEERS: [&str; 4] = ["socketioxide", "bun", "node", "netty"];
/// The floor that goals speak of: tokio, as the server itself.
const FLOOR: &str = "floor";
/// The floor that writes each message by itself.
const FLOOR_EACH: &str = "floor-each";

/// What is looked at in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Figure {
    Cpu,
    Rate,
    /// What one core of server does in a second.
    RatePerCore,
    P99,
    Rss,
    IdleCpu,
    Named(&'static str),
}

use Figure::{Cpu, IdleCpu, Named, P99, Rate, RatePerCore, Rss};

impl Figure {
    fn of(self, run: &Report) -> Option<f64> {
        match self {
            Cpu => run.cpu.server_cpu_us_per_op,
            Rate => Some(run.ops_per_sec),
            RatePerCore => run.cpu.server_cpu_us_per_op.map(|us| 1e6 / us),
            P99 => run.latency_us.as_ref().map(|latency| latency.p99),
            Rss => run.idle.as_ref().map(|idle| idle.rss_bytes_per_connection),
            IdleCpu => run.idle.as_ref().map(|idle| idle.idle_cpu_percent),
            Named(name) => run.figures.get(name).copied(),
        }
    }

    fn more_is_better(self) -> bool {
        matches!(self, Rate | RatePerCore)
    }

    fn show(self, value: f64) -> String {
        match self {
            Cpu => format!("{value:.2} µs"),
            Rate | RatePerCore => format!("{value:.0}/s"),
            P99 => format!("{:.1} ms", value / 1000.0),
            Rss => format!("{value:.0} B"),
            IdleCpu => format!("{value:.1} %"),
            Named(name) => format!("{} {}", (value * 100.0).round() / 100.0, name.replace('_', " ")),
        }
    }
}

/// What the figure is held to.
#[derive(Debug, Clone, Copy)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
    /// Ours over the floor's is at most this.
    OfFloor(&'static str, f64),
    /// Ours over the best peer's is at most this, or at least where more is better.
    OfBestPeer(f64),
    /// Ours over another figure of the same run is at most this.
    Of(&'static str, f64),
    /// Ours over another figure of the same run is at least this.
    ShareOf(&'static str, f64),
    /// The same as another figure of the same run.
    Equal(&'static str),
    /// The greatest over the smallest, as the work grows.
    Flat(f64),
}

use Bound::{AtLeast, AtMost, Equal, Flat, Of, OfBestPeer, OfFloor, ShareOf};

/// The work's key, the goal in words, the figure and its bound.
type Goal = (&'static str, &'static str, Figure, Bound);

const GOALS: [Goal; 33] = [
    ("idle", "idle WebSocket connection: at most 1.5 KiB", Rss, AtMost(1536.0)),
    ("idle", "5 times less than any peer", Rss, OfBestPeer(0.2)),
    ("idle-polling", "idle polling session: at most 3 KiB", Rss, AtMost(3072.0)),
    ("idle", "idle CPU, 16,000 connections: at most half of the best peer's", IdleCpu, OfBestPeer(0.5)),
    (
        "connect",
        "WebSocket handshake to connect, CPU: at most 1.5 times the floor's",
        Cpu,
        OfFloor(FLOOR, 1.5),
    ),
    ("connect-upgrade", "polling, then upgrade: 3 times the best peer's rate", Rate, OfBestPeer(3.0)),
    ("echo", "echo, CPU: at most 1.2 times the floor's", Cpu, OfFloor(FLOOR, 1.2)),
    ("echo", "echo, CPU: 2 times less than the best peer", Cpu, OfBestPeer(0.5)),
    ("echo", "echo, p99: under 2 ms", P99, AtMost(2000.0)),
    ("flood", "flood: 1,000,000 round trips per second on one core of server", RatePerCore, AtLeast(1e6)),
    (
        "broadcast",
        "broadcast to 1,000, CPU: at most half of one bare write per message",
        Cpu,
        OfFloor(FLOOR_EACH, 0.5),
    ),
    ("broadcast-10k", "broadcast to 10,000, CPU: at most 1.1 times the floor's", Cpu, OfFloor(FLOOR, 1.1)),
    ("broadcast-10k", "broadcast to 10,000, p99: at most 1.2 times the floor's", P99, OfFloor(FLOOR, 1.2)),
    ("rooms", "1,000 rooms of 10, CPU: at most 1.3 times the floor's", Cpu, OfFloor(FLOOR, 1.3)),
    ("crowd", "30,000 connections over two nodes: 140,000 deliveries per second", Rate, AtLeast(140_000.0)),
    ("crowd", "the same, p99: under 1 s", P99, AtMost(1e6)),
    ("crowd", "the same: none missing", Named("missing"), AtMost(0.0)),
    (
        "cross-node",
        "cross-node message: at most 1.5 times a bare PUBLISH",
        Named("typing_median_us"),
        Of("publish_median_us", 1.5),
    ),
    (
        "cross-node-busy",
        "the same, of nodes that stay awake (`node.busy_poll`)",
        Named("typing_median_us"),
        Of("publish_median_us", 1.5),
    ),
    // A few in a thousand are what the nodes tell each other of themselves meanwhile.
    ("cross-node", "at most 1 Redis command", Named("redis_commands_per_message"), AtMost(1.01)),
    (
        "redis-connects",
        "at most 2 Redis commands for a connect, also for one that comes alone",
        Named("redis_commands_of_a_lone_connect"),
        AtMost(2.05),
    ),
    (
        "stored",
        "acked messages, node to node: at least half of the rows that the database takes by itself",
        Named("messages_per_s"),
        ShareOf("rows_per_s", 0.5),
    ),
    ("avalanche", "avalanche: all connected again", Named("not_there_at_the_end"), AtMost(0.0)),
    ("avalanche", "none refused without Retry-After", Named("refused_without_retry_after"), AtMost(0.0)),
    ("avalanche", "none that came back cut off again", Named("cut_off_again"), AtMost(0.0)),
    ("avalanche", "bystanders all kept", Named("bystanders_lost"), AtMost(0.0)),
    (
        "avalanche",
        "their heartbeats on time: a ping at least every 26 s",
        Named("bystanders_longest_ping_gap_s"),
        AtMost(26.0),
    ),
    (
        "avalanche",
        "at most 1.5 times as long as the floor's accept loop",
        Named("all_connected_again_s"),
        OfFloor("floor-epoll", 1.5),
    ),
    ("jitter", "jitter: every message to every client", Named("delivered"), Equal("expected")),
    ("jitter", "pushed in order", Named("pushed_out_of_order"), AtMost(0.0)),
    ("jitter", "nobody cut off by the server", Named("cut_off_by_the_server"), AtMost(0.0)),
    ("growth-connections", "100 to 16,000 connections, CPU per message: flat within 20 %", Cpu, Flat(1.2)),
    ("growth-rooms", "10 to 10,000 rooms, CPU per message: flat within 20 %", Cpu, Flat(1.2)),
];

/// A goal and what the runs say of it.
struct Verdict {
    ours: String,
    floor: String,
    peer: String,
    ratio: String,
    holds: bool,
}

pub fn render(runs: &Runs) -> String {
    let mut text =
        String::from("| goal | ours | floor | best peer | ratio | holds |\n|---|--:|--:|--:|--:|---|\n");
    for goal in GOALS {
        let Some(verdict) = judge(runs, goal) else {
            let _ = writeln!(text, "| {} | | | | | not measured |", goal.1);
            continue;
        };
        let Verdict { ours, floor, peer, ratio, holds } = verdict;
        let holds = if holds { "**yes**" } else { "no" };
        let _ = writeln!(text, "| {} | {ours} | {floor} | {peer} | {ratio} | {holds} |", goal.1);
    }
    text
}

fn judge(runs: &Runs, (key, _, figure, bound): Goal) -> Option<Verdict> {
    if let Flat(most) = bound {
        return flat(runs, key, figure, most);
    }
    let of = |server: &str| runs.median(key, server, |run| figure.of(run));
    let ours = of(OURS)?;
    let floor_name = match bound {
        OfFloor(name, _) => name,
        _ => FLOOR,
    };
    let floor = of(floor_name);
    let peer = best_peer(runs, key, figure);
    // Of nothing there is no share: the run was too short to see it.
    if matches!(bound, OfBestPeer(_)) && peer.is_none_or(|(_, value)| value <= 0.0) {
        return None;
    }
    let over = |other: f64, most: f64| (Some(ours / other), ours / other <= most);
    let named = |name| runs.median(key, OURS, |run| Named(name).of(run));
    let (ratio, holds) = match bound {
        AtMost(most) => (None, ours <= most),
        AtLeast(least) => (None, ours >= least),
        OfFloor(_, most) => over(floor?, most),
        OfBestPeer(least) if figure.more_is_better() => (Some(ours / peer?.1), ours / peer?.1 >= least),
        OfBestPeer(most) => over(peer?.1, most),
        Of(name, most) => over(named(name)?, most),
        ShareOf(name, least) => (Some(ours / named(name)?), ours / named(name)? >= least),
        Equal(name) => over(named(name)?, 1.0),
        Flat(_) => return None,
    };
    let holds = holds && (!matches!(bound, Equal(_)) || ratio == Some(1.0));
    let mark =
        |server: &str| if runs.is_generator_limited(key, server) { " (generator's limit)" } else { "" };
    Some(Verdict {
        ours: figure.show(ours) + mark(OURS),
        floor: floor.map_or_else(String::new, |value| figure.show(value) + mark(floor_name)),
        peer: peer
            .map_or_else(String::new, |(name, value)| format!("{} {name}{}", figure.show(value), mark(name))),
        ratio: ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}")),
        holds,
    })
}

fn best_peer(runs: &Runs, key: &str, figure: Figure) -> Option<(&'static str, f64)> {
    let values = PEERS.iter().filter_map(|peer| Some((*peer, runs.median(key, peer, |run| figure.of(run))?)));
    let by_value = |one: &(&str, f64), two: &(&str, f64)| one.1.total_cmp(&two.1);
    if figure.more_is_better() { values.max_by(by_value) } else { values.min_by(by_value) }
}

/// Medians at each size of the work, by size.
pub fn growth(runs: &Runs, key: &str, server: &str) -> Vec<(u64, f64)> {
    let mut scales: Vec<u64> = runs.of(key, server).filter_map(|run| run.scale).collect();
    scales.sort_unstable();
    scales.dedup();
    let at = |scale| {
        let values =
            runs.of(key, server).filter(|run| run.scale == Some(scale)).filter_map(|run| Cpu.of(run));
        Some((scale, median(values.collect())?))
    };
    scales.into_iter().filter_map(at).collect()
}

fn flat(runs: &Runs, key: &str, figure: Figure, most: f64) -> Option<Verdict> {
    let spread = |server: &str| {
        let points = growth(runs, key, server);
        let values = || points.iter().map(|(_, value)| *value);
        let (low, high) = (values().reduce(f64::min)?, values().reduce(f64::max)?);
        (points.len() > 1).then(|| (format!("{} to {}", figure.show(low), figure.show(high)), high / low))
    };
    let (ours, ratio) = spread(OURS)?;
    let floor = spread(FLOOR);
    Some(Verdict {
        ours,
        floor: floor.map_or_else(String::new, |(text, ratio)| format!("{text} ({ratio:.2})")),
        peer: String::new(),
        ratio: format!("{ratio:.2}"),
        holds: ratio <= most,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::WORKS;

    fn run(server: &str, scale: u64, cpu: f64) -> Report {
        let mut run =
            Report { key: "echo".into(), server: server.into(), scale: Some(scale), ..Report::default() };
        run.cpu.server_cpu_us_per_op = Some(cpu);
        run.ops_per_sec = 1000.0 / cpu;
        run.figures.insert("delivered".into(), 5.0);
        run.figures.insert("expected".into(), if server == OURS { 5.0 } else { 6.0 });
        run
    }

    #[test]
    fn goals_are_judged_by_medians() {
        let runs = Runs(
            [("ours", 2.0), ("ours", 9.0), ("ours", 2.2), ("floor", 2.0), ("node", 9.0), ("bun", 5.0)]
                .map(|(server, cpu)| run(server, 1, cpu))
                .into(),
        );
        let holds = |figure, bound| judge(&runs, ("echo", "", figure, bound)).map(|verdict| verdict.holds);
        assert_eq!(holds(Cpu, AtMost(2.2)), Some(true));
        assert_eq!(holds(Cpu, AtMost(2.1)), Some(false));
        assert_eq!(holds(Cpu, OfFloor(FLOOR, 1.11)), Some(true));
        assert_eq!(holds(Cpu, OfFloor(FLOOR, 1.09)), Some(false));
        assert_eq!(holds(Cpu, OfFloor(FLOOR_EACH, 9.0)), None, "there is no such run");
        assert_eq!(holds(Cpu, OfBestPeer(0.45)), Some(true), "the best peer is bun");
        assert_eq!(holds(Cpu, OfBestPeer(0.43)), Some(false));
        assert_eq!(holds(Rate, OfBestPeer(2.2)), Some(true));
        assert_eq!(holds(Rate, OfBestPeer(2.4)), Some(false));
        assert_eq!(holds(RatePerCore, AtLeast(450_000.0)), Some(true));
        assert_eq!(holds(Named("delivered"), Equal("expected")), Some(true));
        assert_eq!(holds(Named("delivered"), ShareOf("expected", 1.0)), Some(true));
        assert_eq!(holds(Named("delivered"), ShareOf("expected", 1.01)), Some(false));
        assert_eq!(holds(Named("nothing"), AtMost(0.0)), None);
    }

    #[test]
    fn growth_is_the_greatest_over_the_smallest() {
        let runs = Runs(vec![run("ours", 10, 1.0), run("ours", 100, 1.1), run("ours", 1000, 1.3)]);
        assert_eq!(growth(&runs, "echo", "ours"), [(10, 1.0), (100, 1.1), (1000, 1.3)]);
        let holds = |most| judge(&runs, ("echo", "", Cpu, Flat(most))).map(|verdict| verdict.holds);
        assert_eq!((holds(1.31), holds(1.29)), (Some(true), Some(false)));
        assert!(judge(&Runs(vec![run("ours", 10, 1.0)]), ("echo", "", Cpu, Flat(1.2))).is_none());
    }

    #[test]
    fn every_goal_is_of_a_work_that_there_is() {
        for (key, ..) in GOALS {
            assert!(WORKS.contains(&key), "{key}");
        }
    }
}
