//! The rules of plugin registration, as functions of values: which sockets count, when to register and unregister, which
//! version of a driver wins.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use tokenward_transport::registration::PluginInfo;

/// The one plugin type that this node serves.
pub const CSI_PLUGIN: &str = "CSIPlugin";

/// Whether a name in the registry directory is looked at, be it a socket or a directory.
pub fn is_watched_name(path: &Path) -> bool {
    path.file_name().is_some_and(|name| !name.as_encoded_bytes().starts_with(b"."))
}

/// Distinguishes a socket from an earlier one at the same path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u64);

/// What the reconciler should do.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reconciliation {
    /// Plugins whose socket is gone or was made anew; to be done first.
    pub unregister: Vec<PathBuf>,
    /// Sockets that no plugin is registered for.
    pub register: Vec<(PathBuf, Generation)>,
}

/// Compares the sockets that are there with those that were registered (or failed after being recorded).
pub fn reconcile(
    desired: &BTreeMap<PathBuf, Generation>,
    actual: &BTreeMap<PathBuf, Generation>,
) -> Reconciliation {
    let differs = |path: &PathBuf, generation: &Generation, other: &BTreeMap<PathBuf, Generation>| {
        other.get(path) != Some(generation)
    };
    Reconciliation {
        unregister: actual
            .iter()
            .filter(|(path, generation)| differs(path, generation, desired))
            .map(|(path, _)| path.clone())
            .collect(),
        register: desired
            .iter()
            .filter(|(path, generation)| differs(path, generation, actual))
            .map(|(path, generation)| (path.clone(), *generation))
            .collect(),
    }
}

/// Where a plugin serves: an empty endpoint means the registration socket itself.
pub fn endpoint<'a>(info: &'a PluginInfo, socket: &'a str) -> &'a str {
    if info.endpoint.is_empty() { socket } else { &info.endpoint }
}

/// A driver's version, compared as semantic versions are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    major: u32,
    minor: u32,
    patch: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl Version {
    /// Reads a version leniently: a leading `v`, one to three numbers, and whatever follows a `-` or `+`.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let numbers = text.split(['-', '+']).next()?;
        let mut parts = numbers.split('.').map(|part| part.parse::<u32>().ok());
        let major = parts.next()??;
        let mut optional = || parts.next().unwrap_or(Some(0));
        let version = Self { major, minor: optional()?, patch: optional()? };
        parts.next().is_none().then_some(version)
    }
}

/// Chooses the version of a CSI plugin: the highest of major 1; upstream's texts.
///
/// # Errors
/// No version is listed, or none of them is 1.x.
pub fn choose_version(name: &str, endpoint: &str, versions: &[String]) -> Result<Version, String> {
    if versions.is_empty() {
        return Err(format!(
            "CSI driver {name:?} at endpoint {endpoint:?}: Plugin returned an empty list for supported versions"
        ));
    }
    versions.iter().filter_map(|text| Version::parse(text)).filter(|version| version.major == 1).max().ok_or_else(
        || {
            format!(
                "None of the versions specified {versions:?} are supported by CSI driver {name:?} at endpoint {endpoint:?}"
            )
        },
    )
}

/// Whether a driver may take the place of one of the same name: only with a strictly higher version.
///
/// # Errors
/// It may not.
pub fn check_successor(version: Version, registered: Option<Version>) -> Result<(), String> {
    match registered {
        Some(registered) if version <= registered => Err(format!(
            "Another driver with the same name is already registered with a higher supported version: \"{registered}\""
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sockets(list: &[(&str, u64)]) -> BTreeMap<PathBuf, Generation> {
        list.iter().map(|&(path, generation)| (PathBuf::from(path), Generation(generation))).collect()
    }

    #[test]
    fn sockets_that_come_go_or_come_again_are_noticed() {
        let desired = sockets(&[("/a", 1), ("/b", 5), ("/c", 3)]);
        let actual = sockets(&[("/b", 2), ("/c", 3), ("/d", 4)]);
        let todo = reconcile(&desired, &actual);
        assert_eq!(todo.unregister, [PathBuf::from("/b"), PathBuf::from("/d")]);
        assert_eq!(
            todo.register,
            [(PathBuf::from("/a"), Generation(1)), (PathBuf::from("/b"), Generation(5))]
        );
        assert_eq!(reconcile(&desired, &desired), Reconciliation::default());
    }

    #[test]
    fn hidden_names_are_ignored() {
        assert!(is_watched_name(Path::new("/r/d-reg.sock")));
        assert!(!is_watched_name(Path::new("/r/.d-reg.sock")));
        assert!(!is_watched_name(Path::new("/")));
    }

    #[test]
    fn the_highest_version_of_major_one_wins() {
        let choose = |versions: &[&str]| {
            let versions: Vec<String> = versions.iter().map(|&version| version.to_owned()).collect();
            choose_version("d", "/s", &versions).map(|version| version.to_string())
        };
        for (versions, wanted) in [
            (&["1.0.0"][..], "1.0.0"),
            (&["v1.2.3", "1.10.0", "0.9.0", "2.0.0"], "1.10.0"),
            (&["garbage", "1"], "1.0.0"),
            (&["v1.1"], "1.1.0"),
            (&["1.0.0-rc1"], "1.0.0"),
        ] {
            assert_eq!(choose(versions).as_deref(), Ok(wanted), "{versions:?}");
        }
        assert!(choose(&[]).unwrap_err().contains("Plugin returned an empty list for supported versions"));
        for versions in [&["0.3.0"][..], &["2.0.0", "0.1.0"], &["garbage"], &["1.2.3.4"]] {
            let error = choose(versions).unwrap_err();
            assert!(error.starts_with("None of the versions specified"), "{error}");
        }
    }

    #[test]
    fn only_a_higher_version_replaces_a_driver() {
        let version = |text| Version::parse(text).unwrap();
        assert!(check_successor(version("1.0.0"), None).is_ok());
        assert!(check_successor(version("1.1.0"), Some(version("1.0.0"))).is_ok());
        for old in ["1.1.0", "1.2.0"] {
            let error = check_successor(version("1.1.0"), Some(version(old))).unwrap_err();
            assert!(error.ends_with(&format!("higher supported version: \"{old}\"")), "{error}");
        }
    }

    #[test]
    fn an_empty_endpoint_is_the_registration_socket() {
        let mut info = PluginInfo::default();
        assert_eq!(endpoint(&info, "/r/d-reg.sock"), "/r/d-reg.sock");
        info.endpoint = "/p/csi.sock".to_owned();
        assert_eq!(endpoint(&info, "/r/d-reg.sock"), "/p/csi.sock");
    }
}
