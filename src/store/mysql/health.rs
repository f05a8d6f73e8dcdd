//! Whether the database is there, for everybody who would ask it something; and the few lines of log about it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::fault::Fault;
use crate::store::StoreError;
use crate::store::refusing::Refusing;

/// Known to all parts of a store, and kept by its writer.
#[derive(Debug, Default)]
pub(super) struct Health {
    up: AtomicBool,
    connections: AtomicU64,
    outage: Mutex<Option<Outage>>,
    /// It is there, and whether it takes messages.
    pub refusing: Refusing,
}

#[derive(Debug)]
struct Outage {
    since: Instant,
    /// What the log says is wrong.
    said: Complaint,
}

/// What can be wrong, as far as the log tells one from another.
#[derive(Debug, PartialEq, Eq)]
enum Complaint {
    Away,
    Says(u16),
    Newer,
    Other,
}

impl Health {
    /// `Err` when the database is known to be away.
    pub fn check(&self) -> Result<(), StoreError> {
        if self.is_up() { Ok(()) } else { Err(StoreError::Unavailable("the database is away".to_owned())) }
    }

    /// Whether the database was there when it was last asked.
    pub fn is_up(&self) -> bool {
        self.up.load(Relaxed)
    }

    /// How often the connection of the writer was replaced.
    pub fn reconnects(&self) -> u64 {
        self.connections.load(Relaxed).saturating_sub(1)
    }

    /// The writer has a new connection.
    pub fn connected(&self) {
        self.connections.fetch_add(1, Relaxed);
        let outage = self.outage.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.up.store(true, Relaxed);
        if let Some(outage) = outage {
            let away_ms = outage.since.elapsed().as_millis() as u64;
            tracing::info!(away_ms, "the database is back: messages are stored again");
        }
    }

    /// The writer could not connect. Logged when it is news.
    pub fn failed(&self, fault: &Fault) {
        let complaint = match fault {
            Fault::Lost(_) => Complaint::Away,
            Fault::Denied { code, .. } => Complaint::Says(*code),
            Fault::Newer { .. } => Complaint::Newer,
            _ => Complaint::Other,
        };
        let mut outage = self.outage.lock().unwrap_or_else(PoisonError::into_inner);
        self.up.store(false, Relaxed);
        if outage.as_ref().is_some_and(|outage| outage.said == complaint) {
            return;
        }
        match complaint {
            Complaint::Away => tracing::warn!(
                error = %fault,
                "the database is away: nothing is stored or read until it is back. Trying again"
            ),
            _ => tracing::error!(
                error = %fault,
                "the database cannot be used: nothing is stored or read until this is mended. Trying again"
            ),
        }
        let since = outage.as_ref().map_or_else(Instant::now, |outage| outage.since);
        *outage = Some(Outage { since, said: complaint });
    }
}
