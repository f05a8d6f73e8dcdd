//! The commands. Each connects its clients, warms up, measures one window, then waits for every answer that is
//! still out: a missing or wrong one is an error, not a lower figure.

pub mod broadcast;
pub mod connect;
pub mod echo;
pub mod flood;
pub mod idle;

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::{
    client::{Target, Transport},
    engine::Engine,
    proto::payload,
    report::Report,
    server::Server,
};

/// What all commands are given.
pub struct Setup {
    pub target: Target,
    pub sources: u8,
    pub concurrency: usize,
    pub warmup: Duration,
    pub stall: Duration,
    pub server: Server,
}

impl Setup {
    fn engine(self) -> Result<(Engine, Server)> {
        Ok((Engine::new(self.target, self.sources, self.stall)?, self.server))
    }

    fn report(&self, command: &str, clients: usize, size: Option<usize>, rest: &str) -> Report {
        let transport = match self.target.transport {
            Transport::Ws => "ws",
            Transport::Polling => "polling",
            Transport::Upgrade => "upgrade",
        };
        let bytes = size.map(|size| format!(", {size} B")).unwrap_or_default();
        Report {
            work: format!("{command} {transport}, {clients} clients{bytes}{rest}"),
            command: command.into(),
            transport: transport.into(),
            clients,
            size_bytes: size,
            ..Report::default()
        }
    }
}

fn check_size(size: usize) -> Result<()> {
    ensure!(size >= payload::MIN_SIZE, "--size must be at least {}", payload::MIN_SIZE);
    Ok(())
}

fn after(time: Duration) -> Instant {
    Instant::now() + time
}
