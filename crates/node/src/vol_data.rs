//! `vol_data.json`: what is remembered on disk of a mount, for the time after a restart. No token, secret or attribute
//! is ever in it.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::fault;
use crate::paths::attachment_name;
use crate::volume::{DeviceKey, LifecycleMode, VolumeSpec};

const FILE_NAME: &str = "vol_data.json";

/// The file's content: one JSON object of strings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeData(BTreeMap<String, String>);

impl VolumeData {
    /// Of a published volume.
    pub fn published(spec: &VolumeSpec, node_name: &str) -> Self {
        let entries = [
            ("specVolID", spec.spec_name.clone()),
            ("volumeHandle", spec.volume_handle.clone()),
            ("driverName", spec.driver().to_owned()),
            ("nodeName", node_name.to_owned()),
            ("attachmentID", attachment_name(&spec.volume_handle, spec.driver(), node_name)),
            ("volumeLifecycleMode", spec.lifecycle_mode().as_str().to_owned()),
        ];
        Self(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    /// Of a block volume: one for its device and all its pods.
    pub fn block(spec: &VolumeSpec, node_name: &str) -> Self {
        let mut data = Self::published(spec, node_name);
        data.0.remove("volumeLifecycleMode");
        data
    }

    /// Of a staged device.
    pub fn staged(device: &DeviceKey) -> Self {
        let entries = [("volumeHandle", &device.volume_handle), ("driverName", &device.driver)];
        Self(entries.into_iter().map(|(key, value)| (key.to_owned(), value.clone())).collect())
    }

    /// With the SELinux label that it is mounted with, if it is.
    #[must_use]
    pub fn with_label(mut self, label: Option<&str>) -> Self {
        if let Some(label) = label {
            self.0.insert("seLinuxMountContext".to_owned(), label.to_owned());
        }
        self
    }

    /// Name of the CSI driver.
    pub fn driver(&self) -> Option<&str> {
        self.0.get("driverName").map(String::as_str)
    }

    /// The driver's name of the volume.
    pub fn volume_handle(&self) -> Option<&str> {
        self.0.get("volumeHandle").map(String::as_str)
    }

    /// Name of the PersistentVolume, or of an inline volume in its pod.
    pub fn spec_name(&self) -> Option<&str> {
        self.0.get("specVolID").map(String::as_str)
    }

    /// Whether it is of a PersistentVolume: of anything that does not say that it is inline.
    pub fn is_persistent(&self) -> bool {
        self.0.get("volumeLifecycleMode").map(String::as_str) != Some(LifecycleMode::Ephemeral.as_str())
    }

    /// Where the file beside a target or staging path is written before it appears.
    pub(crate) fn partial_path_beside(mount_path: &Path) -> PathBuf {
        Self::path_beside(mount_path).with_extension("json.partial")
    }

    /// The file beside a target or staging path.
    pub fn path_beside(mount_path: &Path) -> PathBuf {
        mount_path.with_file_name(FILE_NAME)
    }

    /// Writes the file beside a target or staging path. It appears whole or not at all.
    ///
    /// # Errors
    /// The directory is not there or not writable.
    pub fn write_beside(&self, mount_path: &Path) -> io::Result<()> {
        let path = Self::path_beside(mount_path);
        let partial = Self::partial_path_beside(mount_path);
        let mut text = serde_json::to_string(&self.0).map_err(io::Error::other)?;
        text.push('\n');
        fault::point("the record is begun");
        let mut file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
        file.write_all(text.as_bytes())?;
        fault::point("the record appears");
        std::fs::rename(partial, path)
    }

    /// Reads the file beside a target or staging path; `None` when there is none.
    ///
    /// # Errors
    /// The file cannot be read, or is not what [`VolumeData::write_beside`] writes.
    pub fn read_beside(mount_path: &Path) -> io::Result<Option<Self>> {
        match std::fs::read(Self::path_beside(mount_path)) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(|entries| Some(Self(entries))).map_err(|error| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!(
                        "not a JSON object of strings (line {}, column {})",
                        error.line(),
                        error.column()
                    ),
                )
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_staged_device_has_two_entries_and_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let mount = directory.path().join("globalmount");
        assert_eq!(VolumeData::read_beside(&mount).unwrap(), None);
        let device = DeviceKey { driver: "d".into(), volume_handle: "h".into(), block: None };
        VolumeData::staged(&device).write_beside(&mount).unwrap();
        let text = std::fs::read_to_string(directory.path().join("vol_data.json")).unwrap();
        assert_eq!(text, "{\"driverName\":\"d\",\"volumeHandle\":\"h\"}\n");
        let data = VolumeData::read_beside(&mount).unwrap().unwrap();
        assert_eq!((data.driver(), data.volume_handle()), (Some("d"), Some("h")));

        std::fs::write(directory.path().join("vol_data.json"), "{\"driverName\":7}").unwrap();
        let error = VolumeData::read_beside(&mount).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
