//! How often somebody may do something: token buckets, alone or by key, with bounded memory.
//!
//! A bucket holds `burst` tokens at most and is refilled at an even rate; what is done takes tokens out. It is kept as
//! one moment, that at which it will be full again, so an absent bucket is a full one and no timer is needed (the
//! generic cell rate algorithm in its virtual-scheduling form). Time comes in from outside.
//!
//! Never waits, and never logs: who is refused is told for how long.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How fast a bucket fills, and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Time for one token.
    interval: Duration,
    /// Tokens of a full bucket.
    burst: u32,
}

impl Rate {
    /// So many in each period, evenly, and up to `burst` at once; at least one. `None`, which stands for no limit, when
    /// it is none in each period.
    pub fn new(count: u32, period: Duration, burst: u32) -> Option<Self> {
        let interval = period.checked_div(count)?;
        Some(Self { interval, burst: burst.max(1) })
    }

    /// So many in a second, up to `burst` at once.
    pub fn per_second(count: u32, burst: u32) -> Option<Self> {
        Self::new(count, Duration::from_secs(1), burst)
    }

    /// So many in a minute, all at once if need be.
    pub fn per_minute(count: u32) -> Option<Self> {
        Self::new(count, Duration::from_secs(60), count)
    }

    /// So many in an hour, all at once if need be.
    pub fn per_hour(count: u32) -> Option<Self> {
        Self::new(count, Duration::from_secs(3600), count)
    }
}

/// Refused for now: after this time, if nobody else takes anything, the same will be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too often: try again in {} ms", .0.as_millis().max(1))]
pub struct RetryIn(pub Duration);

/// One bucket, for whoever has a place to keep it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// `None` is full.
    full_at: Option<Instant>,
}

impl Bucket {
    /// Takes `cost` tokens out. A cost above the burst counts as the burst, or it could never be paid.
    ///
    /// # Errors
    /// There are too few; nothing was taken.
    pub fn take(&mut self, rate: &Rate, cost: u32, now: Instant) -> Result<(), RetryIn> {
        let emptied = |tokens: u32| rate.interval.saturating_mul(tokens);
        let start = self.full_at.map_or(now, |full_at| full_at.max(now));
        let full_at = start.checked_add(emptied(cost.min(rate.burst)));
        // How far the bucket would be from full. An empty one is a whole burst away.
        let deficit = full_at.map_or(Duration::MAX, |full_at| full_at.duration_since(now));
        match deficit.checked_sub(emptied(rate.burst)) {
            None | Some(Duration::ZERO) => {
                self.full_at = full_at;
                Ok(())
            }
            Some(wait) => Err(RetryIn(wait)),
        }
    }

    fn is_full(&self, now: Instant) -> bool {
        self.full_at.is_none_or(|full_at| full_at <= now)
    }
}

/// Locks, so that threads seldom wait for each other.
const SHARDS: usize = 16;

/// A bucket for each key.
///
/// Of a key only a hash is kept, seeded anew in each process. Memory is bounded by the number of buckets, not by what
/// keys look like: when there are too many, those that were not used for longest are forgotten, which fills them.
/// So a flood of new keys makes the limit generous for those that are seldom seen, never strict for anybody.
#[derive(Debug)]
pub struct Limiter {
    rate: Option<Rate>,
    hasher: RandomState,
    shards: [Mutex<Generations>; SHARDS],
    /// How large a generation of a shard may become.
    generation: usize,
    refused: AtomicU64,
}

/// Buckets that were used lately, and before that. When the first are too many, the second are forgotten.
#[derive(Debug, Default)]
struct Generations {
    young: HashMap<u64, Bucket>,
    old: HashMap<u64, Bucket>,
}

