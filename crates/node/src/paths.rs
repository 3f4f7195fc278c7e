//! Names and places that the kubelet derives from others: volume handles, attachment names, directories under the root.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Name of the CSI volume plugin inside a pod's directory; `/` is written `~`.
const PLUGIN_DIRECTORY: &str = "kubernetes.io~csi";

/// The node's directory tree, laid out as the kubelet's (`/var/lib/kubelet`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// A layout under a root directory.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The root directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where drivers put their registration sockets.
    pub fn plugins_registry(&self) -> PathBuf {
        self.root.join("plugins_registry")
    }

    /// Where all pods' directories are.
    pub fn pods(&self) -> PathBuf {
        self.root.join("pods")
    }

    /// Directory of one pod.
    pub fn pod(&self, pod_uid: &str) -> PathBuf {
        self.pods().join(escape(pod_uid))
    }

    /// Directory of a pod's CSI volumes.
    pub fn pod_volumes(&self, pod_uid: &str) -> PathBuf {
        self.pod(pod_uid).join("volumes").join(PLUGIN_DIRECTORY)
    }

    /// Target path of a publish: `.../<spec name>/mount`. Its parent also holds `vol_data.json`.
    pub fn target(&self, pod_uid: &str, spec_name: &str) -> PathBuf {
        self.pod_volumes(pod_uid).join(escape(spec_name)).join("mount")
    }

    /// Directory of a pod's CSI block devices.
    pub fn pod_devices(&self, pod_uid: &str) -> PathBuf {
        self.pod(pod_uid).join("volumeDevices").join(PLUGIN_DIRECTORY)
    }

    /// A pod's link to its block device.
    pub fn pod_device(&self, pod_uid: &str, spec_name: &str) -> PathBuf {
        self.pod_devices(pod_uid).join(escape(spec_name))
    }

    /// Where the CSI volume plugin keeps block volumes.
    pub fn block_devices(&self) -> PathBuf {
        self.csi_plugin().join("volumeDevices")
    }

    /// Staging path of a block volume.
    pub fn block_staging(&self, spec_name: &str) -> PathBuf {
        self.block_devices().join("staging").join(escape(spec_name))
    }

    /// Target path of a publish of a block volume, which is a device and no directory.
    pub fn block_target(&self, pod_uid: &str, spec_name: &str) -> PathBuf {
        self.block_devices().join("publish").join(escape(spec_name)).join(escape(pod_uid))
    }

    /// What a block volume's `vol_data.json` is beside.
    pub(crate) fn block_record(&self, spec_name: &str) -> PathBuf {
        self.block_devices().join(escape(spec_name)).join("data").join("device")
    }

    /// Where the CSI volume plugin keeps what belongs to no single pod.
    pub fn csi_plugin(&self) -> PathBuf {
        self.root.join("plugins/kubernetes.io/csi")
    }

    /// Staging path of a persistent volume: `.../<sha256 of the handle>/globalmount`.
    pub fn staging(&self, driver: &str, volume_handle: &str) -> PathBuf {
        let mut path = self.csi_plugin();
        path.push(escape(driver));
        path.push(hex_digest([volume_handle]));
        path.push("globalmount");
        path
    }
}

/// Volume handle of an inline volume.
pub fn inline_volume_handle(pod_uid: &str, volume_name: &str) -> String {
    format!("csi-{}", hex_digest([pod_uid, volume_name]))
}

/// Name of the VolumeAttachment of a volume on a node.
pub fn attachment_name(volume_handle: &str, driver: &str, node_name: &str) -> String {
    format!("csi-{}", hex_digest([volume_handle, driver, node_name]))
}

/// One path element: `/` becomes `~` as upstream does, and a name that would climb out of its directory cannot.
pub(crate) fn escape(name: &str) -> String {
    match name {
        "." | ".." => name.replace('.', "~"),
        _ => name.replace('/', "~"),
    }
}

/// Lowercase hex SHA-256 of the parts, plainly concatenated.
fn hex_digest<const N: usize>(parts: [&str; N]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_the_kubelet_derives() {
        let uid = "6a1f3f8e-8f5e-4c59-9c58-0d0f7a3c9b11";
        assert_eq!(
            inline_volume_handle(uid, "data"),
            "csi-4c09bf2303ab1d987a2b4d2ea0544ddded70ae5298bd46b13bd2a22b8500b7eb"
        );
        assert_eq!(
            attachment_name("handle-1", "test-driver", "fakeNode"),
            "csi-8743f954982b7138c084abb068c8cae56610b986179f681faf04c824e235c41b"
        );
        let layout = Layout::new("/var/lib/kubelet");
        assert_eq!(
            layout.target(uid, "a/b"),
            Path::new(&format!("/var/lib/kubelet/pods/{uid}/volumes/kubernetes.io~csi/a~b/mount"))
        );
        assert_eq!(
            layout.staging("test-driver", "handle-1"),
            Path::new(
                "/var/lib/kubelet/plugins/kubernetes.io/csi/test-driver/4219dcd75aa1fff692ddc5cf84c1b34bf799aaad291afdf03dde2213f2f3b397/globalmount"
            )
        );
    }

    #[test]
    fn block_volumes_are_where_the_kubelet_has_them() {
        let layout = Layout::new("/r");
        let devices = Path::new("/r/plugins/kubernetes.io/csi/volumeDevices");
        assert_eq!(layout.block_staging("pv"), devices.join("staging/pv"));
        assert_eq!(layout.block_target("u", "pv"), devices.join("publish/pv/u"));
        assert_eq!(layout.block_record("pv").parent().unwrap(), devices.join("pv/data"));
        assert_eq!(layout.pod_device("u", "pv"), Path::new("/r/pods/u/volumeDevices/kubernetes.io~csi/pv"));
    }

    #[test]
    fn no_name_climbs_out_of_its_directory() {
        let layout = Layout::new("/r");
        for name in ["..", ".", "../..", "/etc"] {
            let target = layout.target("u", name);
            assert!(target.starts_with("/r/pods/u/volumes/kubernetes.io~csi"), "{}", target.display());
            assert_eq!(target.components().count(), 8, "{}", target.display());
        }
    }
}
