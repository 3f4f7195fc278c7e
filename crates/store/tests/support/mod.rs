//! The same tests over everything that may keep the objects.
#![allow(dead_code, unused_imports, unused_macros, reason = "each test file uses a part")]

pub(crate) mod etcd;
pub(crate) mod etcd_users;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;
use tokenward_store::{HistoryLimits, Key, LogOptions, Store};

use self::etcd::EtcdServer;

/// What keeps the objects of a test.
pub(crate) enum Backend {
    Memory,
    Log { directory: TempDir, stores: AtomicUsize },
    Etcd { server: EtcdServer, stores: AtomicUsize },
}

impl Backend {
    pub(crate) fn log() -> Self {
        Self::Log { directory: tempfile::tempdir().unwrap(), stores: AtomicUsize::new(0) }
    }

    /// None when there is no etcd.
    pub(crate) async fn etcd() -> Option<Self> {
        Some(Self::Etcd { server: EtcdServer::start().await?, stores: AtomicUsize::new(0) })
    }

    /// An empty store. Its revision is where it begins to count.
    pub(crate) async fn store<I: Clone + Send + Sync + 'static>(
        &self,
        limits: HistoryLimits,
        indexer: impl Fn(&Key, &[u8]) -> I + Send + Sync + 'static,
    ) -> Store<I> {
        match self {
            Self::Memory => Store::memory_with_limits(limits, indexer),
            Self::Log { stores, .. } => {
                stores.fetch_add(1, Ordering::SeqCst);
                self.open(limits, indexer).await.expect("a log")
            }
            Self::Etcd { stores, .. } => {
                stores.fetch_add(1, Ordering::SeqCst);
                self.open(limits, indexer).await.expect("an etcd")
            }
        }
    }

    /// The last store once more, if it outlives its handles. They must have been closed.
    pub(crate) async fn open<I: Clone + Send + Sync + 'static>(
        &self,
        limits: HistoryLimits,
        indexer: impl Fn(&Key, &[u8]) -> I + Send + Sync + 'static,
    ) -> Option<Store<I>> {
        match self {
            Self::Memory => None,
            Self::Log { .. } => {
                let options = LogOptions { history: limits, ..LogOptions::default() };
                let (store, recovery) = Store::open(&self.directory(), options, indexer).unwrap();
                assert_eq!(recovery.cut, None);
                Some(store)
            }
            Self::Etcd { server, stores } => {
                let mut options = server.options(&format!("/test-{}", stores.load(Ordering::SeqCst)));
                options.history = limits;
                Some(Store::etcd(options, indexer).await.unwrap())
            }
        }
    }

    fn directory(&self) -> PathBuf {
        match self {
            Self::Log { directory, stores } => {
                directory.path().join(stores.load(Ordering::SeqCst).to_string())
            }
            Self::Memory | Self::Etcd { .. } => unreachable!("only a log has a directory"),
        }
    }

    /// Whether everything that was ever written can still be told when the store is opened again.
    pub(crate) fn keeps_history(&self) -> bool {
        matches!(self, Self::Log { .. })
    }
}

/// Makes a test of each function and backend.
macro_rules! over_every_backend {
    (#[$attribute:meta] $($name:ident),+ $(,)?) => {
        mod memory {
            $(#[$attribute] async fn $name() { super::$name(&crate::support::Backend::Memory).await; })+
        }
        mod log {
            $(#[$attribute] async fn $name() { super::$name(&crate::support::Backend::log()).await; })+
        }
        mod etcd {
            $(#[$attribute] async fn $name() {
                if let Some(backend) = crate::support::Backend::etcd().await {
                    super::$name(&backend).await;
                }
            })+
        }
    };
}
pub(crate) use over_every_backend;
