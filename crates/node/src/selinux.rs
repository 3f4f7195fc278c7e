//! The SELinux mount option: a volume that is mounted with its pod's label need not be relabelled file by file.

use std::path::Path;

use tokenward_kube_rules::csi_driver::CsiDriverSpec;

use crate::objects::SeLinuxOptions;
use crate::volume::{VolumeSource, VolumeSpec};

/// Where the kernel shows SELinux, if it is on.
const SELINUX_FILES: &str = "/sys/fs/selinux/enforce";

/// User, role and type of files that containers may use, where the pod does not say otherwise.
const USER: &str = "system_u";
const ROLE: &str = "object_r";
const TYPE: &str = "container_file_t";

/// Whether SELinux is on in this kernel.
pub fn is_enabled() -> bool {
    Path::new(SELINUX_FILES).exists()
}

/// The label that a volume is mounted with: when its driver can do that, only one pod uses the volume
/// (`ReadWriteOncePod`, and no other access mode), and the pod has a level of its own.
pub fn mount_label(spec: &VolumeSpec, csi_driver: Option<&CsiDriverSpec>) -> Option<String> {
    if csi_driver?.se_linux_mount != Some(true) {
        return None;
    }
    match &spec.source {
        VolumeSource::Persistent(parts) if parts.access_modes == ["ReadWriteOncePod"] => {
            file_label(spec.security.se_linux.as_ref()?)
        }
        _ => None,
    }
}

/// The label of files for a pod: its level keeps pods apart; role and type are those of files, not of processes.
fn file_label(options: &SeLinuxOptions) -> Option<String> {
    if options.level.is_empty() {
        return None;
    }
    let user = if options.user.is_empty() { USER } else { &options.user };
    Some(format!("{user}:{ROLE}:{TYPE}:{}", options.level))
}

/// The mount option for a label.
pub fn mount_option(label: &str) -> String {
    format!("context={label:?}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::PodReference;
    use crate::volume::{PersistentParts, VolumeSecurity};

    fn spec(access_modes: &[&str], user: &str, level: &str) -> VolumeSpec {
        let access_modes = access_modes.iter().map(|&mode| mode.to_owned()).collect();
        let options = SeLinuxOptions { user: user.into(), level: level.into(), ..SeLinuxOptions::default() };
        VolumeSpec {
            pod: PodReference { namespace: "ns".into(), name: "web".into(), uid: "u".into() },
            service_account: "web".into(),
            security: VolumeSecurity { se_linux: Some(options), ..VolumeSecurity::default() },
            volume: "data".into(),
            spec_name: "pv".into(),
            volume_handle: "h".into(),
            read_only: false,
            source: VolumeSource::Persistent(Box::new(PersistentParts {
                access_modes,
                ..PersistentParts::default()
            })),
        }
    }

    #[test]
    fn one_pods_volume_of_a_driver_that_can_has_the_pods_label() {
        let able = CsiDriverSpec { se_linux_mount: Some(true), ..CsiDriverSpec::default() };
        let unable = CsiDriverSpec::default();
        let label = "system_u:object_r:container_file_t:s0:c1,c2";
        let cases = [
            (spec(&["ReadWriteOncePod"], "", "s0:c1,c2"), Some(&able), Some(label.to_owned())),
            (
                spec(&["ReadWriteOncePod"], "staff_u", "s0"),
                Some(&able),
                Some("staff_u:object_r:container_file_t:s0".into()),
            ),
            (spec(&["ReadWriteOncePod"], "", ""), Some(&able), None),
            (spec(&["ReadWriteOnce"], "", "s0"), Some(&able), None),
            (spec(&["ReadWriteOncePod", "ReadWriteOnce"], "", "s0"), Some(&able), None),
            (spec(&["ReadWriteOncePod"], "", "s0"), Some(&unable), None),
            (spec(&["ReadWriteOncePod"], "", "s0"), None, None),
        ];
        for (spec, csi_driver, wanted) in cases {
            assert_eq!(mount_label(&spec, csi_driver), wanted, "{spec:?}");
        }
        assert_eq!(mount_option(label), format!("context=\"{label}\""));
    }
}
