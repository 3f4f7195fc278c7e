//! From a pod's claim to the volume behind it: what the kubelet's populator checks before a volume may be mounted.

use std::sync::Arc;

use super::Mounter;
use crate::cluster::Cluster;
use crate::failure::Failure;
use crate::planner::{ClaimLookup, Done};
use crate::vol_data::VolumeData;
use crate::volume::{PersistentParts, VolumeMode, VolumeSource, VolumeSpec};

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
}
