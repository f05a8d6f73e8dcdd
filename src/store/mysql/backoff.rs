//! Pauses between attempts, different on each node, so that they do not all come at once.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LAST: Duration = Duration::from_secs(5);

/// Growing pauses. The first attempt needs none.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    last: Option<Duration>,
}

impl Backoff {
    /// How long to wait before the next attempt.
    pub fn delay(&mut self) -> Duration {
        let last = self.last;
        self.last = Some(last.map_or(FIRST / 2, |last| (2 * last).min(LAST)));
        if last.is_none() { Duration::ZERO } else { jittered(self.last.unwrap_or(LAST)) }
    }
}

/// Between half of it and all of it, at random.
pub(super) fn jittered(pause: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or(u32::MAX);
    pause.mul_f64(0.5 + f64::from(random) / f64::from(u32::MAX) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.delay(), Duration::ZERO);
        for ms in [100, 200, 400, 800, 1600, 3200, 5000, 5000] {
            let most = Duration::from_millis(ms);
            let delay = backoff.delay();
            assert!((most / 2..=most).contains(&delay), "{delay:?} of {most:?}");
        }
    }
}
