//! SetUpAt: everything looked up afresh, tokens fetched, NodePublishVolume called. A republish of a volume that is mounted
//! and has not changed comes this way every minute: it asks the disk twice, and no other thread.

use std::path::Path;

use tokenward_kube_rules::csi_driver::CsiDriverSpec;
use tokenward_tokens::TokenMap;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Mounter, Published, StringMap, blocking, publish_secret_reference};
use crate::checks::Subject;
use crate::cluster::Cluster;
use crate::failure::Failure;
use crate::mount_dir::{make_directories, remove_mount_directory};
use crate::objects::{Secret, SecretReference};
use crate::ownership::{self, DEFAULT_POLICY};
use crate::request::{PublishParts, check_fs_group_policy, check_lifecycle_mode, publish_request};
use crate::scrub::Scrubber;
use crate::vol_data::VolumeData;
use crate::volume::{VolumeMode, VolumeSpec};

impl<C: Cluster> Mounter<C> {
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
                .attachment(spec, csi_driver)
                .await
                .map_err(|error| failed(format!("SetUpAt failed to fetch publishContext: {error}")))?
                .unwrap_or_default()
                .attachment_metadata;
            probed = Some((connection, capabilities));
        }
        let target = self.layout.target(&spec.pod.uid, &spec.spec_name);
        // Beside a mount stands its record, and both in a directory that needs no second look.
        let is_recorded = remount && VolumeData::path_beside(&target).exists();
        if !is_recorded {
            let parent = target.parent().expect("a target is below its volume's directory");
            make_directories(parent).map_err(|error| {
                failed(format!("SetUpAt failed to create dir {:?}: {error}", parent.display()))
            })?;
        }
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
        if !is_recorded {
            self.record(spec, &target, label.as_deref(), remount).await?;
        }
        let answer = driver.publish(&connection, request, deadline).await;
        let scrubber = || Scrubber::of(tokens.as_ref().zip(value.as_ref()), secret.as_ref());
        self.concluded(answer, scrubber, &target, !remount).await?;
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

fn secret_subject(reference: SecretReference, secret: &Secret) -> (Subject, String) {
    let SecretReference { namespace, name } = reference;
    (Subject::Secret { namespace, name }, secret.metadata.resource_version.clone())
}
