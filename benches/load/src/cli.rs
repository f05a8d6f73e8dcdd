//! The command line.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};

use crate::{floor::EngineKind, workload::Transport};

#[derive(Parser)]
#[command(about = "Load generator for Socket.IO servers that speak the `echo` contract")]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Args)]
pub struct Common {
    /// The endpoint; several of a cluster, with commas.
    #[arg(long, value_delimiter = ',', default_value = "http://127.0.0.1:3000/socket.io/")]
    pub url: Vec<String>,
    /// Further query parameters, e.g. `userId={n}`: {n} becomes the client's number, from 1.
    #[arg(long, default_value = "")]
    pub query: String,
    /// The running servers to account for, with their children.
    #[arg(long, value_delimiter = ',', conflicts_with = "spawn")]
    pub pid: Vec<u32>,
    /// Start this server, wait for the port of --url, end it after the run. May begin with assignments.
    #[arg(long, value_name = "COMMAND")]
    pub spawn: Option<String>,
    /// Name of the server in the report.
    #[arg(long, default_value = "")]
    pub label: String,
    /// Short name of the work in the report.
    #[arg(long, default_value = "")]
    pub key: String,
    /// When this is run, and of which commit, for the report.
    #[arg(long, default_value = "")]
    pub run: String,
    #[arg(long, default_value_t = 1.0)]
    pub warmup_secs: f64,
    /// Give up when answers are due and nothing arrives for this long.
    #[arg(long, default_value_t = 20.0)]
    pub stall_secs: f64,
    #[arg(long, value_enum, default_value = "ws")]
    pub transport: Transport,
    /// Clients on their way to being connected at a time.
    #[arg(long, default_value_t = 128)]
    pub concurrency: usize,
    /// Loopback addresses (127.0.0.1 and up) to connect from; 0 leaves it to the kernel.
    #[arg(long, default_value_t = 8)]
    pub sources: u8,
}