impl Limiter {
    /// Limits each key to the rate (`None`: not at all), and keeps `capacity` buckets at most, rounded up to a few.
    pub fn new(rate: Option<Rate>, capacity: usize) -> Self {
        Self {
            rate,
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Mutex::default()),
            generation: capacity.div_ceil(2 * SHARDS).max(1),
            refused: AtomicU64::new(0),
        }
    }

    /// Takes `cost` tokens from the key's bucket. A cost above the burst counts as the burst.
    ///
    /// # Errors
    /// There are too few; nothing was taken.
    pub fn take(&self, key: impl Hash, cost: u32, now: Instant) -> Result<(), RetryIn> {
        let Some(rate) = &self.rate else { return Ok(()) };
        let hash = self.hasher.hash_one(key);
        let shard = &self.shards[hash as usize % SHARDS];
        let mut buckets = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = buckets.bucket(hash, self.generation, now).take(rate, cost, now);
        taken.inspect_err(|_| _ = self.refused.fetch_add(1, Relaxed))
    }

    /// How often somebody was refused, since the start.
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    /// How many buckets are kept.
    pub fn len(&self) -> usize {
        let kept = |shard: &Mutex<Generations>| {
            let buckets = shard.lock().unwrap_or_else(PoisonError::into_inner);
            buckets.young.len() + buckets.old.len()
        };
        self.shards.iter().map(kept).sum()
    }

    /// Whether there is no bucket: nobody has done anything yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Generations {
    fn bucket(&mut self, hash: u64, limit: usize, now: Instant) -> &mut Bucket {
        if self.young.len() >= limit && !self.young.contains_key(&hash) {
            // Full buckets are what absent ones are, and need no place. If all are in use, a whole generation goes.
            self.young.retain(|_, bucket| !bucket.is_full(now));
            if self.young.len() * 2 > limit {
                self.old = std::mem::take(&mut self.young);
            }
        }
        let old = self.old.remove(&hash);
        self.young.entry(hash).or_insert_with(|| old.unwrap_or_default())
    }
}

