//! The handle.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::change::Change;
use crate::etcd::{Etcd, EtcdError, EtcdOptions};
use crate::log::{Disk, LocalDisk, Log, LogOptions, OpenError, Recovery};
use crate::memory::Memory;
use crate::{
    Entry, HistoryLimits, Key, Listing, Page, ReadError, Revision, Scope, Start, Unstamped, Watch, WriteError,
};

/// A key space with revisions and watch, whose entries carry an index `I` made from their bytes. See the crate's page.
pub struct Store<I> {
    memory: Arc<Memory<I>>,
    backend: Backend<I>,
}

/// Who has to agree before a write is one.
enum Backend<I> {
    /// Nobody.
    Memory,
    /// The disk.
    Log(Arc<Log<I>>),
    /// etcd.
    Etcd(Arc<Etcd<I>>),
}

impl<I: Clone + Send + Sync + 'static> Store<I> {
    /// An empty store in memory.
    ///
    /// `indexer` is called once for every write, before any lock is taken, with the bytes before the revision is put
    /// into them.
    pub fn memory(indexer: impl Fn(&Key, &[u8]) -> I + Send + Sync + 'static) -> Self {
        Self::memory_with_limits(HistoryLimits::default(), indexer)
    }

    /// As [`Store::memory`], with other limits for each collection's history.
    pub fn memory_with_limits(
        limits: HistoryLimits,
        indexer: impl Fn(&Key, &[u8]) -> I + Send + Sync + 'static,
    ) -> Self {
        // As etcd counts: an empty store is at 1. Clients take 0 for "any revision".
        let memory = Memory::new(Revision::new(1), Revision::default(), limits, indexer);
        Self { memory: Arc::new(memory), backend: Backend::Memory }
    }

    /// The store in a directory, which is made when it is missing and is this process's alone until the store is closed
    /// or every handle is gone. What comes out of an earlier life is told in the [`Recovery`].
    ///
    /// A write is acknowledged, and seen by readers and watchers, when it is on the disk. Blocks while it reads what is
    /// there. `indexer` is as for [`Store::memory`].
    ///
    /// # Errors
    /// When the directory or what is in it cannot be used; each says what to do.
    pub fn open(
        directory: &Path,
        options: LogOptions,
        indexer: impl Fn(&Key, &[u8]) -> I + Send + Sync + 'static,
    ) -> Result<(Self, Recovery), OpenError> {
        Self::open_on(Arc::new(LocalDisk), directory, options, indexer)
    }

    pub(crate) fn open_on(
        disk: Arc<dyn Disk>,
        directory: &Path,
        options: LogOptions,
        indexer: impl Fn(&Key, &[u8]) -> I + Send + Sync + 'static,
    ) -> Result<(Self, Recovery), OpenError> {
        let (log, memory, recovery) = Log::open(disk, directory, options, indexer)?;
        Ok((Self { memory, backend: Backend::Log(Arc::new(log)) }, recovery))
    }

    /// The store in etcd, which other servers may share. Ready when everything there has been read.
    ///
    /// A write is acknowledged when etcd has it and this store's readers and watchers see it. Reads are answered from memory, which follows
    /// etcd and may be a moment behind what other servers write. `indexer` is as for [`Store::memory`], and called for what others
    /// write too. Needs a Tokio runtime, on which it works until every handle is gone.
    ///
    /// # Errors
    /// When no server answers.
    pub async fn etcd(
        options: EtcdOptions,
        indexer: impl Fn(&Key, &[u8]) -> I + Send + Sync + 'static,
    ) -> Result<Self, EtcdError> {
        let (etcd, memory) = Etcd::connect(options, indexer).await?;
        Ok(Self { memory, backend: Backend::Etcd(Arc::new(etcd)) })
    }

    /// Finishes what is under way and lets go of the data directory; later writes are refused. Reads go on. Only a store
    /// in a directory has something to close.
    pub async fn close(&self) {
        match &self.backend {
            Backend::Memory | Backend::Etcd(_) => {}
            Backend::Log(log) => log.close().await,
        }
    }

    /// Waits until the store has got to a revision of which another server may have told a client, three seconds at most, as
    /// kube-apiserver does. Only a store in etcd can be behind; any other returns at once.
    pub async fn reached(&self, revision: Revision) {
        if let Backend::Etcd(etcd) = &self.backend {
            etcd.reached(revision).await;
        }
    }

    /// Whether etcd answers, for a store that is kept there; `None` for any other.
    pub fn etcd_answers(&self) -> Option<bool> {
        match &self.backend {
            Backend::Memory | Backend::Log(_) => None,
            Backend::Etcd(etcd) => Some(etcd.answers()),
        }
    }

    /// Writes a new object.
    ///
    /// # Errors
    /// [`WriteError::Exists`], [`WriteError::Unavailable`].
    pub async fn create(&self, key: Key, value: Unstamped) -> Result<Arc<Entry<I>>, WriteError<I>> {
        let index = self.memory.index(&key, value.bytes());
        self.create_indexed(key, value, index).await
    }

    /// As [`Store::create`], for a writer that has what the store's indexer would make of the value.
    ///
    /// # Errors
    /// Those of [`Store::create`].
    pub async fn create_indexed(
        &self,
        key: Key,
        value: Unstamped,
        index: I,
    ) -> Result<Arc<Entry<I>>, WriteError<I>> {
        self.write(Change::Create { key, value, index }).await
    }

    /// Writes over the object at `key`, which the caller has read at revision `expected`.
    ///
    /// A value that differs in nothing is not written: the entry stays as it is and keeps its revision, and no watcher
    /// hears of it.
    ///
    /// # Errors
    /// [`WriteError::Conflict`], [`WriteError::Missing`], [`WriteError::Unavailable`].
    pub async fn update(
        &self,
        key: &Key,
        expected: Revision,
        value: Unstamped,
    ) -> Result<Arc<Entry<I>>, WriteError<I>> {
        let index = self.memory.index(key, value.bytes());
        self.update_indexed(key, expected, value, index).await
    }

    /// As [`Store::update`], for a writer that has what the store's indexer would make of the value.
    ///
    /// # Errors
    /// Those of [`Store::update`].
    pub async fn update_indexed(
        &self,
        key: &Key,
        expected: Revision,
        value: Unstamped,
        index: I,
    ) -> Result<Arc<Entry<I>>, WriteError<I>> {
        self.write(Change::Update { key: key.clone(), expected, value, index }).await
    }

    /// Deletes the object at `key`; with `expected`, only if it is still at that revision. Gives its last state, with the
    /// revision of the deletion in it, as watchers get it.
    ///
    /// # Errors
    /// [`WriteError::Conflict`], [`WriteError::Missing`], [`WriteError::Unavailable`].
    pub async fn delete(
        &self,
        key: &Key,
        expected: Option<Revision>,
    ) -> Result<Arc<Entry<I>>, WriteError<I>> {
        self.write(Change::Delete { key: key.clone(), expected }).await
    }

    async fn write(&self, change: Change<I>) -> Result<Arc<Entry<I>>, WriteError<I>> {
        match &self.backend {
            Backend::Memory => self.memory.write(change),
            Backend::Log(log) => log.write(change).await,
            Backend::Etcd(etcd) => etcd.write(change).await,
        }
    }
}

