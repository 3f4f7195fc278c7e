//! What the node counts: the kubelet's metrics of volumes under their names, and what a kubelet lacks: how tokens were come by,
//! how old they are and how long they still live when they are delivered, and where they are placed.
//!
//! Labels hold names of drivers and audiences, and no token. Both come from objects that a cluster's administrator makes,
//! but a pod's author may name any driver: after some hundreds the rest is `other`.

mod labels;

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tokenward_tokens::Placement;

use self::labels::{
    AskedLabels, CsiLabels, DeliveryLabels, DriverLabels, FetchLabels, OperationLabels, PluginLabels,
    TotalLabels, VolumeLabels,
};
use crate::status::NodeStatus;
use crate::token_manager::Origin;

/// The text format's Content-Type, as Kubernetes' components write it.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The kubelet's buckets for operations of storage.
const SECONDS: [f64; 13] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 25.0, 50.0, 120.0, 300.0, 600.0];

/// From half a minute to a day: lives of tokens.
const LIVES: [f64; 12] =
    [30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0, 21600.0, 43200.0, 86400.0];

/// Most names of a kind that get series of their own.
const MOST_NAMES: usize = 256;
/// The name of all others.
const OTHER: &str = "other";

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// All series of one node.
pub struct Metrics {
    registry: Registry,
    names: Mutex<HashSet<String>>,
    csi: Histograms<CsiLabels>,
    operations: Histograms<OperationLabels>,
    mounts: Histograms<TotalLabels>,
    asked: Family<AskedLabels, Counter>,
    fetched: Family<FetchLabels, Counter>,
    deliveries: Family<DeliveryLabels, Counter>,
    ages: Histograms<DriverLabels>,
    left: Histograms<DriverLabels>,
    volumes: Family<VolumeLabels, Gauge>,
    tokens: Gauge,
    plugins: Family<PluginLabels, Gauge>,
    sockets: Mutex<Sockets>,
}

/// The sockets of the plugin registry: those that are there, and those that have been dealt with.
#[derive(Default)]
struct Sockets {
    desired: Vec<PathBuf>,
    actual: Vec<PathBuf>,
}

/// How an operation of the planner is called in upstream's metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// NodePublishVolume and all that belongs to it.
    VolumeMount,
    /// NodeUnpublishVolume.
    VolumeUnmount,
    /// NodeStageVolume.
    DeviceMount,
    /// NodeUnstageVolume.
    DeviceUnmount,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::VolumeMount => "volume_mount",
            Self::VolumeUnmount => "volume_unmount",
            Self::DeviceMount => "device_mount",
            Self::DeviceUnmount => "unmount_device",
        }
    }
}