/// What counts as one address in limits: an IPv4 address, or the network of 64 bits that an IPv6 host chooses its
/// addresses from at will.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_burst_then_the_rate() {
        let rate = Rate::per_second(10, 3).unwrap();
        let (mut bucket, start) = (Bucket::default(), Instant::now());
        for _ in 0..3 {
            assert_eq!(bucket.take(&rate, 1, start), Ok(()));
        }
        assert_eq!(bucket.take(&rate, 1, start), Err(RetryIn(ms(100))));
        assert_eq!(bucket.take(&rate, 1, start + ms(99)), Err(RetryIn(ms(1))));
        assert_eq!(bucket.take(&rate, 1, start + ms(100)), Ok(()));
        assert_eq!(bucket.take(&rate, 2, start + ms(100)), Err(RetryIn(ms(200))), "what it costs, not one");
        assert_eq!(bucket.take(&rate, 3, start + SECOND), Ok(()), "it is full again, and holds no more");
        assert_eq!(bucket.take(&rate, 1, start + SECOND), Err(RetryIn(ms(100))));
    }

    #[test]
    fn costs_beyond_the_burst_empty_the_bucket() {
        let rate = Rate::per_second(10, 3).unwrap();
        let (mut bucket, start) = (Bucket::default(), Instant::now());
        assert_eq!(bucket.take(&rate, u32::MAX, start), Ok(()));
        assert_eq!(bucket.take(&rate, u32::MAX, start), Err(RetryIn(ms(300))));
        assert_eq!(bucket.take(&rate, 0, start), Ok(()), "nothing is always to be had");
        assert_eq!(bucket.take(&rate, 1, start), Err(RetryIn(ms(100))));
    }

    #[test]
    fn a_clock_that_seems_to_go_back_gives_nothing_away() {
        // Threads read the clock before they wait for the lock.
        let rate = Rate::per_second(1, 1).unwrap();
        let (mut bucket, start) = (Bucket::default(), Instant::now() + 10 * SECOND);
        assert_eq!(bucket.take(&rate, 1, start), Ok(()));
        assert_eq!(bucket.take(&rate, 1, start - SECOND), Err(RetryIn(2 * SECOND)));
    }

    #[test]
    fn none_in_a_period_is_no_limit() {
        assert_eq!(Rate::per_second(0, 5), None);
        let limiter = Limiter::new(Rate::per_minute(0), 100);
        let now = Instant::now();
        for _ in 0..1000 {
            assert_eq!(limiter.take("anybody", 1, now), Ok(()));
        }
        assert!(limiter.is_empty());
    }

    #[test]
    fn keys_do_not_pay_for_each_other() {
        let limiter = Limiter::new(Rate::per_minute(2), 1000);
        let now = Instant::now();
        for key in ["alice", "bob"] {
            assert_eq!(limiter.take(key, 1, now), Ok(()));
            assert_eq!(limiter.take(key, 1, now), Ok(()));
            assert_eq!(limiter.take(key, 1, now), Err(RetryIn(30 * SECOND)));
        }
        assert_eq!(limiter.len(), 2);
        assert_eq!(limiter.take("alice", 1, now + 30 * SECOND), Ok(()));
    }

    #[test]
    fn full_buckets_make_room_before_used_ones_are_forgotten() {
        let limiter = Limiter::new(Rate::per_minute(1), 2 * SHARDS * 100);
        let start = Instant::now();
        // More keys than fit, but each is full again a minute later.
        for minute in 0..20_u32 {
            let now = start + minute * 60 * SECOND;
            assert_eq!(limiter.take("constant", 1, now), Ok(()));
            for key in 0..800_u32 {
                assert_eq!(limiter.take((minute, key), 1, now), Ok(()));
            }
            assert_eq!(limiter.take("constant", 1, now), Err(RetryIn(60 * SECOND)), "minute {minute}");
        }
        assert!(limiter.len() <= 2 * SHARDS * 100);
    }

    #[test]
    fn a_key_in_use_outlives_a_flood_of_others() {
        let limiter = Limiter::new(Rate::per_hour(1), 1000);
        let now = Instant::now();
        assert_eq!(limiter.take("victim", 1, now), Ok(()));
        for key in 0..100_000_u32 {
            let _ = limiter.take(key, 1, now);
            if key % 100 == 0 {
                assert!(limiter.take("victim", 1, now).is_err(), "forgotten after {key} others");
            }
        }
        assert!(limiter.len() <= 1000 + 2 * SHARDS, "{}", limiter.len());
    }

    #[test]
    fn addresses_of_one_host_are_one() {
        let net = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(net("192.0.2.7"), "192.0.2.7");
        assert_eq!(net("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(net("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(net("::1"), "::");
    }

    proptest! {
        #[test]
        fn never_more_than_the_burst_and_the_rate(
            count in 1..1000_u32,
            burst in 1..100_u32,
            steps in prop::collection::vec((0..5_u32, 0..200_u64), 1..200),
        ) {
            let rate = Rate::per_second(count, burst).unwrap();
            let limiter = Limiter::new(Some(rate), 10);
            let start = Instant::now();
            let (mut now, mut taken) = (start, 0_u64);
            for (cost, pause) in steps {
                now += ms(pause);
                let retry = limiter.take("key", cost, now);
                if retry.is_ok() {
                    taken += u64::from(cost.min(burst));
                }
                let filled = (now - start).as_nanos() / rate.interval.as_nanos();
                prop_assert!(u128::from(taken) <= u128::from(burst) + filled, "{taken} after {:?}", now - start);
                if let Err(RetryIn(wait)) = retry {
                    prop_assert!(!wait.is_zero());
                    now += wait;
                    prop_assert_eq!(limiter.take("key", cost, now), Ok(()), "after waiting as told");
                    taken += u64::from(cost.min(burst));
                }
            }
        }

        #[test]
        fn memory_is_bounded(capacity in 0..500_usize, keys in prop::collection::vec(any::<u16>(), 0..2000)) {
            let limiter = Limiter::new(Rate::per_hour(1), capacity);
            let now = Instant::now();
            for (at, key) in keys.iter().enumerate() {
                let _ = limiter.take(key, 1, now + ms(at as u64));
            }
            prop_assert!(limiter.len() <= capacity + 2 * SHARDS, "{} of {capacity}", limiter.len());
        }
    }
}
