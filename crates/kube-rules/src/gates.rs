//! Feature gates: which there are, in which stage each release has them, and how `--feature-gates` is read.

use std::collections::BTreeMap;

use crate::Release;

/// A feature gate that changes what Tokenward does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FeatureGate {
    /// KEP-5538: a CSIDriver may ask for its tokens in the secrets field.
    CsiServiceAccountTokenSecrets,
}

impl FeatureGate {
    /// Every gate.
    pub const ALL: [Self; 1] = [Self::CsiServiceAccountTokenSecrets];

    /// The gate's name as upstream writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CsiServiceAccountTokenSecrets => "CSIServiceAccountTokenSecrets",
        }
    }

    /// How far the gate is in a release; `None` if the release does not know it.
    #[must_use]
    pub const fn stage(self, release: Release) -> Option<Stage> {
        match (self, release) {
            (Self::CsiServiceAccountTokenSecrets, Release::V1_34) => None,
            (Self::CsiServiceAccountTokenSecrets, Release::V1_35) => Some(Stage::Beta),
            (Self::CsiServiceAccountTokenSecrets, Release::V1_36) => Some(Stage::GenerallyAvailable),
        }
    }

    /// Whether the gate is on when nothing is said about it.
    #[must_use]
    pub const fn default_on(self, release: Release) -> bool {
        self.stage(release).is_some()
    }

    /// Whether the release refuses to have the gate set to anything but its default.
    #[must_use]
    pub const fn locked(self, release: Release) -> bool {
        matches!(self.stage(release), Some(Stage::GenerallyAvailable))
    }
}

/// How mature a gate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Off unless asked for.
    Alpha,
    /// May be switched.
    Beta,
    /// Part of Kubernetes.
    GenerallyAvailable,
}

impl Stage {
    /// The `stage` label of the metric `kubernetes_feature_enabled`: empty for a feature that is generally available.
    #[must_use]
    pub const fn metric_label(self) -> &'static str {
        match self {
            Self::Alpha => "ALPHA",
            Self::Beta => "BETA",
            Self::GenerallyAvailable => "",
        }
    }
}

/// One line of the metric `kubernetes_feature_enabled`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeatureGateState {
    /// The gate.
    pub gate: FeatureGate,
    /// Its stage in this release.
    pub stage: Stage,
    /// Whether it is on.
    pub enabled: bool,
}

/// The gates of one server or node: its release, and what was said about each gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureGates {
    release: Release,
    csi_service_account_token_secrets: bool,
}

impl FeatureGates {
    /// The gates of a release as it starts without any flag.
    #[must_use]
    pub const fn for_release(release: Release) -> Self {
        Self {
            release,
            csi_service_account_token_secrets: FeatureGate::CsiServiceAccountTokenSecrets.default_on(release),
        }
    }

    /// Reads `A=true,B=false` as upstream's `--feature-gates`: blanks around names and values do not count, values are
    /// what Go's `ParseBool` takes, the last word on a gate wins, and `AllAlpha` and `AllBeta` speak for the gates of that
    /// stage that are not named themselves.
    ///
    /// # Errors
    /// A gate that the release does not know, a value that is no bool, or a locked gate set to the other value.
    pub fn parse(release: Release, text: &str) -> Result<Self, FeatureGateError> {
        let mut said = BTreeMap::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, value) = part
                .split_once('=')
                .map(|(name, value)| (name.trim(), value.trim()))
                .ok_or_else(|| FeatureGateError::MissingValue { gate: part.to_owned() })?;
            let value = parse_bool(value).ok_or_else(|| FeatureGateError::NotABool {
                gate: name.to_owned(),
                value: value.to_owned(),
            })?;
            said.insert(name, value);
        }
        let mut gates = Self::for_release(release);
        for (stage, name) in [(Stage::Alpha, "AllAlpha"), (Stage::Beta, "AllBeta")] {
            if let Some(value) = said.remove(name) {
                for gate in FeatureGate::ALL.into_iter().filter(|gate| gate.stage(release) == Some(stage)) {
                    gates.set(gate, value);
                }
            }
        }
        for (name, value) in said {
            let gate = FeatureGate::ALL
                .into_iter()
                .find(|gate| gate.name() == name && gate.stage(release).is_some())
                .ok_or_else(|| FeatureGateError::Unknown { gate: name.to_owned(), release })?;
            if gate.locked(release) && value != gate.default_on(release) {
                return Err(FeatureGateError::Locked { gate, value, locked_to: gate.default_on(release) });
            }
            gates.set(gate, value);
        }
        Ok(gates)
    }

    /// Whether a gate is on. Always false for a gate that the release does not know.
    #[must_use]
    pub const fn enabled(&self, gate: FeatureGate) -> bool {
        match gate {
            FeatureGate::CsiServiceAccountTokenSecrets => self.csi_service_account_token_secrets,
        }
    }

    /// The release whose gates these are.
    #[must_use]
    pub const fn release(&self) -> Release {
        self.release
    }

    /// Every gate that the release knows, for the metric `kubernetes_feature_enabled`.
    pub fn states(&self) -> impl Iterator<Item = FeatureGateState> + '_ {
        FeatureGate::ALL.into_iter().filter_map(|gate| {
            let stage = gate.stage(self.release)?;
            Some(FeatureGateState { gate, stage, enabled: self.enabled(gate) })
        })
    }

    fn set(&mut self, gate: FeatureGate, value: bool) {
        match gate {
            FeatureGate::CsiServiceAccountTokenSecrets => self.csi_service_account_token_secrets = value,
        }
    }
}

