//! Plots as SVG: bars for each work and server, lines for what grows. Readable on light and on dark ground, for the
//! colours follow the reader's setting.

use std::fmt::Write;

use super::{OURS, Runs, goals};
use crate::report::Report;

const SERVERS: [(&str, &str); 8] = [
    (OURS, "ours"),
    ("floor", "floor: tokio"),
    ("floor-epoll", "floor: epoll"),
    ("floor-each", "floor: a write each"),
    ("socketioxide", "socketioxide"),
    ("bun", "socket.io, Bun"),
    ("node", "socket.io, Node"),
    ("netty", "netty-socketio"),
];

const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#24292f}.head{font-weight:600;font-size:13px}\
    .dim{fill:#57606a}.bar{fill:#8c959f}.ours{fill:#0969da}.floor{fill:#bf8700}\
    .axis{stroke:#8c959f;stroke-width:1}.line{fill:none;stroke:#8c959f;stroke-width:2}.spread{stroke:#24292f;stroke-width:1}\
    .line.ours{fill:none;stroke:#0969da}.line.floor{fill:none;stroke:#bf8700}\
    @media(prefers-color-scheme:dark){text{fill:#e6edf3}.dim{fill:#9198a1}.bar{fill:#6e7681}.ours{fill:#4493f8}\
    .floor{fill:#d29922}.spread{stroke:#e6edf3}.line.ours{fill:none;stroke:#4493f8}.line.floor{fill:none;stroke:#d29922}}";

const WIDTH: f64 = 760.0;
const LABELS: f64 = 150.0;
const BARS: f64 = 480.0;
const ROW: f64 = 20.0;

struct Panel {
    key: &'static str,
    title: &'static str,
    unit: &'static str,
    figure: fn(&Report) -> Option<f64>,
}

const fn cpu(key: &'static str, title: &'static str) -> Panel {
    Panel { key, title, unit: "µs", figure: |run| run.cpu.server_cpu_us_per_op }
}

const CPU: [Panel; 7] = [
    cpu("echo", "echo with ack, CPU of each round trip"),
    cpu("flood", "flood, CPU of each round trip"),
    cpu("broadcast", "broadcast to 1,000, CPU of each delivery"),
    cpu("broadcast-10k", "broadcast to 10,000 five times a second, CPU of each delivery"),
    cpu("rooms", "1,000 rooms of 10, CPU of each delivery"),
    cpu("connect", "WebSocket connect, CPU of each"),
    cpu("connect-upgrade", "connect by polling, then upgrade, CPU of each"),
];

const IDLE: [Panel; 3] = [
    Panel {
        key: "idle",
        title: "idle WebSocket connection, memory of the process",
        unit: "B",
        figure: |run| run.idle.as_ref().map(|idle| idle.rss_bytes_per_connection),
    },
    Panel {
        key: "idle-polling",
        title: "idle polling session, memory of the process",
        unit: "B",
        figure: |run| run.idle.as_ref().map(|idle| idle.rss_bytes_per_connection),
    },
    Panel {
        key: "idle",
        title: "16,000 idle WebSocket connections, CPU",
        unit: "% of a core",
        figure: |run| run.idle.as_ref().map(|idle| idle.idle_cpu_percent),
    },
];

/// Names of files and what is in them.
pub fn all(runs: &Runs) -> Vec<(&'static str, String)> {
    vec![("cpu.svg", bars(runs, &CPU)), ("idle.svg", bars(runs, &IDLE)), ("growth.svg", growth(runs))]
}

fn bars(runs: &Runs, panels: &[Panel]) -> String {
    let (mut body, mut y) = (String::new(), 10.0);
    for panel in panels {
        let figures =
            |server: &str| -> Vec<f64> { runs.of(panel.key, server).filter_map(panel.figure).collect() };
        let rows: Vec<_> = SERVERS
            .iter()
            .filter_map(|(server, name)| {
                Some((*server, *name, super::median(figures(server))?, figures(server)))
            })
            .collect();
        if rows.is_empty() {
            continue;
        }
        y += ROW;
        let _ = writeln!(body, r#"<text class="head" x="0" y="{y}">{}</text>"#, panel.title);
        y += 8.0;
        let most = rows.iter().flat_map(|row| row.3.iter().copied()).fold(f64::MIN_POSITIVE, f64::max);
        for (server, name, value, all) in rows {
            let place = |value: f64| LABELS + BARS * (value.max(0.0) / most);
            let (text_y, bar_y, width) = (y + 14.0, y + 3.0, place(value) - LABELS);
            let _ = writeln!(
                body,
                r#"<text class="dim" x="{}" y="{text_y}" text-anchor="end">{name}</text><rect class="{}" x="{LABELS}" y="{bar_y}" width="{width:.1}" height="14"/>"#,
                LABELS - 8.0,
                class(server),
            );
            let (low, high) = (
                place(all.iter().copied().fold(f64::MAX, f64::min)),
                place(all.iter().copied().fold(0.0, f64::max)),
            );
            if all.len() > 1 {
                let mid = y + 10.0;
                let _ = writeln!(body, r#"<path class="spread" d="M{low:.1} {mid}H{high:.1}"/>"#);
            }
            let _ = writeln!(
                body,
                r#"<text x="{:.1}" y="{text_y}">{} {}</text>"#,
                high.max(LABELS + width) + 6.0,
                short(value),
                panel.unit
            );
            y += ROW;
        }
    }
    svg(y + 10.0, &body)
}

fn class(server: &str) -> &'static str {
    match server {
        OURS => "ours",
        _ if server.starts_with("floor") => "floor",
        _ => "bar",
    }
}

fn short(value: f64) -> String {
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$}")
}

/// CPU of a message against how much there is of what grows, on a logarithmic axis.
fn growth(runs: &Runs) -> String {
    const HEIGHT: f64 = 150.0;
    let (mut body, mut top) = (String::new(), 10.0);
    for (key, title) in [
        ("growth-connections", "CPU of each message, by connections"),
        ("growth-rooms", "CPU of each delivery, by rooms"),
    ] {
        let lines: Vec<_> = SERVERS
            .iter()
            .map(|(server, name)| (*server, *name, goals::growth(runs, key, server)))
            .filter(|(.., points)| points.len() > 1)
            .collect();
        let points = || lines.iter().flat_map(|(.., points)| points.iter().copied());
        let (Some(first), Some(last)) =
            (points().map(|point| point.0).min(), points().map(|point| point.0).max())
        else {
            continue;
        };
        let most = points().map(|point| point.1).fold(f64::MIN_POSITIVE, f64::max) * 1.1;
        let log = |scale: u64| (scale.max(1) as f64).ln();
        let x = |scale: u64| LABELS + BARS * (log(scale) - log(first)) / (log(last) - log(first));
        let base = top + 2.0 * ROW + HEIGHT;
        let y = |value: f64| base - HEIGHT * value / most;
        let _ = writeln!(body, r#"<text class="head" x="0" y="{}">{title}, µs</text>"#, top + ROW);
        let _ = writeln!(body, r#"<path class="axis" d="M{LABELS} {base}H{}"/>"#, LABELS + BARS);
        let mut scales: Vec<u64> = points().map(|point| point.0).collect();
        scales.sort_unstable();
        scales.dedup();
        for scale in scales {
            let _ = writeln!(
                body,
                r#"<text class="dim" x="{:.1}" y="{}" text-anchor="middle">{scale}</text>"#,
                x(scale),
                base + 16.0
            );
        }
        for (server, name, points) in &lines {
            let path: Vec<_> =
                points.iter().map(|(scale, value)| format!("{:.1} {:.1}", x(*scale), y(*value))).collect();
            let _ = writeln!(body, r#"<path class="line {}" d="M{}"/>"#, class(server), path.join("L"));
            for (scale, value) in points {
                let _ = writeln!(
                    body,
                    r#"<text x="{:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
                    x(*scale),
                    y(*value) + if *server == OURS { -6.0 } else { 16.0 },
                    short(*value)
                );
            }
            if let Some((_, value)) = points.last() {
                let _ = writeln!(
                    body,
                    r#"<text class="dim" x="{}" y="{:.1}">{name}</text>"#,
                    LABELS + BARS + 28.0,
                    y(*value) + 4.0
                );
            }
        }
        top = base + ROW;
    }
    svg(top + 10.0, &body)
}

fn svg(height: f64, body: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         role=\"img\">\n<style>{STYLE}</style>\n{body}</svg>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::run;

    #[test]
    fn bars_are_as_long_as_what_they_stand_for() {
        let with_cpu = |server: &str, cpu: f64| {
            let mut run = run("echo", server, 1.0);
            run.cpu.server_cpu_us_per_op = Some(cpu);
            run
        };
        let runs = Runs(vec![with_cpu("ours", 2.0), with_cpu("node", 8.0)]);
        let svg = bars(&runs, &CPU);
        assert!(svg.contains(r#"class="ours" x="150" y="41" width="120.0""#), "{svg}");
        assert!(svg.contains(r#"class="bar" x="150" y="61" width="480.0""#), "{svg}");
        assert!(!svg.contains("flood"), "no panel without runs: {svg}");
        assert_eq!(svg.matches("<svg").count(), 1);
    }
}
