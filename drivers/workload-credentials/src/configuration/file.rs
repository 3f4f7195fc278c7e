//! The configuration file as it is written.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use tokenward_driver::tokens::Audience;
use tokenward_exchange::{ClientAuthentication, Limits};

use super::Kind;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    pub(super) exchanges: BTreeMap<String, FileExchange>,
    #[serde(default)]
    pub(super) limits: FileLimits,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct FileExchange {
    pub(super) kind: Kind,
    pub(super) url: String,
    pub(super) audiences: Vec<Audience>,
    pub(super) certificate_authority: Option<PathBuf>,
    pub(super) namespace: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) client_secret_file: Option<PathBuf>,
    pub(super) client_authentication: Option<FileAuthentication>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct FileLimits {
    pub(super) concurrent_exchanges: u64,
    pub(super) attempt_seconds: u64,
    pub(super) total_seconds: u64,
}

impl Default for FileLimits {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            concurrent_exchanges: 16,
            attempt_seconds: limits.attempt.as_secs(),
            total_seconds: limits.total.as_secs(),
        }
    }
}

/// How a client says who it is, by the names of RFC 7591.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FileAuthentication {
    ClientSecretBasic,
    ClientSecretPost,
}

impl From<FileAuthentication> for ClientAuthentication {
    fn from(written: FileAuthentication) -> Self {
        match written {
            FileAuthentication::ClientSecretBasic => Self::Basic,
            FileAuthentication::ClientSecretPost => Self::Post,
        }
    }
}
