//! What an earlier process of this node left on the disk, for the planner: `vol_data.json` names what is published and
//! staged, whether the driver is there or not. What has no record is no volume: its empty directories go, a mount stays.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use tracing::{info, warn};

use crate::mount_dir::{remove_empty_up_to, remove_mount_directory};
use crate::mount_table::MountTable;
use crate::paths::{Layout, escape};
use crate::planner::{FoundVolume, Planner};
use crate::vol_data::VolumeData;
use crate::volume::{DeviceKey, PublishedVolume, VolumeMode};

/// What is on the disk.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Pods with directories, by uid.
    pub pods: Vec<String>,
    /// What may be published.
    pub volumes: Vec<FoundVolume>,
    /// What may be staged.
    pub devices: Vec<DeviceKey>,
}

impl Inventory {
    /// Reads the node's directories. Nothing that may be mounted is touched, so a dead driver holds up nothing.
    ///
    /// # Errors
    /// A directory cannot be read: what is in it must not be taken for absent.
    pub fn read(layout: &Layout) -> io::Result<Self> {
        let mounts = MountTable::below(layout.root())?;
        let mut found = Self::default();
        for pod in directories(&layout.pods())? {
            let Some(uid) = name(&pod) else { continue };
            for directory in directories(&layout.pod_volumes(&uid))? {
                found.volumes.extend(published_volume(&uid, &directory, layout, &mounts));
            }
            found.pods.push(uid);
        }
        found.read_block_volumes(layout, &mounts)?;
        for driver in directories(&layout.csi_plugin())? {
            for directory in directories(&driver)? {
                found.devices.extend(staged_device(&directory, layout, &mounts));
            }
        }
        Ok(found)
    }

    /// Block volumes have one record for the device and all its pods; which pods, their links and publish paths tell.
    fn read_block_volumes(&mut self, layout: &Layout, mounts: &MountTable) -> io::Result<()> {
        for directory in directories(&layout.block_devices())? {
            let Some(directory_name) = name(&directory) else { continue };
            let place = layout.block_record(&directory_name);
            let Some(data) = record(&place, mounts) else {
                let is_shared = directory_name == "staging" || directory_name == "publish";
                if !is_shared && matches!(VolumeData::read_beside(&place), Ok(None)) {
                    // A file that is in the way is another's, and its directory stays.
                    let _ = std::fs::remove_file(VolumeData::partial_path_beside(&place));
                    remove_empty_up_to(place.parent().unwrap_or(&place), &layout.block_devices());
                }
                continue;
            };
            let spec_name = data.spec_name().filter(|spec_name| escape(spec_name) == directory_name);
            let spec_name = spec_name.unwrap_or(&directory_name).to_owned();
            let (Some(driver), Some(volume_handle)) = (data.driver(), data.volume_handle()) else { continue };
            let device = DeviceKey {
                driver: driver.to_owned(),
                volume_handle: volume_handle.to_owned(),
                block: Some(spec_name.clone()),
            };
            let linked = self.pods.iter().filter(|uid| layout.pod_device(uid, &spec_name).is_symlink());
            let mut pods: BTreeSet<String> = linked.cloned().collect();
            if let Some(published) = layout.block_target("pod", &spec_name).parent() {
                pods.extend(entries(published)?.iter().filter_map(|path| name(path)));
            }
            self.volumes.extend(pods.into_iter().map(|pod_uid| FoundVolume {
                published: PublishedVolume {
                    pod_uid,
                    spec_name: spec_name.clone(),
                    driver: device.driver.clone(),
                    volume_handle: device.volume_handle.clone(),
                    mode: VolumeMode::Block,
                },
                device: Some(device.clone()),
            }));
            self.devices.push(device);
        }
        Ok(())
    }

    /// Tells the planner of all of it; to be done before it hears of pods.
    pub fn tell(self, planner: &mut Planner, now: Timestamp) {
        if !self.volumes.is_empty() || !self.devices.is_empty() {
            info!(
                volumes = self.volumes.len(),
                devices = self.devices.len(),
                "found mounts of an earlier run"
            );
        }
        for uid in &self.pods {
            planner.found_pod(uid, now);
        }
        for volume in self.volumes {
            planner.found_volume(volume, now);
        }
        for device in self.devices {
            planner.found_device(device);
        }
    }
}

