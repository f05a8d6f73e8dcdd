//! What a run prints: one JSON line, its fields in this order. Fields that a command does not know are left out.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::{
    hist::Percentiles,
    server::Server,
    usage::{Usage, own_cpu},
};

/// Above this share of its one thread the generator, not the server, may have set the pace.
const LIMITED_ABOVE: f64 = 0.9;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// `--label`: who was measured.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub server: String,
    /// `--key`: the work's short name, by which goals and plots find it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// `--run`: when, and of which commit.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub run: String,
    /// The command and its settings in words; runs with the same `work` may be compared.
    pub work: String,
    pub command: String,
    pub transport: String,
    pub clients: usize,
    /// What grows from run to run, where a command is run with rising numbers of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<usize>,
    /// Length of the measured window.
    pub secs: f64,
    /// What was counted in the window: round trips, connections or deliveries.
    pub ops: u64,
    pub ops_per_sec: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_us: Option<Percentiles>,
    #[serde(flatten)]
    pub cpu: Cpu,
    /// Resident memory of the server's process tree at the end of the window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_rss_kib: Option<u64>,
    /// `broadcast --any-order` only: deliveries that were not the next one for their client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out_of_order: Option<u64>,
    /// `idle` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle: Option<Idle>,
    /// What only this command counts, by name; the unit ends the name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub figures: BTreeMap<String, f64>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Cpu {
    /// CPU time of the server's process tree per op; absent without `--pid` or `--spawn`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_cpu_us_per_op: Option<f64>,
    /// 1.0 is one core for the whole window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_cpu_cores: Option<f64>,
    /// Time that threads of the server were ready to run and had no core, over the window. High: disturbed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_wait_cores: Option<f64>,
    pub client_cpu_us_per_op: f64,
    pub client_cpu_cores: f64,
    pub client_wait_cores: f64,
    /// The generator used more than 90 % of its one thread's time: it may have set the pace.
    pub generator_limited: bool,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Idle {
    pub steps: Vec<Step>,
    /// Growth of VmRSS from the first step with clients to the last, or from none when there is only one step.
    pub rss_bytes_per_connection: f64,
    pub rss_anon_bytes_per_connection: f64,
    /// Server CPU over `hold_secs` with all clients connected: 100 is one core.
    pub idle_cpu_percent: f64,
    pub hold_secs: f64,
    /// Heartbeats answered within `hold_secs`.
    pub pings: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Step {
    pub connections: usize,
    pub rss_kib: u64,
    pub rss_anon_kib: u64,
}

/// The measured window: opened before, closed after.
pub struct Window {
    start: Instant,
    own: (Duration, Duration),
    server: Option<Usage>,
}

impl Window {
    pub fn open(server: &Server) -> Result<Self> {
        let usage = server.usage()?;
        Ok(Self { own: own_cpu()?, server: usage, start: Instant::now() })
    }

    pub fn start(&self) -> Instant {
        self.start
    }

    /// Fills what follows from the time passed, the CPU used and the `ops` done.
    pub fn close(self, server: &Server, ops: u64, report: &mut Report) -> Result<()> {
        self.stop(server)?.fill(ops, report);
        Ok(())
    }

    /// The end of the window, where its ops are known only later.
    pub fn stop(self, server: &Server) -> Result<Measured> {
        let secs = self.start.elapsed().as_secs_f64();
        let (ran, waited) = own_cpu()?;
        Ok(Measured {
            secs,
            own: (ran - self.own.0).as_secs_f64(),
            own_wait: (waited - self.own.1).as_secs_f64(),
            server: server.usage()?.zip(self.server),
        })
    }
}

/// What a window has seen.
pub struct Measured {
    secs: f64,
    own: f64,
    own_wait: f64,
    /// At the end and at the beginning.
    server: Option<(Usage, Usage)>,
}

impl Measured {
    pub fn fill(&self, ops: u64, report: &mut Report) {
        let Self { secs, own, own_wait, server } = self;
        let per_op = |cpu: f64| round(cpu * 1e6 / ops.max(1) as f64, 3);
        let server_cpu = server.map(|(now, then)| now.cpu_since(&then).as_secs_f64());
        let server_wait = server.map(|(now, then)| now.wait_since(&then).as_secs_f64());
        (report.secs, report.ops) = (round(*secs, 3), ops);
        report.ops_per_sec = round(ops as f64 / secs, 1);
        report.server_rss_kib = server.map(|(now, _)| now.rss_kib);
        report.cpu = Cpu {
            server_cpu_us_per_op: server_cpu.map(per_op),
            server_cpu_cores: server_cpu.map(|cpu| round(cpu / secs, 3)),
            server_wait_cores: server_wait.map(|wait| round(wait / secs, 3)),
            client_cpu_us_per_op: per_op(*own),
            client_cpu_cores: round(own / secs, 3),
            client_wait_cores: round(own_wait / secs, 3),
            generator_limited: own / secs > LIMITED_ABOVE,
        };
    }
}

pub fn round(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}
