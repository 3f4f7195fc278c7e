//! What the driver counts: exchanges and how they ended, and publishes that had to do with old credentials. Labels are names of the
//! configuration and words of this code: nothing that a pod's author or a server has written.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

const SECONDS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0];

/// The driver's counters; clones count together.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    exchanges: Family<Outcome, Counter>,
    durations: Family<Of, Histogram, fn() -> Histogram>,
    kept: Family<Of, Counter>,
    expired: Family<Of, Counter>,
    reloads: Family<Reload, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reload {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    exchange: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    exchange: String,
}

impl Default for Metrics {
    fn default() -> Self {
        let durations = Family::new_with_constructor((|| Histogram::new(SECONDS)) as fn() -> Histogram);
        let (exchanges, kept, expired) = (Family::default(), Family::default(), Family::default());
        Self(Arc::new(Inner { exchanges, durations, kept, expired, reloads: Family::default() }))
    }
}

impl Metrics {
    /// Adds the counters to those of a plugin. [`serve`](crate::serve) does that by itself.
    pub fn register_in(&self, plugin: &tokenward_driver::Metrics) {
        plugin.register(
            "workload_credentials_exchanges",
            "Exchanges by how they ended: granted, or the kind of failure",
            self.0.exchanges.clone(),
        );
        plugin.register(
            "workload_credentials_exchange_seconds",
            "How long exchanges took, attempts and pauses together",
            self.0.durations.clone(),
        );
        plugin.register(
            "workload_credentials_kept",
            "Publishes that kept the last good credentials because the exchange failed",
            self.0.kept.clone(),
        );
        plugin.register(
            "workload_credentials_expired",
            "Publishes that failed because the exchange failed and there were no valid credentials to keep",
            self.0.expired.clone(),
        );
        plugin.register(
            "workload_credentials_configuration_reloads",
            "Changes of the configuration's files: replaced, or refused because it could not be used",
            self.0.reloads.clone(),
        );
    }

    pub(crate) fn exchanged(&self, exchange: &str, outcome: &'static str, took: Duration) {
        let exchange = exchange.to_owned();
        self.0.durations.get_or_create(&Of { exchange: exchange.clone() }).observe(took.as_secs_f64());
        self.0.exchanges.get_or_create(&Outcome { exchange, outcome }).inc();
    }

    pub(crate) fn kept(&self, exchange: &str) {
        self.0.kept.get_or_create(&Of { exchange: exchange.to_owned() }).inc();
    }

    pub(crate) fn expired(&self, exchange: &str) {
        self.0.expired.get_or_create(&Of { exchange: exchange.to_owned() }).inc();
    }

    pub(crate) fn reloaded(&self, outcome: &'static str) {
        self.0.reloads.get_or_create(&Reload { outcome }).inc();
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

#[cfg(test)]
mod tests {
    use tokenward_driver::DriverName;

    use super::*;

    #[test]
    fn counters_are_written_by_exchange() {
        let metrics = Metrics::default();
        metrics.exchanged("aws", "granted", Duration::from_millis(20));
        metrics.exchanged("aws", "refused", Duration::from_millis(20));
        metrics.kept("aws");
        metrics.expired("vault");
        metrics.reloaded("refused");
        let plugin = tokenward_driver::Metrics::new(&DriverName::parse("a").unwrap());
        metrics.register_in(&plugin);
        let text = plugin.render();
        for line in [
            r#"workload_credentials_exchanges_total{exchange="aws",outcome="granted"} 1"#,
            r#"workload_credentials_exchanges_total{exchange="aws",outcome="refused"} 1"#,
            r#"workload_credentials_exchange_seconds_count{exchange="aws"} 2"#,
            r#"workload_credentials_kept_total{exchange="aws"} 1"#,
            r#"workload_credentials_expired_total{exchange="vault"} 1"#,
            r#"workload_credentials_configuration_reloads_total{outcome="refused"} 1"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