fn published_volume(
    pod_uid: &str,
    directory: &Path,
    layout: &Layout,
    mounts: &MountTable,
) -> Option<FoundVolume> {
    let target = directory.join("mount");
    let data = record(&target, mounts)?;
    let (driver, volume_handle) = (data.driver()?.to_owned(), data.volume_handle()?.to_owned());
    // The directory decides: its name has lost nothing but the difference of `/` and `~`.
    let directory_name = name(directory)?;
    let spec_name = data.spec_name().filter(|spec_name| escape(spec_name) == directory_name);
    let spec_name = spec_name.unwrap_or(&directory_name).to_owned();
    if layout.target(pod_uid, &spec_name) != target {
        warn!(path = %target.display(), "not a place where this node mounts: left as it is");
        return None;
    }
    let device = data.is_persistent().then(|| DeviceKey {
        driver: driver.clone(),
        volume_handle: volume_handle.clone(),
        block: None,
    });
    let published = PublishedVolume {
        pod_uid: pod_uid.to_owned(),
        spec_name,
        driver,
        volume_handle,
        mode: VolumeMode::Filesystem,
    };
    Some(FoundVolume { published, device })
}

fn staged_device(directory: &Path, layout: &Layout, mounts: &MountTable) -> Option<DeviceKey> {
    let staging = directory.join("globalmount");
    // Others' directories, as those of block devices, may be beside those named after a handle's digest.
    if !name(directory).is_some_and(|name| is_digest(&name)) {
        return None;
    }
    let Some(data) = record(&staging, mounts) else {
        if !mounts.contains(&staging)
            && matches!(VolumeData::read_beside(&staging), Ok(None))
            && let Err(error) = remove_mount_directory(&staging)
        {
            warn!(path = %staging.display(), %error, "a staging directory without record is left");
        }
        return None;
    };
    let device = DeviceKey {
        driver: data.driver()?.to_owned(),
        volume_handle: data.volume_handle()?.to_owned(),
        block: None,
    };
    if layout.staging(&device.driver, &device.volume_handle) != staging {
        warn!(path = %staging.display(), "not a place where this node stages: left as it is");
        return None;
    }
    Some(device)
}

/// The record beside a target or staging path, if it says what it must.
fn record(mount_path: &Path, mounts: &MountTable) -> Option<VolumeData> {
    let mounted = mounts.contains(mount_path);
    let problem = match VolumeData::read_beside(mount_path) {
        Ok(Some(data)) if data.driver().is_some() && data.volume_handle().is_some() => return Some(data),
        Ok(Some(_)) => "it names no driver or volume".to_owned(),
        Ok(None) if mounted => "there is none".to_owned(),
        Ok(None) => return None,
        Err(error) => error.to_string(),
    };
    let directory = mount_path.parent().unwrap_or(mount_path);
    warn!(
        path = %mount_path.display(), mounted, %problem,
        "kubernetes.io/csi: unmounter failed to load volume data file [{}]: left as it is", directory.display()
    );
    None
}

fn is_digest(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The directories in a directory. Links are not followed.
fn directories(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = entries(path)?;
    found.retain(|path| path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()));
    Ok(found)
}

/// What is in a directory, which need not be there.
fn entries(path: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let mut found = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    found.sort();
    Ok(found)
}

