//! Carries out what the planner decides: paths, files, cluster look-ups and calls to drivers, in the kubelet's order and
//! with its error texts and classes.
//!
//! Where upstream differs on purpose: a failure before the driver was asked (its socket is dead, a directory cannot be
//! made) is transient here, final there, because a volume whose state is uncertain must not count as unmounted for it.

mod attachment;
mod block;
pub mod fetch_tokens;
mod publish;
mod resolve;
mod stage;
mod teardown;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokenward_kube_rules::FeatureGates;
use tokenward_kube_rules::csi_driver::CsiDriverSpec;
use tokenward_tokens::due::TokenLifetime;
use tokenward_tokens::{Audience, Placement};
use tokio::time::Instant;
use tonic::Status;

use crate::checks::Subject;
use crate::cluster::Cluster;
use crate::csi_drivers::CsiDrivers;
use crate::drivers::{Connection, Driver, Drivers};
use crate::failure::{Class, Failure, class_of, grpc_text};
use crate::mount_dir::remove_mount_directory;
use crate::objects::{Secret, SecretReference};
use crate::paths::Layout;
use crate::request::Capabilities;
use crate::scrub::Scrubber;
use crate::selinux::{FileLabel, mount_label};
use crate::token_manager::TokenManager;
use crate::volume::{VolumeSource, VolumeSpec};

type StringMap = BTreeMap<String, String>;

/// The executor of actions on volumes.
pub struct Mounter<C> {
    /// The cluster.
    pub cluster: Arc<C>,
    /// The directory tree.
    pub layout: Layout,
    /// Name of the Node object.
    pub node_name: String,
    /// The node's release and gates.
    pub gates: FeatureGates,
    /// See [`crate::Config::drop_forged_keys`].
    pub drop_forged_keys: bool,
    /// What files of containers are labelled with; none when volumes are not mounted with a label.
    pub se_linux: Option<FileLabel>,
    /// Time for one operation, all its calls together.
    pub operation_limit: Duration,
    /// The registered drivers.
    pub drivers: Arc<Drivers>,
    /// The CSIDrivers.
    pub csi_drivers: Arc<CsiDrivers>,
    /// The tokens.
    pub tokens: TokenManager<C>,
}

/// What a publish delivered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Where the tokens were.
    pub placement: Option<Placement>,
    /// For whom.
    pub audiences: Vec<Audience>,
    /// When the first of them expires.
    pub expires: Option<Timestamp>,
    /// The lives of the tokens, in the order of the audiences.
    pub lives: Vec<TokenLifetime>,
    /// The publish secret that was handed over, and its version.
    pub secret: Option<(Subject, String)>,
}

impl<C: Cluster> Mounter<C> {
    /// What a driver's answer to a stage or publish means, and the clean-up after a final refusal.
    async fn concluded(
        &self,
        answer: Result<(), Status>,
        scrubber: impl FnOnce() -> Scrubber,
        mount_path: &Path,
        clean_up: bool,
    ) -> Result<(), Failure> {
        let Err(status) = answer else { return Ok(()) };
        let message = scrubber().scrub(&grpc_text(status.code(), status.message()));
        let failure = Failure::new(class_of(&status), message);
        if failure.class == Class::Final && clean_up {
            let path = mount_path.to_owned();
            if let Err(error) = blocking(move || remove_mount_directory(&path)).await {
                tracing::warn!(path = %mount_path.display(), %error, "failed to remove dir");
            }
        }
        Err(failure)
    }

    fn mount_label(&self, spec: &VolumeSpec, csi_driver: Option<&CsiDriverSpec>) -> Option<String> {
        mount_label(spec, csi_driver, self.se_linux.as_ref()?)
    }

    fn driver(&self, name: &str, wanted_by: &str) -> Result<Arc<Driver>, Failure> {
        self.drivers.get(name).ok_or_else(|| {
            Failure::transient(format!(
                "kubernetes.io/csi: {wanted_by}: driver name {name} not found in the list of registered CSI drivers"
            ))
        })
    }

    async fn probe(&self, driver: &Driver, deadline: Instant) -> Result<(Connection, Capabilities), Status> {
        let connection = driver.connection().await?;
        let capabilities = driver.capabilities(&connection, deadline).await?;
        Ok((connection, capabilities))
    }

    fn status_text(&self, status: &Status) -> String {
        Scrubber::default().scrub(&grpc_text(status.code(), status.message()))
    }

    async fn secret(&self, kind: &str, reference: &SecretReference) -> Result<Secret, Failure> {
        let SecretReference { namespace, name } = reference;
        self.cluster.secret(namespace, name).await.map_err(|error| {
            Failure::transient(format!(
                "fetching {kind}SecretRef {namespace}/{name} failed: kubernetes.io/csi: failed to find the secret {name} in the namespace {namespace} with error: {error}"
            ))
        })
    }
}

/// An inline volume's secret is in the pod's own namespace, whatever it says.
fn publish_secret_reference(spec: &VolumeSpec) -> Option<SecretReference> {
    match &spec.source {
        VolumeSource::Inline(source) => source.node_publish_secret_ref.as_ref().map(|reference| {
            SecretReference { namespace: spec.pod.namespace.clone(), name: reference.name.clone() }
        }),
        VolumeSource::Persistent(parts) => parts.source.node_publish_secret_ref.clone(),
    }
}

/// File operations that may touch a mount can hang: they do not hold up the runtime.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(std::io::Error::other(error)))
}
