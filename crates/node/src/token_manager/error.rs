//! Why there is no token: upstream's texts, and the audience that failed, which upstream leaves out.

use crate::cluster::{ClusterError, TokenRequest};

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// None was ever had.
    #[error("failed to fetch token: audience {audience:?}: {source}")]
    Fetch {
        /// The audience asked for.
        audience: String,
        /// What the cluster said.
        source: ClusterError,
    },
    /// The one at hand is over.
    #[error("token {namespace}/{service_account} audience {audience:?} expired and refresh failed: {source}")]
    Expired {
        /// Namespace of the service account.
        namespace: String,
        /// The service account.
        service_account: String,
        /// The audience asked for.
        audience: String,
        /// What the cluster said.
        source: ClusterError,
    },
}

impl TokenError {
    pub(super) fn fetch(request: &TokenRequest, source: ClusterError) -> Self {
        Self::Fetch { audience: request.audience.as_str().to_owned(), source }
    }

    pub(super) fn expired(request: &TokenRequest, source: ClusterError) -> Self {
        Self::Expired {
            namespace: request.pod.namespace.clone(),
            service_account: request.service_account.clone(),
            audience: request.audience.as_str().to_owned(),
            source,
        }
    }
}
