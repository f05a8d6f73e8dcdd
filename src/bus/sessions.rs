//! Where a node leaves the sessions of clients that were cut off, for whichever node they come back to.
//!
//! What is left is small and short-lived: who the session was and where, not what its client missed.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{BusError, BusFuture};

/// Sessions by private id, for all nodes of a cluster. The methods may be called from any thread, and none blocks.
pub trait Sessions: fmt::Debug + Send + Sync + 'static {
    /// Leaves a session for so long, in place of an earlier one of that id. Once it resolves with `Ok`, every node can take
    /// it.
    fn put(&self, pid: &str, session: Bytes, keep: Duration) -> BusFuture<Result<(), BusError>>;

    /// Takes a session away. However many ask at once, on however many nodes: one of them gets it.
    fn take(&self, pid: &str) -> BusFuture<Result<Option<Bytes>, BusError>>;
}

/// Sessions of nodes that live in one process.
#[derive(Default)]
pub struct LocalSessions(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    by_pid: HashMap<Box<str>, (Instant, Bytes)>,
    /// As many as there were when those whose time is over were last looked for.
    looked_at: usize,
}

impl fmt::Debug for LocalSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LocalSessions")
    }
}

impl LocalSessions {
    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sessions for LocalSessions {
    fn put(&self, pid: &str, session: Bytes, keep: Duration) -> BusFuture<Result<(), BusError>> {
        let now = Instant::now();
        let mut kept = self.kept();
        // Each time they have doubled: a constant share of the work of putting them in.
        if kept.by_pid.len() >= 2 * kept.looked_at.max(16) {
            kept.by_pid.retain(|_, (until, _)| *until > now);
            kept.looked_at = kept.by_pid.len();
        }
        kept.by_pid.insert(pid.into(), (now + keep, session));
        Box::pin(std::future::ready(Ok(())))
    }

    fn take(&self, pid: &str) -> BusFuture<Result<Option<Bytes>, BusError>> {
        let taken = self.kept().by_pid.remove(pid).filter(|(until, _)| *until > Instant::now());
        Box::pin(std::future::ready(Ok(taken.map(|(_, session)| session))))
    }
}

#[cfg(test)]
mod tests {
    use super::super::sessions_contract as contract;
    use super::*;

    contract::sessions_contract_tests!(((), std::sync::Arc::new(LocalSessions::default())));

    #[tokio::test]
    async fn what_nobody_takes_does_not_pile_up() {
        let sessions = LocalSessions::default();
        for n in 0..10_000 {
            sessions.put(&n.to_string(), Bytes::new(), Duration::ZERO).await.unwrap();
        }
        assert!(sessions.kept().by_pid.len() < 100);
    }
}
