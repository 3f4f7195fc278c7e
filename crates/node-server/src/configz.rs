//! `/configz`: how the node is set up, in the form of a kubelet's configuration.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokenward_kube_rules::FeatureGates;
use tokenward_node::{Config, Republish};

/// The settings of a node that are shown.
#[derive(Clone, Debug)]
pub struct Configuration {
    listen: SocketAddr,
    gates: FeatureGates,
    status_interval: Duration,
    lease_interval: Duration,
    republish: Republish,
    drop_forged_keys: bool,
}

impl Configuration {
    /// Of a node that listens there.
    #[must_use]
    pub fn of(config: &Config, listen: SocketAddr) -> Self {
        Self {
            listen,
            gates: config.gates.clone(),
            status_interval: config.intervals.status,
            lease_interval: config.intervals.lease,
            republish: config.pace.republish,
            drop_forged_keys: config.drop_forged_keys,
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        let gates: serde_json::Map<String, Value> =
            self.gates.states().map(|state| (state.gate.name().to_owned(), json!(state.enabled))).collect();
        let republish = match self.republish {
            Republish::PodSync => "pod-sync",
            Republish::OnChange => "on-change",
        };
        json!({
            "kubeletconfig": {
                "kind": "KubeletConfiguration",
                "apiVersion": "kubelet.config.k8s.io/v1beta1",
                "address": self.listen.ip().to_string(),
                "port": self.listen.port(),
                "authentication": {
                    "anonymous": { "enabled": false },
                    "webhook": { "enabled": true, "cacheTTL": "2m0s" },
                },
                "authorization": {
                    "mode": "Webhook",
                    "webhook": { "cacheAuthorizedTTL": "5m0s", "cacheUnauthorizedTTL": "30s" },
                },
                "featureGates": gates,
                "nodeStatusReportFrequency": go_duration(self.status_interval),
                "nodeLeaseDurationSeconds": 40,
                "nodeLeaseRenewInterval": go_duration(self.lease_interval),
            },
            "tokenward": { "republish": republish, "dropForgedKeys": self.drop_forged_keys },
        })
    }
}

/// As Go prints whole seconds.
fn go_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds}s"),
        (minutes, seconds) => format!("{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_kubelets_configuration_and_what_is_ours() {
        let mut config = Config::new("n", "/r");
        config.pace.republish = Republish::OnChange;
        let shown = Configuration::of(&config, "127.0.0.1:10250".parse().unwrap()).to_json();
        assert_eq!(shown["kubeletconfig"]["port"], 10250);
        assert_eq!(shown["kubeletconfig"]["featureGates"]["CSIServiceAccountTokenSecrets"], true);
        assert_eq!(shown["kubeletconfig"]["nodeStatusReportFrequency"], "5m0s");
        assert_eq!(shown["tokenward"]["republish"], "on-change");
    }
}