impl Default for FeatureGates {
    fn default() -> Self {
        Self::for_release(Release::default())
    }
}

/// Why `--feature-gates` is refused; the texts are upstream's, with what to do where upstream does not say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeatureGateError {
    /// The release locked the gate.
    #[error("cannot set feature gate {} to {value}, feature is locked to {locked_to}", gate.name())]
    Locked {
        /// The gate.
        gate: FeatureGate,
        /// What was asked for.
        value: bool,
        /// What it is.
        locked_to: bool,
    },
    /// A name without `=value`.
    #[error("missing bool value for {gate}: write {gate}=true or {gate}=false")]
    MissingValue {
        /// What was found.
        gate: String,
    },
    /// The value is no bool.
    #[error("invalid value of {gate}={value}, err: strconv.ParseBool: parsing {value:?}: invalid syntax")]
    NotABool {
        /// The gate as written.
        gate: String,
        /// The value as written.
        value: String,
    },
    /// The release has no such gate.
    #[error("unrecognized feature gate: {gate} (in Kubernetes {release})")]
    Unknown {
        /// The gate as written.
        gate: String,
        /// The release asked.
        release: Release,
    },
}

/// What Go's `strconv.ParseBool` takes.
fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GATE: FeatureGate = FeatureGate::CsiServiceAccountTokenSecrets;

    #[test]
    fn flags_are_read_as_upstream_reads_them() {
        let rows = [
            (Release::V1_34, "", Ok(false)),
            (Release::V1_35, "", Ok(true)),
            (Release::V1_36, "", Ok(true)),
            (Release::V1_35, "CSIServiceAccountTokenSecrets=false", Ok(false)),
            (Release::V1_35, " CSIServiceAccountTokenSecrets = 0 , ", Ok(false)),
            (Release::V1_35, "CSIServiceAccountTokenSecrets=false,CSIServiceAccountTokenSecrets=T", Ok(true)),
            (Release::V1_35, "AllBeta=false", Ok(false)),
            (Release::V1_35, "AllBeta=false,CSIServiceAccountTokenSecrets=true", Ok(true)),
            (Release::V1_35, "CSIServiceAccountTokenSecrets=true,AllBeta=false", Ok(true)),
            (Release::V1_35, "AllAlpha=false", Ok(true)),
            (Release::V1_36, "AllBeta=false", Ok(true)),
            (Release::V1_36, "CSIServiceAccountTokenSecrets=true", Ok(true)),
            (
                Release::V1_36,
                "CSIServiceAccountTokenSecrets=false",
                Err(
                    "cannot set feature gate CSIServiceAccountTokenSecrets to false, feature is locked to true",
                ),
            ),
            (
                Release::V1_34,
                "CSIServiceAccountTokenSecrets=true",
                Err("unrecognized feature gate: CSIServiceAccountTokenSecrets (in Kubernetes 1.34)"),
            ),
            (Release::V1_35, "Nope=true", Err("unrecognized feature gate: Nope (in Kubernetes 1.35)")),
            (
                Release::V1_35,
                "AllBeta",
                Err("missing bool value for AllBeta: write AllBeta=true or AllBeta=false"),
            ),
            (
                Release::V1_35,
                "AllBeta=maybe",
                Err(
                    "invalid value of AllBeta=maybe, err: strconv.ParseBool: parsing \"maybe\": invalid syntax",
                ),
            ),
        ];
        for (release, text, wanted) in rows {
            let found = FeatureGates::parse(release, text);
            let found = found.map(|gates| gates.enabled(GATE)).map_err(|error| error.to_string());
            assert_eq!(found, wanted.map_err(str::to_owned), "{release} {text:?}");
        }
    }

    #[test]
    fn metric_lines_follow_the_release() {
        let line = |gates: FeatureGates| {
            gates
                .states()
                .map(|state| (state.gate.name(), state.stage.metric_label(), state.enabled))
                .collect::<Vec<_>>()
        };
        assert_eq!(line(FeatureGates::for_release(Release::V1_34)), []);
        assert_eq!(line(FeatureGates::default()), [(GATE.name(), "BETA", true)]);
        assert_eq!(
            line(FeatureGates::parse(Release::V1_35, "AllBeta=f").expect("a beta gate")),
            [(GATE.name(), "BETA", false)]
        );
        assert_eq!(line(FeatureGates::for_release(Release::V1_36)), [(GATE.name(), "", true)]);
    }
}
