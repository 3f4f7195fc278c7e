//! Carries out what the planner decides: paths, files, cluster look-ups and calls to drivers, in the kubelet's order and
//! with its error texts and classes.
//!
//! Where upstream differs on purpose: a failure before the driver was asked (its socket is dead, a directory cannot be
//! made) is transient here, final there, because a volume whose state is uncertain must not count as unmounted for it.

mod block;
pub mod fetch_tokens;
mod teardown;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokenward_kube_rules::FeatureGates;
use tokenward_kube_rules::csi_driver::CsiDriverSpec;
use tokenward_tokens::due::TokenLifetime;
use tokenward_tokens::{Audience, Placement, TokenMap};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::checks::Subject;
use crate::cluster::{Cluster, ClusterError};
use crate::csi_drivers::CsiDrivers;
use crate::drivers::{Connection, Driver, Drivers};
use crate::failure::{Failure, class_of, grpc_text};
use crate::mount_dir::{make_directories, remove_mount_directory};
use crate::objects::{Secret, SecretReference, VolumeAttachmentStatus};
use crate::ownership::{self, DEFAULT_POLICY};
use crate::paths::{Layout, attachment_name};
use crate::planner::{ClaimLookup, Done};
use crate::request::{
    Capabilities, PublishParts, attach_required, check_fs_group_policy, check_lifecycle_mode,
    publish_request, stage_request,
};
use crate::scrub::Scrubber;
use crate::selinux::mount_label;
use crate::token_manager::TokenManager;
use crate::vol_data::VolumeData;
use crate::volume::{PersistentParts, VolumeMode, VolumeSource, VolumeSpec};

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
    /// Whether volumes are mounted with a label: SELinux is on.
    pub se_linux: bool,
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
    /// Follows a claim to its volume.
    ///
    /// # Errors
    /// Transient: the claim or volume cannot be read, or they are not bound to each other.
    pub async fn resolve(&self, lookup: &ClaimLookup) -> Result<Done, Failure> {
        let (namespace, name) = (&lookup.pod.namespace, &lookup.claim_name);
        let failed =
            |text: String| Failure::transient(format!("error processing PVC {namespace}/{name}: {text}"));
        let claim = self
            .cluster
            .persistent_volume_claim(namespace, name)
            .await
            .map_err(|error| failed(format!("failed to fetch PVC from API server: {error}")))?;
        if lookup.owned_by_pod
            && !claim.metadata.owner_references.iter().any(|owner| owner.uid == lookup.pod.uid)
        {
            let pod = &lookup.pod;
            return Err(failed(format!(
                "PVC {namespace}/{name} was not created for pod {pod} (pod is not owner)"
            )));
        }
        if claim.metadata.deletion_timestamp.is_some() && !self.is_mounted(lookup, &claim.spec.volume_name) {
            return Err(failed("can't start pod because PVC is being deleted".to_owned()));
        }
        if claim.status.phase != "Bound" || claim.spec.volume_name.is_empty() {
            return Err(failed("PVC is not bound".to_owned()));
        }
        let volume_name = &claim.spec.volume_name;
        let volume =
            self.cluster.persistent_volume(volume_name).await.map_err(|error| {
                failed(format!("failed to fetch PV {volume_name} from API server: {error}"))
            })?;
        if volume.spec.claim_ref.as_ref().map(|claim| claim.uid.as_str()) != Some(claim.metadata.uid.as_str())
        {
            return Err(failed(format!("PV {volume_name} is bound to another claim (or to none)")));
        }
        let Some(source) = volume.spec.csi else { return Ok(Done::NotCsi) };
        let is_block = volume.spec.volume_mode.as_deref() == Some("Block");
        Ok(Done::Resolved(Arc::new(VolumeSpec {
            pod: lookup.pod.clone(),
            service_account: lookup.service_account.clone(),
            security: lookup.security.clone(),
            volume: lookup.volume.clone(),
            spec_name: volume_name.clone(),
            volume_handle: source.volume_handle.clone(),
            read_only: lookup.read_only,
            source: VolumeSource::Persistent(Box::new(PersistentParts {
                source,
                access_modes: volume.spec.access_modes,
                mount_options: volume.spec.mount_options,
                mode: if is_block { VolumeMode::Block } else { VolumeMode::Filesystem },
            })),
        })))
    }

    /// Whether an earlier process of this node has mounted the volume for the pod. Then the pod goes on using it while its
    /// claim waits to be deleted, and needs fresh tokens until then; upstream gives it none after a restart.
    fn is_mounted(&self, lookup: &ClaimLookup, volume_name: &str) -> bool {
        let target = self.layout.target(&lookup.pod.uid, volume_name);
        VolumeData::path_beside(&target).exists()
            || self.layout.pod_device(&lookup.pod.uid, volume_name).is_symlink()
    }

    /// MountDevice: records the device and, where the driver has STAGE_UNSTAGE_VOLUME, stages it. What an earlier process
    /// may have staged (`again`) is not cleaned up after a refusal: pods may use it.
    ///
    /// # Errors
    /// Upstream's texts and classes.
    pub async fn stage(&self, spec: &VolumeSpec, again: bool) -> Result<(), Failure> {
        if spec.mode() == VolumeMode::Block {
            return self.stage_block(spec, again).await;
        }
        let (Some(device), VolumeSource::Persistent(parts)) = (spec.device(), &spec.source) else {
            return Ok(());
        };
        let driver =
            self.driver(spec.driver(), "attacher.MountDevice failed to create newCsiDriverClient")?;
        let deadline = Instant::now() + self.operation_limit;
        let (connection, capabilities) = self
            .probe(&driver, deadline)
            .await
            .map_err(|status| Failure::transient(self.status_text(&status)))?;
        let csi_driver = self.csi_drivers.get(spec.driver()).map_err(|error| {
            Failure::transient(format!("kubernetes.io/csi: attacher.MountDevice failed: {error}"))
        })?;
        let attachment =
            self.attachment(spec, attach_required(csi_driver.as_deref())).await.map_err(|error| {
                Failure::transient(format!(
                    "kubernetes.io/csi: attacher.MountDevice failed to get publishContext: {error}"
                ))
            })?;
        // Until the attacher is done there is neither a device nor a publish context (upstream: WaitForAttach).
        let publish_context = match attachment {
            Some(attachment) if !attachment.attached => {
                let name = attachment_name(&device.volume_handle, &device.driver, &self.node_name);
                return Err(Failure::transient(format!(
                    "kubernetes.io/csi: attacher.MountDevice failed: VolumeAttachment {name} is not attached yet"
                )));
            }
            attachment => attachment.unwrap_or_default().attachment_metadata,
        };
        let secret = match &parts.source.node_stage_secret_ref {
            Some(reference) if capabilities.stage_unstage => Some(self.secret("NodeStage", reference).await?),
            _ => None,
        };
        let staging = self.layout.staging(&device.driver, &device.volume_handle);
        let label = self.mount_label(spec, csi_driver.as_deref());
        let prepare = {
            let (staging, label) = (staging.clone(), label.clone());
            move || {
                make_directories(&staging)?;
                VolumeData::staged(&device).with_label(label.as_deref()).write_beside(&staging)
            }
        };
        blocking(prepare).await.map_err(|error| {
            let place = staging.display();
            Failure::transient(format!(
                "kubernetes.io/csi: attacher.MountDevice failed to create dir {place:?}: {error}"
            ))
        })?;
        if !capabilities.stage_unstage {
            return Ok(());
        }
        let request =
            stage_request(spec, capabilities, &staging, &publish_context, secret.as_ref(), label.as_deref())?;
        let scrubber = Scrubber::new(None, &request.secrets);
        let answer = driver.stage(&connection, request, deadline).await;
        self.concluded(answer, &scrubber, &staging, !again).await
    }

    /// SetUpAt: looks everything up afresh, fetches tokens, and calls NodePublishVolume.
    ///
    /// After a failed remount nothing is cleaned up: the target is in use by a running pod (fixed upstream in 1.35.6).
    ///
    /// # Errors
    /// Upstream's texts and classes.
    pub async fn publish(&self, spec: &VolumeSpec, remount: bool) -> Result<Published, Failure> {
        if spec.mode() == VolumeMode::Block {
            return self.publish_block(spec, remount).await;
        }
        let failed = |text: String| Failure::transient(format!("kubernetes.io/csi: mounter.{text}"));
        let driver = self.driver(spec.driver(), "mounter.SetUpAt failed to get CSI client")?;
        let deadline = Instant::now() + self.operation_limit;
        let csi_driver = self
            .csi_drivers
            .get(spec.driver())
            .map_err(|error| failed(format!("SetupAt failed to check volume lifecycle mode: {error}")))?;
        let csi_driver = csi_driver.as_deref();
        check_lifecycle_mode(spec, csi_driver)
            .map_err(|error| failed(format!("SetupAt failed to check volume lifecycle mode: {error}")))?;
        check_fs_group_policy(csi_driver)
            .map_err(|error| failed(format!("SetupAt failed to check fsGroup policy: {error}")))?;
        let mut probed = None;
        let mut publish_context = StringMap::new();
        let mut staging = None;
        if let Some(device) = spec.device() {
            let (connection, capabilities) = self.probe(&driver, deadline).await.map_err(|status| {
                let status = self.status_text(&status);
                failed(format!("SetUpAt failed to check for STAGE_UNSTAGE_VOLUME capability: {status}"))
            })?;
            staging = capabilities
                .stage_unstage
                .then(|| self.layout.staging(&device.driver, &device.volume_handle));
            publish_context = self
                .attachment(spec, attach_required(csi_driver))
                .await
                .map_err(|error| failed(format!("SetUpAt failed to fetch publishContext: {error}")))?
                .unwrap_or_default()
                .attachment_metadata;
            probed = Some((connection, capabilities));
        }
        let target = self.layout.target(&spec.pod.uid, &spec.spec_name);
        let parent = target.parent().expect("a target is below its volume's directory").to_owned();
        make_directories(&parent).map_err(|error| {
            failed(format!("SetUpAt failed to create dir {:?}: {error}", parent.display()))
        })?;
        let secret = match publish_secret_reference(spec) {
            Some(reference) => Some(self.secret("NodePublish", &reference).await?),
            None => None,
        };
        let (tokens, mut published) = match csi_driver {
            Some(csi_driver) if !csi_driver.token_requests.is_empty() => {
                let failed = |error: &dyn std::fmt::Display| {
                    failed(format!("SetUpAt failed to get service accoount token attributes: {error}"))
                };
                // Within the operation's limit: a call that starts late would pass for one that the driver has begun.
                match tokio::time::timeout_at(deadline, self.fetch_tokens(spec, csi_driver)).await {
                    Ok(fetched) => fetched.map_err(|error| failed(&error))?,
                    Err(elapsed) => return Err(failed(&elapsed)),
                }
            }
            _ => {
                self.tokens.keep_only(&spec.pod.uid, &spec.volume, &[]);
                (None, Published::default())
            }
        };
        published.secret = publish_secret_reference(spec)
            .zip(secret.as_ref())
            .map(|(reference, secret)| secret_subject(reference, secret));
        let (connection, capabilities) = match probed {
            Some(probed) => probed,
            None => self.probe(&driver, deadline).await.map_err(|status| {
                let status = self.status_text(&status);
                failed(format!(
                    "SetUpAt failed to determine if the node service has VOLUME_MOUNT_GROUP capability: {status}"
                ))
            })?,
        };
        let value = tokens.as_ref().map(TokenMap::to_value);
        let label = self.mount_label(spec, csi_driver);
        let request = publish_request(&PublishParts {
            spec,
            csi_driver,
            capabilities,
            target: &target,
            staging: staging.as_deref(),
            publish_context: &publish_context,
            secret: secret.as_ref(),
            tokens: value.as_ref().zip(published.placement),
            drop_forged_keys: self.drop_forged_keys,
            se_linux_label: label.as_deref(),
        })?;
        if !remount || !VolumeData::path_beside(&target).exists() {
            self.record(spec, &target, label.as_deref(), remount).await?;
        }
        let scrubber = Scrubber::new(tokens.as_ref(), &request.secrets);
        let answer = driver.publish(&connection, request, deadline).await;
        self.concluded(answer, &scrubber, &target, !remount).await?;
        if !capabilities.mount_group {
            apply_fs_group(spec, csi_driver, &target).await?;
        }
        Ok(published)
    }

    async fn record(
        &self,
        spec: &VolumeSpec,
        target: &Path,
        label: Option<&str>,
        remount: bool,
    ) -> Result<(), Failure> {
        let data = VolumeData::published(spec, &self.node_name).with_label(label);
        let at = target.to_owned();
        blocking(move || {
            let written = data.write_beside(&at);
            if written.is_err() && !remount {
                // What was there before stays if it is not empty; the error to report is the first one.
                let _ = remove_mount_directory(&at);
            }
            written
        })
        .await
        .map_err(|error| {
            Failure::transient(format!(
                "kubernetes.io/csi: mounter.SetUpAt failed to save volume info data: {error}"
            ))
        })
    }

    /// What a driver's answer to a stage or publish means, and the clean-up after a final refusal.
    async fn concluded(
        &self,
        answer: Result<(), Status>,
        scrubber: &Scrubber,
        mount_path: &Path,
        clean_up: bool,
    ) -> Result<(), Failure> {
        let Err(status) = answer else { return Ok(()) };
        let failure = Failure {
            class: class_of(&status),
            message: scrubber.scrub(&grpc_text(status.code(), status.message())),
        };
        if failure.class == crate::failure::Class::Final && clean_up {
            let path = mount_path.to_owned();
            if let Err(error) = blocking(move || remove_mount_directory(&path)).await {
                tracing::warn!(path = %mount_path.display(), %error, "failed to remove dir");
            }
        }
        Err(failure)
    }

    fn mount_label(&self, spec: &VolumeSpec, csi_driver: Option<&CsiDriverSpec>) -> Option<String> {
        if self.se_linux { mount_label(spec, csi_driver) } else { None }
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
        Scrubber::new(None, &StringMap::new()).scrub(&grpc_text(status.code(), status.message()))
    }

    /// The state of the volume's attachment to this node; `None` when it needs none.
    async fn attachment(
        &self,
        spec: &VolumeSpec,
        wanted: bool,
    ) -> Result<Option<VolumeAttachmentStatus>, ClusterError> {
        if !wanted || spec.device().is_none() {
            return Ok(None);
        }
        let name = attachment_name(&spec.volume_handle, spec.driver(), &self.node_name);
        self.cluster.volume_attachment(&name).await.map(|attachment| Some(attachment.status))
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

/// Gives the volume to the pod's group, where the driver leaves that to the node. However long it takes: it ends with the
/// operation.
async fn apply_fs_group(
    spec: &VolumeSpec,
    csi_driver: Option<&CsiDriverSpec>,
    target: &Path,
) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::uncertain(format!("applyFSGroup failed for vol {}: {error}", spec.volume_handle))
    };
    let policy = csi_driver.and_then(|spec| spec.fs_group_policy.as_deref()).unwrap_or(DEFAULT_POLICY);
    let Some(wanted) = ownership::wanted(spec, policy).map_err(|error| failed(&error))? else {
        return Ok(());
    };
    let stop = CancellationToken::new();
    let _given_up = stop.clone().drop_guard();
    let target = target.to_owned();
    blocking(move || ownership::set(&target, wanted, &stop)).await.map_err(|error| failed(&error))
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

fn secret_subject(reference: SecretReference, secret: &Secret) -> (Subject, String) {
    let SecretReference { namespace, name } = reference;
    (Subject::Secret { namespace, name }, secret.metadata.resource_version.clone())
}

/// File operations that may touch a mount can hang: they do not hold up the runtime.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(std::io::Error::other(error)))
}
