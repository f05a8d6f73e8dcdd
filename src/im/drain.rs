//! A node that is about to stop moves its clients away: not all at once, so that the others see no stampede.

use std::time::Duration;

use serde_json::json;

use super::Im;
use crate::ids::random_bytes;

impl Im {
    /// Tells every client when it is to go, at a random moment within `window`, and closes its connection then.
    /// What it asks until then is still done.
    pub async fn drain(&self, window: Duration) {
        let mut plan: Vec<_> = self
            .roster
            .all_connections()
            .into_iter()
            .map(|connection| (window.mul_f64(fraction()), connection.socket))
            .collect();
        plan.sort_by_key(|(after, _)| *after);
        for (after, socket) in &plan {
            let in_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
            socket.emit("draining", json!({ "reconnectInMs": in_ms }));
        }
        let start = tokio::time::Instant::now();
        for (after, socket) in plan {
            tokio::time::sleep_until(start + after).await;
            socket.close_for_shutdown();
        }
    }
}

/// From 0 to 1, at random.
fn fraction() -> f64 {
    f64::from(u32::from_ne_bytes(random_bytes())) / f64::from(u32::MAX)
}
