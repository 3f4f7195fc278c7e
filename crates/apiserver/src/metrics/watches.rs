//! Watches: how many are under way, and how many events they have sent.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokenward_kube_schema::{Kind, Verb};

use super::Metrics;
use super::labels::{KindLabels, ReadingLabels};
use super::requests::labels;
use super::sizes::Sizes;
use crate::query::Query;
use crate::request::ResourcePath;

/// All series of watches.
pub(super) struct Watches {
    running: Family<ReadingLabels, Gauge>,
    events: Family<KindLabels, Counter>,
    sizes: Family<KindLabels, Sizes>,
}

impl Watches {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let running = Family::default();
        registry.register("apiserver_longrunning_requests", "Watches that are under way", running.clone());
        let events = Family::default();
        registry.register("apiserver_watch_events", "Events that were sent to watches", events.clone());
        let sizes = Family::default();
        registry.register(
            "apiserver_watch_events_sizes",
            "Bytes of events that were sent to watches",
            sizes.clone(),
        );
        Self { running, events, sizes }
    }
}

/// The counters of one watch, which is under way for as long as they are there.
pub(crate) struct WatchCounters {
    running: Gauge,
    events: Counter,
    sizes: Sizes,
}

impl Metrics {
    /// A watch begins.
    pub(crate) fn watch(&self, kind: &'static Kind, path: &ResourcePath) -> WatchCounters {
        let place = labels(Some(kind), path, Verb::Watch, &Query::default());
        let running = self.watches.running.get_or_create_owned(&place.into());
        running.inc();
        let of = KindLabels { group: kind.group, version: kind.version, kind: kind.kind };
        let events = self.watches.events.get_or_create_owned(&of);
        WatchCounters { running, events, sizes: self.watches.sizes.get_or_create_owned(&of) }
    }
}

impl WatchCounters {
    /// An event of so many bytes goes out.
    pub(crate) fn event(&self, bytes: usize) {
        self.events.inc();
        self.sizes.observe(bytes);
    }
}

impl Drop for WatchCounters {
    fn drop(&mut self) {
        self.running.dec();
    }
}
