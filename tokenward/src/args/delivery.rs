//! How a node delivers to drivers, where it may do better than a kubelet.

use clap::{Args, ValueEnum};
use tokenward_node::Republish;

const DELIVERY: &str = "Delivery";

/// How a node delivers.
#[derive(Debug, Args)]
pub(crate) struct DeliveryArgs {
    /// When volumes of drivers with requiresRepublish are published again.
    #[arg(long, value_name = "WHEN", default_value = "pod-sync", help_heading = DELIVERY)]
    republish: RepublishMode,
    /// Do not pass on keys that only a kubelet may set when a pod's author wrote them into an inline volume's attributes.
    #[arg(long, help_heading = DELIVERY)]
    drop_forged_keys: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RepublishMode {
    /// As a kubelet: each volume every 60 to 90 seconds.
    PodSync,
    /// Only with a new token, a changed Secret or CSIDriver, or when the CSIDriver's own interval is over.
    OnChange,
}

/// What is meant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeliveryConfig {
    pub(crate) republish: Republish,
    pub(crate) drop_forged_keys: bool,
}

impl DeliveryArgs {
    pub(crate) fn resolve(self) -> DeliveryConfig {
        let republish = match self.republish {
            RepublishMode::PodSync => Republish::PodSync,
            RepublishMode::OnChange => Republish::OnChange,
        };
        DeliveryConfig { republish, drop_forged_keys: self.drop_forged_keys }
    }
}
