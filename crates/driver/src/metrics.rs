//! What a plugin counts: where tokens were found, calls by method and code, and how long they took.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::encoding::{EncodeLabelSet, prometheus_text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};
use tokenward_transport::code_name;
use tonic::Code;

use crate::name::DriverName;
use crate::token_set::{KeyPresence, ReadFrom};

/// csi-lib-utils' buckets, and finer ones below them: a volume of tokens takes less than a millisecond.
const SECONDS: [f64; 18] = [
    0.0005, 0.001, 0.005, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 25.0, 50.0, 120.0, 300.0,
    600.0,
];

/// The metrics of a plugin, as Prometheus reads them.
///
/// Above all `tokens_found_total{source="secrets"|"volume_context"|"none"}`, one for each NodePublishVolume by the place that the driver
/// reads the tokens from. On all nodes `volume_context` stands still: the fallback is not used any more. Calls have the name
/// and labels of csi-lib-utils, `csi_plugin_operations_seconds`.
///
/// ```
/// use tokenward_driver::prometheus_client::metrics::counter::Counter;
/// use tokenward_driver::{DriverName, Metrics};
///
/// let metrics = Metrics::new(&DriverName::parse("vault.example")?);
/// let exchanges: Counter = Counter::default();
/// metrics.register("vault_exchanges", "Tokens exchanged for credentials", exchanges.clone());
/// exchanges.inc();
/// let text = metrics.render();
/// assert!(text.contains("vault_exchanges_total 1"));
/// assert!(text.contains(r#"tokens_found_total{source="secrets"} 0"#));
/// # Ok::<(), tokenward_driver::DriverNameError>(())
/// ```
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    driver_name: String,
    registry: Mutex<Registry>,
    found: Family<SourceLabels, Counter>,
    durations: Family<OperationLabels, Histogram, fn() -> Histogram>,
    in_progress: Gauge,
    panics: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceLabels {
    source: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabels {
    driver_name: String,
    method_name: &'static str,
    grpc_status_code: &'static str,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Metrics").field(&self.0.driver_name).finish()
    }
}

impl Metrics {
    /// All at zero.
    ///
    /// Shown at [`Metrics`].
    #[must_use]
    pub fn new(driver: &DriverName) -> Self {
        let mut registry = Registry::default();
        let found = Family::<SourceLabels, Counter>::default();
        for source in ["secrets", "volume_context", "none"] {
            found.get_or_create(&SourceLabels { source }).inc_by(0);
        }
        let help = "NodePublishVolume calls by the field in which the driver found service account tokens";
        registry.register("tokens_found", help, found.clone());
        let durations: Family<OperationLabels, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(SECONDS));
        registry.register("csi_plugin_operations_seconds", "Seconds of each CSI call", durations.clone());
        let in_progress = Gauge::default();
        let help = "CSI calls that are under way or wait for their volume";
        registry.register("csi_plugin_operations_in_progress", help, in_progress.clone());
        let panics = Counter::default();
        registry.register("csi_plugin_panics", "CSI calls that ended in a panic", panics.clone());
        let driver_name = driver.as_str().to_owned();
        Self(Arc::new(Inner {
            driver_name,
            registry: Mutex::new(registry),
            found,
            durations,
            in_progress,
            panics,
        }))
    }

    /// Adds a metric of the driver's own.
    ///
    /// Shown at [`Metrics`].
    pub fn register(&self, name: &str, help: &str, metric: impl Metric) {
        self.0.registry.lock().register(name, help, metric);
    }

    /// The text of `/metrics`.
    ///
    /// Shown at [`Metrics`].
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        prometheus_text::encode(&mut text, &self.0.registry.lock())
            .expect("a string takes all that is written");
        text
    }

    pub(crate) fn published(&self, presence: KeyPresence, read: ReadFrom) {
        let source = match presence {
            KeyPresence { secrets: true, .. } if read == ReadFrom::SecretsThenVolumeContext => "secrets",
            KeyPresence { volume_context: true, .. } => "volume_context",
            _ => "none",
        };
        self.0.found.get_or_create(&SourceLabels { source }).inc();
    }

    /// Counts a call as under way until the value is dropped.
    pub(crate) fn in_progress(&self) -> InProgress {
        self.0.in_progress.inc();
        InProgress(self.0.in_progress.clone())
    }

    pub(crate) fn panicked(&self) {
        self.0.panics.inc();
    }

    pub(crate) fn answered(&self, method_name: &'static str, code: Code, duration: Duration) {
        let labels = OperationLabels {
            driver_name: self.0.driver_name.clone(),
            method_name,
            grpc_status_code: code_name(code),
        };
        self.0.durations.get_or_create(&labels).observe(duration.as_secs_f64());
    }
}

/// A call that is under way.
#[derive(Debug)]
pub(crate) struct InProgress(Gauge);

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_is_the_one_that_the_driver_reads() {
        let (new, old) = (ReadFrom::SecretsThenVolumeContext, ReadFrom::VolumeContextOnly);
        let table = [
            (new, true, false, "secrets"),
            (new, false, true, "volume_context"),
            (new, true, true, "secrets"),
            (new, false, false, "none"),
            (old, true, false, "none"),
            (old, true, true, "volume_context"),
        ];
        for (read, secrets, volume_context, source) in table {
            let metrics = Metrics::new(&DriverName::parse("a").unwrap());
            metrics.published(KeyPresence { secrets, volume_context }, read);
            for each in ["secrets", "volume_context", "none"] {
                let line = format!("tokens_found_total{{source=\"{each}\"}} {}\n", u8::from(each == source));
                assert!(metrics.render().contains(&line), "{}", metrics.render());
            }
        }
    }

    #[test]
    fn calls_have_the_names_of_csi_lib_utils() {
        let metrics = Metrics::new(&DriverName::parse("a").unwrap());
        let method = "/csi.v1.Node/NodePublishVolume";
        metrics.answered(method, Code::Ok, Duration::from_millis(2));
        metrics.answered(method, Code::Cancelled, Duration::from_secs(2));
        let under_way = metrics.in_progress();
        let text = metrics.render();
        for line in [
            r#"csi_plugin_operations_seconds_count{driver_name="a",method_name="/csi.v1.Node/NodePublishVolume",grpc_status_code="OK"} 1"#,
            r#"csi_plugin_operations_seconds_count{driver_name="a",method_name="/csi.v1.Node/NodePublishVolume",grpc_status_code="Canceled"} 1"#,
            "csi_plugin_operations_in_progress 1",
            "csi_plugin_panics_total 0",
        ] {
            assert!(text.contains(line), "{line} is not in:\n{text}");
        }
        drop(under_way);
        assert!(metrics.render().contains("csi_plugin_operations_in_progress 0"));
    }
}
