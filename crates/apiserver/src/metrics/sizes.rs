//! A histogram of sizes that is as cheap as a few counters: events of watches are counted by every watcher.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// Upstream's buckets: doubling from 1 KiB to 128 KiB; the last is for what is larger.
const BUCKETS: usize = 9;
const SMALLEST: u64 = 1024;

/// Sizes in bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Sizes(Arc<Tally>);

#[derive(Debug, Default)]
struct Tally {
    sum: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
}

impl Sizes {
    pub(super) fn observe(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let doublings = bytes.saturating_sub(1) / SMALLEST;
        let bucket = (u64::BITS - doublings.leading_zeros()) as usize;
        self.0.sum.fetch_add(bytes, Ordering::Relaxed);
        self.0.buckets[bucket.min(BUCKETS - 1)].fetch_add(1, Ordering::Relaxed);
    }
}

impl EncodeMetric for Sizes {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        let counts = self.0.buckets.each_ref().map(|bucket| bucket.load(Ordering::Relaxed));
        // What is beyond the last bound is in the count of all alone.
        let bounded = counts.iter().enumerate().take(BUCKETS - 1);
        let buckets: Vec<(f64, u64)> =
            bounded.map(|(bucket, count)| ((SMALLEST << bucket) as f64, *count)).collect();
        let sum = self.0.sum.load(Ordering::Relaxed) as f64;
        encoder.encode_histogram::<NoLabelSet>(sum, counts.iter().sum(), &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for Sizes {
    const TYPE: MetricType = MetricType::Histogram;
}