impl<I> Store<I> {
    /// Calls `set_apart` with the index of every object that has another revision from then on, or is gone, whoever wrote that: history
    /// may keep it for long, and whatever an index shares with others need not be kept for it. Called once the write is seen,
    /// without a lock. For whoever makes the store: once, and before the first write that matters.
    #[must_use]
    pub fn setting_apart(self, set_apart: impl Fn(&I) + Send + Sync + 'static) -> Self {
        self.memory.set_apart_with(set_apart);
        self
    }
}

/// Reads: answered from memory, whoever keeps the objects.
impl<I> Store<I> {
    /// The newest revision that any write has got. A listing made after this call is at this revision or a newer one.
    pub fn current_revision(&self) -> Revision {
        self.memory.current_revision()
    }

    /// The object at `key`.
    pub fn get(&self, key: &Key) -> Option<Arc<Entry<I>>> {
        self.memory.get(key)
    }

    /// The object at the key of these parts, which nobody has to make; none too where they make no key.
    pub fn find(&self, collection: &str, namespace: Option<&str>, name: &str) -> Option<Arc<Entry<I>>> {
        if !Key::is_name(name) || !namespace.is_none_or(Key::is_name) {
            return None;
        }
        match namespace {
            None => self.memory.find(collection, name),
            Some(namespace) => self.memory.find(collection, &[namespace, "/", name].concat()),
        }
    }

    /// A consistent listing.
    ///
    /// # Errors
    /// When [`Page::at`] is too old or has not been reached.
    pub fn list(&self, scope: &Scope, page: &Page) -> Result<Listing<I>, ReadError> {
        let collection = self.memory.collection(scope.of_collection());
        let (state, current) = collection.read();
        match page.at {
            Some(wanted) if wanted > current => Err(ReadError::Future { wanted, current }),
            Some(wanted) if wanted < current => Ok(state.older(scope, page, wanted)?),
            _ => Ok(state.newest(scope, page, current)),
        }
    }

    /// A watch of the scope's writes from `start` on.
    ///
    /// # Errors
    /// When the revision to start after is too old or has not been reached.
    pub fn watch(&self, scope: &Scope, start: Start) -> Result<Watch<I>, ReadError> {
        let collection = self.memory.collection(scope.of_collection());
        let (cursor, seen) = {
            let (state, current) = collection.read();
            match start {
                Start::Now => (state.history.end(), current),
                Start::After(wanted) if wanted > current => {
                    return Err(ReadError::Future { wanted, current });
                }
                Start::After(wanted) => (state.history.after(wanted)?, wanted),
            }
        };
        Ok(Watch::new(collection, scope.clone(), cursor, seen))
    }

    /// All of the scope, and a watch that starts exactly after it.
    pub fn list_and_watch(&self, scope: &Scope) -> (Listing<I>, Watch<I>) {
        let collection = self.memory.collection(scope.of_collection());
        let (listing, cursor) = {
            let (state, current) = collection.read();
            (state.newest(scope, &Page::default(), current), state.history.end())
        };
        let seen = listing.revision;
        (listing, Watch::new(collection, scope.clone(), cursor, seen))
    }
}

impl<I> Clone for Store<I> {
    fn clone(&self) -> Self {
        Self { memory: self.memory.clone(), backend: self.backend.clone() }
    }
}

impl<I> Clone for Backend<I> {
    fn clone(&self) -> Self {
        match self {
            Self::Memory => Self::Memory,
            Self::Log(log) => Self::Log(log.clone()),
            Self::Etcd(etcd) => Self::Etcd(etcd.clone()),
        }
    }
}

impl<I> fmt::Debug for Store<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("revision", &self.memory.current_revision().get())
            .finish_non_exhaustive()
    }
}
