//! The Kubernetes releases that a server or node can behave as.

use std::{fmt, str::FromStr};

/// A Kubernetes minor release whose behaviour can be asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Release {
    /// 1.34: does not know `serviceAccountTokenInSecrets`.
    V1_34,
    /// 1.35: has it behind a beta gate that is on and can be switched off.
    #[default]
    V1_35,
    /// 1.36: has it for good.
    V1_36,
}

impl Release {
    /// Every release, oldest first.
    pub const ALL: [Self; 3] = [Self::V1_34, Self::V1_35, Self::V1_36];

    /// The number after `1.`.
    #[must_use]
    pub const fn minor(self) -> u32 {
        match self {
            Self::V1_34 => 34,
            Self::V1_35 => 35,
            Self::V1_36 => 36,
        }
    }

    /// What `/version` says in `gitVersion`; clients parse it as a semantic version.
    #[must_use]
    pub const fn git_version(self) -> &'static str {
        match self {
            Self::V1_34 => "v1.34.0",
            Self::V1_35 => "v1.35.0",
            Self::V1_36 => "v1.36.0",
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}", self.minor())
    }
}

impl FromStr for Release {
    type Err = ParseReleaseError;

    /// Takes `1.35`, `v1.35` and, since people paste what `kubectl version` prints, `v1.35.2`: the patch is not looked at.
    fn from_str(text: &str) -> Result<Self, ParseReleaseError> {
        let mut parts = text.strip_prefix('v').unwrap_or(text).splitn(3, '.');
        let (major, minor, patch) = (parts.next(), parts.next(), parts.next());
        let patch_is_version = patch.is_none_or(|patch| patch.starts_with(|c: char| c.is_ascii_digit()));
        Self::ALL
            .into_iter()
            .find(|release| {
                major == Some("1") && patch_is_version && minor == Some(release.minor().to_string().as_str())
            })
            .ok_or_else(|| ParseReleaseError { found: text.to_owned() })
    }
}

/// The text names no release that is known here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown Kubernetes version {found:?}: use one of 1.34, 1.35, 1.36")]
pub struct ParseReleaseError {
    found: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_parse_as_people_write_them() {
        let rows = [
            ("1.34", Some(Release::V1_34)),
            ("v1.35", Some(Release::V1_35)),
            ("v1.35.7", Some(Release::V1_35)),
            ("1.36.0-rc.1", Some(Release::V1_36)),
            ("1.33", None),
            ("1.350", None),
            ("1.035", None),
            ("2.35", None),
            ("1.35.", None),
            ("1.35.x", None),
            ("1", None),
            ("vv1.35", None),
            ("", None),
        ];
        for (text, wanted) in rows {
            assert_eq!(text.parse().ok(), wanted, "{text:?}");
        }
        assert_eq!(
            "1.20".parse::<Release>().expect_err("too old").to_string(),
            "unknown Kubernetes version \"1.20\": use one of 1.34, 1.35, 1.36"
        );
    }

    #[test]
    fn a_release_prints_what_it_parses_from() {
        for release in Release::ALL {
            assert_eq!(release.to_string().parse(), Ok(release));
            assert_eq!(release.git_version().parse(), Ok(release));
        }
        assert_eq!(Release::default(), Release::V1_35);
    }
}