#[derive(Subcommand)]
pub enum Command {
    /// Memory and CPU of idle connections.
    Idle {
        #[command(flatten)]
        common: Common,
        /// Numbers of connections, rising.
        #[arg(long, value_delimiter = ',', default_value = "4000,16000")]
        connections: Vec<usize>,
        /// Wait after each step before memory is read.
        #[arg(long, default_value_t = 3.0)]
        settle_secs: f64,
        /// Window for idle CPU. At least one ping interval shows the heartbeat's cost.
        #[arg(long, default_value_t = 30.0)]
        hold_secs: f64,
    },
    /// Rate and cost of connects.
    Connect {
        #[command(flatten)]
        common: Common,
        #[arg(long, default_value_t = 2000)]
        connections: usize,
    },
    /// Round trips in a closed loop.
    Echo {
        #[command(flatten)]
        common: Common,
        #[arg(long, default_value_t = 100)]
        clients: usize,
        /// Acks in flight per client.
        #[arg(long, default_value_t = 4)]
        in_flight: usize,
        /// Let only so many clients speak at a time, with one ack in flight each, and hand the word on.
        #[arg(long)]
        speaking: Option<usize>,
        /// Bytes of the string argument.
        #[arg(long, default_value_t = 64)]
        size: usize,
        #[arg(long, default_value_t = 5.0)]
        secs: f64,
    },
    /// All events at once, then all acks.
    Flood {
        #[command(flatten)]
        common: Common,
        #[arg(long, default_value_t = 10)]
        clients: usize,
        /// Events per client.
        #[arg(long, default_value_t = 50_000)]
        events: u64,
        #[arg(long, default_value_t = 32)]
        size: usize,
    },
    /// One sender, everybody receives.
    Broadcast {
        #[command(flatten)]
        common: Common,
        #[arg(long, default_value_t = 1000)]
        clients: usize,
        /// Broadcasts on their way at a time.
        #[arg(long, default_value_t = 4)]
        outstanding: usize,
        /// Count broadcasts that arrive out of order instead of failing on them.
        #[arg(long)]
        any_order: bool,
        /// Broadcasts per second, instead of as fast as goes.
        #[arg(long)]
        rate: Option<f64>,
        #[arg(long, default_value_t = 64)]
        size: usize,
        #[arg(long, default_value_t = 5.0)]
        secs: f64,
    },
    /// Many rooms of a few members.
    Rooms {
        #[command(flatten)]
        common: Common,
        #[arg(long, default_value_t = 10_000)]
        clients: usize,
        #[arg(long, default_value_t = 1000)]
        rooms: usize,
        /// Clients of each room.
        #[arg(long, default_value_t = 10)]
        members: usize,
        /// Emits on their way at a time, each in another room; must divide the rooms.
        #[arg(long, default_value_t = 1000)]
        outstanding: usize,
        /// Count emits that arrive out of order instead of failing on them.
        #[arg(long)]
        any_order: bool,
        #[arg(long, default_value_t = 64)]
        size: usize,
        #[arg(long, default_value_t = 5.0)]
        secs: f64,
    },
    /// Stored messages to groups of users on nodes of a cluster, from as many processes as it takes.
    Crowd {
        #[command(flatten)]
        common: Common,
        /// The HTTP API of a node, where groups are made.
        #[arg(long, default_value = "127.0.0.1:8080")]
        api: SocketAddr,
        #[arg(long, default_value_t = 30_000)]
        users: usize,
        #[arg(long, default_value_t = 500)]
        group_size: usize,
        /// Messages per second.
        #[arg(long, default_value_t = 281.0)]
        rate: f64,
        #[arg(long, default_value_t = 64)]
        size: usize,
        #[arg(long, default_value_t = 60.0)]
        secs: f64,
        /// Processes that connect.
        #[arg(long, default_value_t = 2)]
        parts: usize,
    },
    /// One process of `crowd`: what it is to do comes on stdin.
    #[command(hide = true)]
    CrowdPart,
    /// The first server is killed, and its clients come at once to the others.
    Avalanche {
        #[command(flatten)]
        common: Common,
        /// Process of the first server.
        #[arg(long)]
        victim: u32,
        #[arg(long, default_value_t = 16_000)]
        connections: usize,
        /// Clients of the other servers.
        #[arg(long, default_value_t = 1000)]
        bystanders: usize,
        /// How long to watch them afterwards: a ping interval, at least.
        #[arg(long, default_value_t = 28.0)]
        hold_secs: f64,
    },
    /// Messages to a group whose members are cut off again and again.
    Jitter {
        #[command(flatten)]
        common: Common,
        /// The HTTP API of a node, where the group is made.
        #[arg(long, default_value = "127.0.0.1:8080")]
        api: SocketAddr,
        #[arg(long, default_value_t = 1000)]
        clients: usize,
        /// Messages per second.
        #[arg(long, default_value_t = 10.0)]
        rate: f64,
        #[arg(long, default_value_t = 64)]
        size: usize,
        #[arg(long, default_value_t = 60.0)]
        secs: f64,
    },
    /// The bare-TCP floor server (WebSocket only).
    Floor {
        #[arg(long)]
        listen: SocketAddr,
        #[arg(long, value_enum, default_value = "tokio")]
        engine: EngineKind,
        /// As many as there are cores, unless given.
        #[arg(long)]
        threads: Option<usize>,
    },
    /// Markdown tables from files of report lines, and which goals hold.
    Table { files: Vec<PathBuf> },
    /// Takes files of report lines into the results: `FOLDER/runs.jsonl`, plots beside it, RESULTS.md above it.
    Results {
        #[arg(long, default_value = "benches/results")]
        folder: PathBuf,
        /// What the runs were made on, in a sentence or two.
        #[arg(long, default_value = "")]
        machine: String,
        files: Vec<PathBuf>,
    },
}
