//! The store that was asked for, and what is kept beside it.

use std::path::{Path, PathBuf};

use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokenward_apiserver::{Index, etcd_store, new_store, open_store};
use tokenward_cluster::control_plane::ControlPlaneConfig;
use tokenward_cluster::followed_files::{self, Files};
use tokenward_cluster::kept_keys::KeptKeys;
use tokenward_cluster::serving::ServingCertificate;
use tokenward_store::{EtcdError, EtcdTls, Recovery, Store};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::args::server::ServingFiles;
use crate::args::storage::{EtcdServers, Storage};
use crate::failure::Failure;
use crate::server::{authorities, identity};

/// A store, and who has to be told when it is not used any more.
pub(crate) struct OpenedStorage {
    store: Store<Index>,
    kept_keys: Option<KeptKeys>,
    /// Files that are followed as long as it is used.
    _following: Option<DropGuard>,
}

/// Opens what was asked for. Says what was found there.
pub(crate) async fn open(storage: &Storage) -> Result<OpenedStorage, Failure> {
    match storage {
        Storage::Memory => Ok(OpenedStorage { store: new_store(), kept_keys: None, _following: None }),
        Storage::Directory(directory) => {
            let (store, recovery) = open_store(directory).map_err(Failure::because)?;
            tell(directory, &recovery);
            let kept_keys = KeptKeys::in_data_directory(directory).map_err(Failure::because)?;
            Ok(OpenedStorage { store, kept_keys: Some(kept_keys), _following: None })
        }
        Storage::Etcd(servers) => {
            let files = EtcdFiles::of(servers);
            let tls = files.as_ref().map(EtcdFiles::tls).transpose()?;
            let store = etcd_store(servers.endpoints.clone(), tls.clone()).await.map_err(cannot_read)?;
            tracing::info!(revision = %store.current_revision(), "objects are kept in etcd");
            let following = files.zip(tls).map(|(files, tls)| follow(files, tls));
            Ok(OpenedStorage { store, kept_keys: None, _following: following })
        }
    }
}

/// The hints for an etcd of no use.
fn cannot_read(error: EtcdError) -> Failure {
    let hint = match &error {
        EtcdError::NoAnswer { .. } => Some("etcd's own flag is --listen-client-urls."),
        EtcdError::Refused { .. } => Some(
            "Its user is the common name of --etcd-certfile, and needs a role that may read and write /registry/ (as a \
             prefix) and compact_rev_key.",
        ),
        _ => None,
    };
    let failure = Failure::because(error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// The files for TLS with etcd; one at least.
struct EtcdFiles {
    authorities: Option<PathBuf>,
    client: Option<ServingFiles>,
}

impl EtcdFiles {
    fn of(servers: &EtcdServers) -> Option<Self> {
        let EtcdServers { authority_file: authorities, client, .. } = servers.clone();
        (authorities.is_some() || client.is_some()).then_some(Self { authorities, client })
    }

    fn tls(&self) -> Result<EtcdTls, Failure> {
        let (authorities, client) = self.read()?;
        EtcdTls::new(authorities, client).map_err(Failure::because)
    }
}

impl Files for EtcdFiles {
    type Content =
        (Vec<CertificateDer<'static>>, Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>);
    type Error = Failure;

    fn paths(&self) -> impl Iterator<Item = &Path> {
        let client = self.client.iter().flat_map(|files| [&files.certificates, &files.key]);
        self.authorities.iter().chain(client).map(PathBuf::as_path)
    }

    fn read(&self) -> Result<Self::Content, Failure> {
        let authorities = self.authorities.as_ref().map(|path| authorities("--etcd-cafile", path));
        let client = self.client.as_ref().map(|files| identity(files, ["--etcd-certfile", "--etcd-keyfile"]));
        let client = client.transpose()?.map(ServingCertificate::into_parts);
        Ok((authorities.transpose()?.unwrap_or_default(), client))
    }
}

/// Lets the way to etcd follow its files until the guard goes.
fn follow(files: EtcdFiles, tls: EtcdTls) -> DropGuard {
    let stop = CancellationToken::new();
    let take = move |read: Result<<EtcdFiles as Files>::Content, Failure>| {
        let replaced =
            read.and_then(|(authorities, client)| tls.replace(authorities, client).map_err(Failure::because));
        match replaced {
            Ok(true) => tracing::info!("etcd is spoken to with other certificates from now on"),
            Ok(false) => {}
            Err(failure) => {
                tracing::error!(error = failure.text(), "certificates for etcd are kept as they were");
            }
        }
    };
    tokio::spawn(followed_files::follow(files, take, stop.clone()));
    stop.drop_guard()
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
