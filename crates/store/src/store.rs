//! The handle, and the memory behind it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::collection::{Collection, Counter, Decision};
use crate::{
    Entry, HistoryLimits, Key, Listing, Page, ReadError, Revision, Scope, Start, Unstamped, Watch, WriteError,
};

/// A key space with revisions and watch, whose entries carry an index `I` made from their bytes. See the crate's page.
pub struct Store<I> {
    memory: Arc<Memory<I>>,
}

type Indexer<I> = Box<dyn Fn(&Key, &[u8]) -> I + Send + Sync>;

struct Memory<I> {
    counter: Counter,
    /// Made when first written or listed, never removed: there are as many as kinds are served.
    collections: RwLock<HashMap<Arc<str>, Arc<Collection<I>>>>,
    indexer: Indexer<I>,
    limits: HistoryLimits,
}

impl<I: Clone> Store<I> {
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
        let memory = Memory {
            // As etcd counts: an empty store is at 1. Clients take 0 for "any revision".
            counter: Counter::starting_at(Revision::new(1)),
            collections: RwLock::default(),
            indexer: Box::new(indexer),
            limits,
        };
        Self { memory: Arc::new(memory) }
    }

    /// The newest revision that any write has got. A listing made after this call is at this revision or a newer one.
    pub fn current_revision(&self) -> Revision {
        self.memory.counter.current()
    }

    /// The object at `key`.
    pub fn get(&self, key: &Key) -> Option<Arc<Entry<I>>> {
        let collection = self.memory.collections.read().get(key.collection())?.clone();
        let (state, _) = collection.read();
        state.get(key).cloned()
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

    /// Writes a new object.
    ///
    /// # Errors
    /// [`WriteError::Exists`].
    pub async fn create(&self, key: Key, value: Unstamped) -> Result<Arc<Entry<I>>, WriteError<I>> {
        let index = (self.memory.indexer)(&key, value.bytes());
        self.memory.collection(key.shared_collection()).write(|state, counter| match state.get(&key) {
            Some(taken) => Err(WriteError::Exists(taken.clone())),
            None => Ok(Decision::Put(Arc::new(Entry::new(key, value, index, counter.advance(), None)))),
        })
    }

    /// Writes over the object at `key`, which the caller has read at revision `expected`.
    ///
    /// A value that differs in nothing is not written: the entry stays as it is and keeps its revision, and no watcher
    /// hears of it.
    ///
    /// # Errors
    /// [`WriteError::Conflict`], [`WriteError::Missing`].
    pub async fn update(
        &self,
        key: &Key,
        expected: Revision,
        value: Unstamped,
    ) -> Result<Arc<Entry<I>>, WriteError<I>> {
        let index = (self.memory.indexer)(key, value.bytes());
        self.memory.collection(key.shared_collection()).write(|state, counter| {
            let current = state.expect(key, Some(expected))?;
            if current.same_content(&value) {
                return Ok(Decision::Keep(current.clone()));
            }
            let (key, created) = (current.key.clone(), Some(current.created));
            Ok(Decision::Put(Arc::new(Entry::new(key, value, index, counter.advance(), created))))
        })
    }

    /// Deletes the object at `key`; with `expected`, only if it is still at that revision. Gives its last state, with the
    /// revision of the deletion in it, as watchers get it.
    ///
    /// # Errors
    /// [`WriteError::Conflict`], [`WriteError::Missing`].
    pub async fn delete(
        &self,
        key: &Key,
        expected: Option<Revision>,
    ) -> Result<Arc<Entry<I>>, WriteError<I>> {
        self.memory.collection(key.shared_collection()).write(|state, counter| {
            let current = state.expect(key, expected)?;
            Ok(Decision::Delete(Arc::new(current.deleted(counter.advance()))))
        })
    }
}

impl<I> Memory<I> {
    fn collection(&self, name: &Arc<str>) -> Arc<Collection<I>> {
        if let Some(collection) = self.collections.read().get(name) {
            return collection.clone();
        }
        let new = || Arc::new(Collection::new(self.counter.clone(), self.limits));
        self.collections.write().entry(name.clone()).or_insert_with(new).clone()
    }
}

impl<I> Clone for Store<I> {
    fn clone(&self) -> Self {
        Self { memory: self.memory.clone() }
    }
}

impl<I> fmt::Debug for Store<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("revision", &self.memory.counter.current().get())
            .finish_non_exhaustive()
    }
}