/// A delivery, as far as it is counted.
#[derive(Clone, Copy, Debug)]
pub struct Delivered<'a> {
    /// The driver.
    pub driver: &'a str,
    /// Where the tokens were; none when the driver asks for none.
    pub placement: Option<Placement>,
    /// Whether it was mounted already.
    pub is_republish: bool,
    /// Of each token: how old it was, and how long it had to live.
    pub lives: &'a [(Duration, Duration)],
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let seconds: fn() -> Histogram = || Histogram::new(SECONDS);
        let lives: fn() -> Histogram = || Histogram::new(LIVES);
        let metrics = Self {
            csi: Family::new_with_constructor(seconds),
            operations: Family::new_with_constructor(seconds),
            mounts: Family::new_with_constructor(seconds),
            ages: Family::new_with_constructor(lives),
            left: Family::new_with_constructor(lives),
            asked: Family::default(),
            fetched: Family::default(),
            deliveries: Family::default(),
            volumes: Family::default(),
            tokens: Gauge::default(),
            plugins: Family::default(),
            sockets: Mutex::default(),
            names: Mutex::default(),
            registry: Registry::default(),
        };
        let help = "Container Storage Interface operation duration with gRPC error code status total";
        registry.register("csi_operations_seconds", help, metrics.csi.clone());
        let help = "Storage operation duration";
        registry.register("storage_operation_duration_seconds", help, metrics.operations.clone());
        let help = "Seconds from the moment a volume was wanted to its mount";
        registry.register("volume_operation_total_seconds", help, metrics.mounts.clone());
        let help = "Tokens that a publish asked for, by where they came from";
        registry.register("tokenward_tokens_asked", help, metrics.asked.clone());
        let help = "TokenRequests that were answered, by outcome";
        registry.register("tokenward_token_requests", help, metrics.fetched.clone());
        let help = "Successful publishes, by where the tokens were";
        registry.register("tokenward_deliveries", help, metrics.deliveries.clone());
        let help = "Seconds since a token was issued when it is delivered";
        registry.register("tokenward_token_age_at_delivery_seconds", help, metrics.ages.clone());
        let help = "Seconds that a token has to live when it is delivered";
        registry.register("tokenward_token_left_at_delivery_seconds", help, metrics.left.clone());
        let help = "Volumes of pods on this node, by state";
        registry.register("tokenward_volumes", help, metrics.volumes.clone());
        registry.register("tokenward_tokens", "Tokens in memory", metrics.tokens.clone());
        registry.register(
            "plugin_manager_total_plugins",
            "Number of plugins in Plugin Manager",
            metrics.plugins.clone(),
        );
        Self { registry, ..metrics }
    }

    /// A call to a driver has ended; `method` is the full gRPC path.
    pub fn called(&self, driver: &str, method: &'static str, code: &'static str, took: Duration) {
        let labels = CsiLabels {
            driver_name: self.name(driver),
            method_name: method,
            grpc_status_code: code,
            migrated: "false",
        };
        self.csi.get_or_create_owned(&labels).observe(took.as_secs_f64());
    }

    /// An operation on a volume has ended.
    pub fn operated(&self, driver: &str, operation: Operation, is_success: bool, took: Duration) {
        let labels = OperationLabels {
            volume_plugin: format!("kubernetes.io/csi:{}", self.name(driver)),
            operation_name: operation.name(),
            status: if is_success { "success" } else { "fail-unknown" },
            migrated: "false",
        };
        self.operations.get_or_create_owned(&labels).observe(took.as_secs_f64());
    }

    /// A volume is mounted, or has been published anew, so long after its pod was seen. A kubelet counts either, from the
    /// moment at which the volume was first wanted.
    pub fn mounted(&self, driver: &str, since_seen: Duration) {
        let labels = TotalLabels {
            plugin_name: format!("kubernetes.io/csi:{}", self.name(driver)),
            operation_name: "overall_volume_mount",
        };
        self.mounts.get_or_create_owned(&labels).observe(since_seen.as_secs_f64());
    }

    /// A publish has asked for a token; none came when it could not be had.
    pub fn asked(&self, driver: &str, audience: &str, origin: Option<Origin>) {
        let result = match origin {
            Some(Origin::Cache) => "cached",
            Some(Origin::Fetched) => "fetched",
            Some(Origin::Kept) => "kept",
            None => "failed",
        };
        let labels = AskedLabels { driver: self.name(driver), audience: self.name(audience), result };
        self.asked.get_or_create_owned(&labels).inc();
    }

    /// The API server has answered a TokenRequest, of a publish or ahead of need.
    pub fn fetched(&self, driver: &str, audience: &str, is_success: bool) {
        let labels = FetchLabels {
            driver: self.name(driver),
            audience: self.name(audience),
            outcome: if is_success { "success" } else { "failure" },
        };
        self.fetched.get_or_create_owned(&labels).inc();
    }

    /// A publish has succeeded.
    pub fn delivered(&self, delivered: Delivered<'_>) {
        let driver = self.name(delivered.driver);
        let labels = DeliveryLabels {
            driver: driver.clone(),
            placement: delivered.placement.map_or("none", Placement::as_str),
            republish: if delivered.is_republish { "true" } else { "false" },
        };
        self.deliveries.get_or_create_owned(&labels).inc();
        let labels = DriverLabels { driver };
        for (age, left) in delivered.lives {
            self.ages.get_or_create_owned(&labels).observe(age.as_secs_f64());
            self.left.get_or_create_owned(&labels).observe(left.as_secs_f64());
        }
    }

    /// The sockets in the plugin registry, and those of them that have been registered, or refused until they are made anew.
    pub fn plugins_are<'a>(
        &self,
        desired: impl Iterator<Item = &'a PathBuf>,
        actual: impl Iterator<Item = &'a PathBuf>,
    ) {
        let mut sockets = self.sockets.lock();
        sockets.desired.clear();
        sockets.desired.extend(desired.cloned());
        sockets.actual.clear();
        sockets.actual.extend(actual.cloned());
    }

    /// The text, with how the node stands now.
    #[must_use]
    pub fn render(&self, status: &NodeStatus) -> String {
        self.volumes.clear();
        for volume in &status.volumes {
            let labels = VolumeLabels { driver: self.name(&volume.driver), state: volume.state.as_str() };
            self.volumes.get_or_create_owned(&labels).inc();
        }
        self.plugins.clear();
        let sockets = self.sockets.lock();
        for (state, paths) in
            [("actual_state_of_world", &sockets.actual), ("desired_state_of_world", &sockets.desired)]
        {
            for path in paths {
                let labels = PluginLabels { socket_path: path.display().to_string(), state };
                self.plugins.get_or_create_owned(&labels).inc();
            }
        }
        drop(sockets);
        self.tokens.set(i64::try_from(status.tokens).unwrap_or(i64::MAX));
        let mut text = String::new();
        prometheus_text::encode(&mut text, &self.registry).expect("writing to a string");
        text
    }

    /// A name as a label: itself, or `other` when there are too many.
    fn name(&self, name: &str) -> String {
        let mut names = self.names.lock();
        if names.contains(name) {
            return name.to_owned();
        }
        if names.len() >= MOST_NAMES {
            return OTHER.to_owned();
        }
        names.insert(name.to_owned());
        name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str, series: &str) -> Option<f64> {
        text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
    }

    #[test]
    fn series_have_upstreams_names_and_ours() {
        let metrics = Metrics::new();
        let second = Duration::from_secs(1);
        metrics.called("d", "/csi.v1.Node/NodePublishVolume", "OK", second);
        metrics.operated("d", Operation::VolumeMount, false, second);
        metrics.mounted("d", second);
        metrics.asked("d", "vault", Some(Origin::Cache));
        metrics.asked("d", "vault", None);
        metrics.fetched("d", "vault", true);
        metrics.delivered(Delivered {
            driver: "d",
            placement: Some(Placement::Secrets),
            is_republish: true,
            lives: &[(second, Duration::from_secs(599))],
        });
        let socket = PathBuf::from("/r/d-reg.sock");
        metrics.plugins_are([&socket].into_iter(), [&socket].into_iter());
        let text = metrics.render(&NodeStatus::default());
        for series in [
            r#"plugin_manager_total_plugins{socket_path="/r/d-reg.sock",state="actual_state_of_world"}"#,
            r#"plugin_manager_total_plugins{socket_path="/r/d-reg.sock",state="desired_state_of_world"}"#,
            r#"csi_operations_seconds_count{driver_name="d",method_name="/csi.v1.Node/NodePublishVolume",grpc_status_code="OK",migrated="false"}"#,
            r#"storage_operation_duration_seconds_count{volume_plugin="kubernetes.io/csi:d",operation_name="volume_mount",status="fail-unknown",migrated="false"}"#,
            r#"volume_operation_total_seconds_count{plugin_name="kubernetes.io/csi:d",operation_name="overall_volume_mount"}"#,
            r#"tokenward_tokens_asked_total{driver="d",audience="vault",result="cached"}"#,
            r#"tokenward_tokens_asked_total{driver="d",audience="vault",result="failed"}"#,
            r#"tokenward_token_requests_total{driver="d",audience="vault",outcome="success"}"#,
            r#"tokenward_deliveries_total{driver="d",placement="secrets",republish="true"}"#,
            r#"tokenward_token_age_at_delivery_seconds_bucket{driver="d",le="30"}"#,
            r#"tokenward_token_left_at_delivery_seconds_bucket{driver="d",le="600"}"#,
        ] {
            assert_eq!(value(&text, series), Some(1.0), "{series} in\n{text}");
        }
        assert!(text.contains(r#"migrated="false",le="0.1"} 0"#), "upstream's first bucket");
    }

    #[test]
    fn there_are_no_more_series_than_so_many_names() {
        let metrics = Metrics::new();
        for number in 0..2 * MOST_NAMES {
            metrics.called(&format!("driver-{number}"), "m", "OK", Duration::ZERO);
        }
        let text = metrics.render(&NodeStatus::default());
        let series = text.lines().filter(|line| line.starts_with("csi_operations_seconds_count")).count();
        assert_eq!(series, MOST_NAMES + 1);
        assert!(text.contains(r#"driver_name="other""#));
    }
}
