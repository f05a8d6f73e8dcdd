//! The commands. Each connects its clients, warms up, measures one window, then waits for every answer that is
//! still out: a missing or wrong one is an error, not a lower figure.

pub mod avalanche;
pub mod broadcast;
pub mod connect;
pub mod crowd;
pub mod echo;
pub mod flood;
pub mod idle;
pub mod jitter;
pub mod rooms;
mod timers;

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::{
    engine::Engine,
    proto::payload,
    report::Report,
    server::Server,
    workload::{Target, Transport},
};

/// What all commands are given.
pub struct Setup {
    /// One server, or the nodes of a cluster.
    pub targets: Vec<Target>,
    pub sources: u8,
    pub concurrency: usize,
    pub warmup: Duration,
    pub stall: Duration,
    pub server: Server,
}

impl Setup {
    fn engine(self) -> Result<(Engine, Server)> {
        Ok((Engine::new(self.targets, self.sources, self.stall)?, self.server))
    }

    fn report(&self, command: &str, clients: usize, size: Option<usize>, rest: &str) -> Report {
        let transport = match self.targets[0].transport {
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

/// What one client has received of a numbered sequence: all below `next`, and `next + k` for each bit k of `ahead`.
#[derive(Clone, Copy, Default)]
struct Received {
    next: u64,
    ahead: u64,
}

/// How far ahead of the first missing number one may come when order is waived.
const AHEAD: u64 = 64;

impl Received {
    /// Marks one as received; false when it is a repetition, or further ahead than can be told.
    fn mark(&mut self, seq: u64) -> bool {
        let Some(distance) = seq.checked_sub(self.next).filter(|distance| *distance < AHEAD) else {
            return false;
        };
        let fresh = self.ahead & (1 << distance) == 0;
        self.ahead |= 1 << distance;
        let complete = self.ahead.trailing_ones();
        self.next += u64::from(complete);
        self.ahead = self.ahead.checked_shr(complete).unwrap_or(0);
        fresh
    }
}

fn after(time: Duration) -> Instant {
    Instant::now() + time
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_marked_once_in_any_order() {
        let mut received = Received::default();
        for (seq, fresh, next) in [
            (0, true, 1),
            (0, false, 1),
            (3, true, 1),
            (3, false, 1),
            (2, true, 1),
            (1, true, 4),
            (4 + AHEAD, false, 4),
            (3 + AHEAD, true, 4),
        ] {
            assert_eq!((received.mark(seq), received.next), (fresh, next), "broadcast {seq}");
        }
        (4..3 + AHEAD).for_each(|seq| assert!(received.mark(seq), "broadcast {seq}"));
        assert_eq!((received.next, received.ahead), (4 + AHEAD, 0), "the whole window closes at once");
    }
}
