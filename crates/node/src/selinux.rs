//! The SELinux mount option: a volume that is mounted with its pod's label need not be relabelled file by file. What the pod
//! does not say, the system's policy does, in the files that container runtimes read too.

use std::fs::read_to_string;
use std::path::Path;

use tokenward_kube_rules::csi_driver::CsiDriverSpec;

use crate::objects::SeLinuxOptions;
use crate::volume::{VolumeSource, VolumeSpec};

/// Where the kernel shows SELinux, if it is on.
const SELINUX_FILES: &str = "/sys/fs/selinux/enforce";
/// The labels of containers, first as their policy's package says, then as the system's policy does.
const CONTAINER_CONTEXTS: &str = "/usr/share/containers/selinux/contexts";
const POLICIES: &str = "/etc/selinux";

/// The label of files that containers may use, without a level: that is the pod's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileLabel {
    user: String,
    role: String,
    r#type: String,
}

impl FileLabel {
    /// What the system's policy says; none when SELinux is off, or the policy knows no containers.
    pub fn of_system() -> Option<Self> {
        if !Path::new(SELINUX_FILES).exists() {
            return None;
        }
        let contexts = read_to_string(CONTAINER_CONTEXTS).or_else(|_| {
            let config = read_to_string(Path::new(POLICIES).join("config"))?;
            let policy = setting(&config, "SELINUXTYPE").unwrap_or_default();
            read_to_string(Path::new(POLICIES).join(policy).join("contexts/lxc_contexts"))
        });
        let label = contexts.ok().and_then(|contexts| Self::from_contexts(&contexts));
        if label.is_none() {
            tracing::warn!(
                "the SELinux policy names no label for files of containers: volumes are mounted without one"
            );
        }
        label
    }

    /// The `file` entry of a list of contexts.
    pub fn from_contexts(contexts: &str) -> Option<Self> {
        let mut parts = setting(contexts, "file")?.splitn(4, ':').map(str::to_owned);
        Some(Self { user: parts.next()?, role: parts.next()?, r#type: parts.next()? })
    }

    /// The label of files for a pod: its level keeps pods apart; role and type are those of files, not of processes.
    fn with(&self, options: &SeLinuxOptions) -> Option<String> {
        if options.level.is_empty() {
            return None;
        }
        let user = if options.user.is_empty() { &self.user } else { &options.user };
        Some(format!("{user}:{}:{}:{}", self.role, self.r#type, options.level))
    }
}

/// The value of a key in a file of `key = value` lines, where values may be in quotes.
fn setting<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']));
    let mut settings = lines.filter_map(|line| line.split_once('='));
    let (_, value) = settings.find(|(found, _)| found.trim() == key)?;
    Some(value.trim().trim_matches('"')).filter(|value| !value.is_empty())
}

/// The label that a volume is mounted with: when its driver can do that, only one pod uses the volume
/// (`ReadWriteOncePod`, and no other access mode), and the pod has a level of its own.
pub fn mount_label(
    spec: &VolumeSpec,
    csi_driver: Option<&CsiDriverSpec>,
    files: &FileLabel,
) -> Option<String> {
    if csi_driver?.se_linux_mount != Some(true) {
        return None;
    }
    match &spec.source {
        VolumeSource::Persistent(parts) if parts.access_modes == ["ReadWriteOncePod"] => {
            files.with(spec.security.se_linux.as_ref()?)
        }
        _ => None,
    }
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

    const FEDORA: &str = "process = \"system_u:system_r:container_t:s0\"\n\
        content = \"system_u:object_r:virt_var_lib_t:s0\"\n\
        file = \"system_u:object_r:container_file_t:s0\"\n\
        ro_file=\"system_u:object_r:container_ro_file_t:s0\"\n";

    #[test]
    fn defaults_are_the_policys() {
        let label = |user: &str, role: &str, r#type: &str| {
            Some(FileLabel { user: user.into(), role: role.into(), r#type: r#type.into() })
        };
        for (contexts, wanted) in [
            (FEDORA, label("system_u", "object_r", "container_file_t")),
            (
                "# file = no\n;file=no\n file = root:r:svirt_lxc_file_t\n",
                label("root", "r", "svirt_lxc_file_t"),
            ),
            ("process = \"system_u:system_r:container_t:s0\"\n", None),
            ("file = \"\"\nfile = a:b:c", None),
            ("file = nonsense\n", None),
            ("", None),
        ] {
            assert_eq!(FileLabel::from_contexts(contexts), wanted, "{contexts}");
        }
        let config = "# SELINUXTYPE= can take one of\nSELINUX=enforcing\nSELINUXTYPE=targeted\n";
        assert_eq!(setting(config, "SELINUXTYPE"), Some("targeted"));
    }

    #[test]
    fn one_pods_volume_of_a_driver_that_can_has_the_pods_label() {
        let able = CsiDriverSpec { se_linux_mount: Some(true), ..CsiDriverSpec::default() };
        let unable = CsiDriverSpec::default();
        let label = "system_u:object_r:container_file_t:s0:c1,c2";
        let files = FileLabel::from_contexts(FEDORA).unwrap();
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
            assert_eq!(mount_label(&spec, csi_driver, &files), wanted, "{spec:?}");
        }
        assert_eq!(mount_option(label), format!("context=\"{label}\""));
    }
}
