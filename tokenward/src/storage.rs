//! The store that was asked for, and what is kept beside it.

use std::path::Path;

use tokenward_apiserver::{Index, etcd_store, new_store, open_store};
use tokenward_cluster::control_plane::ControlPlaneConfig;
use tokenward_cluster::kept_keys::KeptKeys;
use tokenward_store::{EtcdError, EtcdTls, Recovery, Store};

use crate::args::storage::{EtcdServers, Storage};
use crate::failure::Failure;
use crate::server::{authorities, identity};

/// A store, and who has to be told when it is not used any more.
pub(crate) struct OpenedStorage {
    store: Store<Index>,
    kept_keys: Option<KeptKeys>,
}

/// Opens what was asked for. Says what was found there.
pub(crate) async fn open(storage: &Storage) -> Result<OpenedStorage, Failure> {
    match storage {
        Storage::Memory => Ok(OpenedStorage { store: new_store(), kept_keys: None }),
        Storage::Directory(directory) => {
            let (store, recovery) = open_store(directory).map_err(Failure::because)?;
            tell(directory, &recovery);
            let kept_keys = KeptKeys::in_data_directory(directory).map_err(Failure::because)?;
            Ok(OpenedStorage { store, kept_keys: Some(kept_keys) })
        }
        Storage::Etcd(servers) => {
            let tls = tls(servers)?;
            let store = etcd_store(servers.endpoints.clone(), tls).await.map_err(|error| {
                let is_silent = matches!(error, EtcdError::NoAnswer { .. });
                let failure = Failure::because(error);
                if is_silent { failure.hint("etcd's own flag is --listen-client-urls.") } else { failure }
            })?;
            tracing::info!(revision = %store.current_revision(), "objects are kept in etcd");
            Ok(OpenedStorage { store, kept_keys: None })
        }
    }
}

/// What TLS with etcd takes, out of the files.
fn tls(servers: &EtcdServers) -> Result<Option<EtcdTls>, Failure> {
    if servers.authority_file.is_none() && servers.client.is_none() {
        return Ok(None);
    }
    let authorities = servers.authority_file.as_ref().map(|path| authorities("--etcd-cafile", path));
    let client = servers.client.as_ref().map(|files| identity(files, ["--etcd-certfile", "--etcd-keyfile"]));
    let client = client.transpose()?.map(tokenward_cluster::serving::ServingCertificate::into_parts);
    EtcdTls::new(authorities.transpose()?.unwrap_or_default(), client).map(Some).map_err(Failure::because)
}

impl OpenedStorage {
    /// Lets a control plane stand over it.
    pub(crate) fn put_into(&self, control_plane: &mut ControlPlaneConfig) {
        control_plane.store = self.store.clone();
        control_plane.kept_keys.clone_from(&self.kept_keys);
    }

    /// Finishes what is being written and gives the directory free.
    pub(crate) async fn close(self) {
        self.store.close().await;
    }
}

fn tell(directory: &Path, recovery: &Recovery) {
    let directory = directory.display();
    let Recovery { revision, replayed, cut, .. } = recovery;
    tracing::info!(%directory, %revision, replayed, "objects are kept on disk");
    if let Some(cut) = cut {
        tracing::warn!(
            file = %cut.file.display(),
            offset = cut.offset,
            bytes = cut.bytes,
            "the last write was not finished when the process ended, and nobody had been told of it: it was cut off"
        );
    }
}
