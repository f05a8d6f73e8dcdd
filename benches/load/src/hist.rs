//! A latency histogram: log-linear buckets, 64 to each power of two, so a reported value is at most 1.6 % above
//! the true one. Recording is an index and an add; it never allocates and never drops a value.

use serde::Serialize;

const SUB_BITS: u32 = 6;
const SUB: usize = 1 << SUB_BITS;
const BUCKETS: usize = (64 - SUB_BITS as usize + 1) * SUB;

pub struct Histogram {
    counts: Box<[u64]>,
    total: u64,
    max: u64,
}

/// Percentiles in microseconds.
#[derive(Debug, Clone, Serialize, serde::Deserialize)]
pub struct Percentiles {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

fn bucket(value: u64) -> usize {
    if value < SUB as u64 {
        return value as usize;
    }
    let shift = 63 - value.leading_zeros() - SUB_BITS;
    (shift as usize + 1) * SUB + ((value >> shift) as usize - SUB)
}

/// The largest value that falls into the bucket.
fn upper_bound(bucket: usize) -> u64 {
    if bucket < SUB {
        return bucket as u64;
    }
    let shift = bucket / SUB - 1;
    let lower = ((SUB + bucket % SUB) as u64) << shift;
    lower + ((1u64 << shift) - 1)
}

impl Histogram {
    pub fn new() -> Self {
        Self { counts: vec![0; BUCKETS].into_boxed_slice(), total: 0, max: 0 }
    }

    #[inline]
    pub fn record(&mut self, value: u64) {
        self.counts[bucket(value)] += 1;
        self.total += 1;
        self.max = self.max.max(value);
    }

    /// What another process needs to take this in: bucket and count of those that hold something.
    pub fn counts(&self) -> Vec<(usize, u64)> {
        self.counts.iter().copied().enumerate().filter(|(_, count)| *count > 0).collect()
    }

    pub fn add_counts(&mut self, counts: &[(usize, u64)]) {
        for &(bucket, count) in counts {
            self.counts[bucket] += count;
            self.total += count;
            self.max = self.max.max(upper_bound(bucket));
        }
    }

    /// The smallest bucket bound that at least `quantile` (0 to 1) of the values do not exceed; 0 when empty.
    pub fn quantile(&self, quantile: f64) -> u64 {
        let rank = ((self.total as f64 * quantile).ceil() as u64).clamp(1, self.total.max(1));
        let mut seen = 0;
        for (index, &count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return upper_bound(index).min(self.max);
            }
        }
        0
    }

    /// For values recorded in nanoseconds; `None` when there are none.
    pub fn percentiles_us(&self) -> Option<Percentiles> {
        let us = |ns: u64| (ns as f64 / 100.0).round() / 10.0;
        (self.total > 0).then(|| Percentiles {
            p50: us(self.quantile(0.5)),
            p90: us(self.quantile(0.9)),
            p99: us(self.quantile(0.99)),
            p999: us(self.quantile(0.999)),
            max: us(self.max),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_within_its_bucket() {
        let mut probes: Vec<u64> = (0..5000).collect();
        for shift in 0..64 {
            probes.extend([(1u64 << shift) - 1, 1 << shift, (1u64 << shift) | 1]);
        }
        probes.push(u64::MAX);
        for value in probes {
            let index = bucket(value);
            assert!(index < BUCKETS, "{value} is out of the table");
            assert!(upper_bound(index) >= value, "{value} is above its bucket {index}");
            assert!(index == 0 || upper_bound(index - 1) < value, "{value} belongs below bucket {index}");
            assert!(upper_bound(index) - value <= value / SUB as u64, "{value} is reported too coarsely");
        }
    }

    #[test]
    fn counts_are_taken_in() {
        let (mut one, mut two) = (Histogram::new(), Histogram::new());
        (1..=50).for_each(|v| one.record(v));
        (51..=60).for_each(|v| two.record(v));
        two.add_counts(&one.counts());
        assert_eq!((two.quantile(0.5), two.quantile(1.0)), (30, 60));
    }

    #[test]
    fn quantiles_of_a_known_series() {
        let mut hist = Histogram::new();
        assert_eq!(hist.quantile(0.5), 0);
        assert!(hist.percentiles_us().is_none());
        (1..=100).for_each(|v| hist.record(v * 1000));
        for (quantile, exact) in [(0.0, 1000), (0.5, 50_000), (0.99, 99_000), (1.0, 100_000)] {
            let got = hist.quantile(quantile);
            assert!(
                got >= exact && got <= exact + exact / SUB as u64,
                "q{quantile}: {got}, not about {exact}"
            );
        }
        assert_eq!(hist.percentiles_us().unwrap().max, 100.0);
    }
}