fn name(path: &Path) -> Option<String> {
    path.file_name()?.to_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> (tempfile::TempDir, Layout) {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path());
        (root, layout)
    }

    fn write(mount_path: &Path, record: Option<&str>) {
        std::fs::create_dir_all(mount_path).unwrap();
        if let Some(record) = record {
            std::fs::write(VolumeData::path_beside(mount_path), record).unwrap();
        }
    }

    #[test]
    fn records_lead_to_volumes_and_devices() {
        let (_root, layout) = layout();
        assert_eq!(Inventory::read(&layout).unwrap(), Inventory::default());
        let inline = r#"{"specVolID":"data","volumeHandle":"csi-1","driverName":"d","volumeLifecycleMode":"Ephemeral"}"#;
        write(&layout.target("u1", "data"), Some(inline));
        write(
            &layout.target("u1", "a/b"),
            Some(r#"{"specVolID":"a/b","volumeHandle":"h","driverName":"d"}"#),
        );
        write(&layout.target("u1", "half"), Some("{"));
        write(&layout.target("u2", "empty"), None);
        write(&layout.staging("d", "h"), Some(r#"{"volumeHandle":"h","driverName":"d"}"#));
        write(&layout.staging("d", "moved"), Some(r#"{"volumeHandle":"other","driverName":"d"}"#));
        write(&layout.staging("d", "empty"), None);
        write(&layout.staging("d", "precious"), None);
        std::fs::write(layout.staging("d", "precious").join("file"), "x").unwrap();
        std::fs::create_dir_all(layout.csi_plugin().join("d/other/things")).unwrap();

        let found = Inventory::read(&layout).unwrap();
        assert_eq!(found.pods, ["u1", "u2"]);
        let device = DeviceKey { driver: "d".into(), volume_handle: "h".into(), block: None };
        let volume = |spec_name: &str, volume_handle: &str, device: Option<DeviceKey>| FoundVolume {
            published: PublishedVolume {
                pod_uid: "u1".into(),
                spec_name: spec_name.into(),
                driver: "d".into(),
                volume_handle: volume_handle.into(),
                mode: VolumeMode::Filesystem,
            },
            device,
        };
        assert_eq!(found.volumes, [volume("a/b", "h", Some(device.clone())), volume("data", "csi-1", None)]);
        assert_eq!(found.devices, [device]);
        assert!(
            !layout.staging("d", "empty").parent().unwrap().exists(),
            "no record, no mount, nothing in it"
        );
        assert!(layout.staging("d", "precious").join("file").exists());
        assert!(layout.staging("d", "moved").exists());
        assert!(layout.target("u1", "half").exists());
        assert!(layout.csi_plugin().join("d/other/things").exists());
    }

    #[test]
    fn block_volumes_are_found_by_links_and_by_what_is_published() {
        let (_root, layout) = layout();
        let record = r#"{"specVolID":"a/b","volumeHandle":"h","driverName":"d"}"#;
        std::fs::create_dir_all(layout.block_record("a/b").parent().unwrap()).unwrap();
        std::fs::write(VolumeData::path_beside(&layout.block_record("a/b")), record).unwrap();
        // One pod's link was made before the driver was called; another's link has gone before its device.
        std::fs::create_dir_all(layout.pod_devices("linked")).unwrap();
        let linked = layout.block_target("linked", "a/b");
        std::os::unix::fs::symlink(linked, layout.pod_device("linked", "a/b")).unwrap();
        let published = layout.block_target("published", "a/b");
        std::fs::create_dir_all(published.parent().unwrap()).unwrap();
        std::fs::write(&published, "").unwrap();
        // Killed while its record was written.
        let half = layout.block_record("half");
        std::fs::create_dir_all(half.parent().unwrap()).unwrap();
        std::fs::write(VolumeData::partial_path_beside(&half), "{").unwrap();

        let found = Inventory::read(&layout).unwrap();
        let device = DeviceKey { driver: "d".into(), volume_handle: "h".into(), block: Some("a/b".into()) };
        assert_eq!(found.devices, std::slice::from_ref(&device));
        let pods: Vec<(&str, &str)> = found
            .volumes
            .iter()
            .map(|volume| (volume.published.pod_uid.as_str(), volume.published.spec_name.as_str()))
            .collect();
        assert_eq!(pods, [("linked", "a/b"), ("published", "a/b")]);
        assert!(found.volumes.iter().all(|volume| volume.device.as_ref() == Some(&device)));
        assert!(!half.parent().unwrap().parent().unwrap().exists());
    }
}
