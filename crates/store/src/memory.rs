//! The objects in memory: what every reader and watcher is answered from, whoever keeps them beyond that.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::change::{Change, Write};
use crate::collection::{Collection, Counter};
use crate::{Entry, HistoryLimits, Key, Revision, WriteError};

type Indexer<I> = Box<dyn Fn(&Key, &[u8]) -> I + Send + Sync>;

pub(crate) struct Memory<I> {
    counter: Counter,
    /// Made when first written or listed, never removed: there are as many as kinds are served.
    collections: RwLock<HashMap<Arc<str>, Arc<Collection<I>>>>,
    indexer: Indexer<I>,
    limits: HistoryLimits,
    /// History begins here, in collections that are made later too.
    floor: Revision,
}

impl<I> Memory<I> {
    /// No objects at revision `current`. What was before `floor` cannot be told.
    pub(crate) fn new(
        current: Revision,
        floor: Revision,
        limits: HistoryLimits,
        indexer: impl Fn(&Key, &[u8]) -> I + Send + Sync + 'static,
    ) -> Self {
        let counter = Counter::starting_at(current);
        Self { counter, collections: RwLock::default(), indexer: Box::new(indexer), limits, floor }
    }

    pub(crate) fn current_revision(&self) -> Revision {
        self.counter.current()
    }

    pub(crate) fn index(&self, key: &Key, bytes: &[u8]) -> I {
        (self.indexer)(key, bytes)
    }

    /// The collection, made when it is not there yet.
    pub(crate) fn collection(&self, name: &Arc<str>) -> Arc<Collection<I>> {
        if let Some(collection) = self.collections.read().get(name) {
            return collection.clone();
        }
        let new = || Arc::new(Collection::new(self.counter.clone(), self.limits, self.floor));
        self.collections.write().entry(name.clone()).or_insert_with(new).clone()
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Entry<I>>> {
        let collection = self.collections.read().get(key.collection())?.clone();
        let (state, _) = collection.read();
        state.get(key).cloned()
    }

    /// Takes in writes in the order of their revisions. Writes of one collection that follow each other become visible together.
    pub(crate) fn apply(&self, writes: Vec<Write<I>>) {
        let mut writes = writes.into_iter().peekable();
        while let Some(first) = writes.next() {
            let name = first.entry().key.shared_collection().clone();
            let collection = self.collection(&name);
            let rest =
                std::iter::from_fn(|| writes.next_if(|write| write.entry().key.shared_collection() == &name));
            collection.apply(std::iter::once(first).chain(rest));
        }
    }

    /// Puts an entry in its place without any history, as when the state is loaded.
    pub(crate) fn load(&self, entry: Entry<I>) {
        self.collection(entry.key.shared_collection()).lock().load(Arc::new(entry));
    }

    /// All objects, collection by collection. Consistent only while nobody writes.
    pub(crate) fn objects(&self) -> Vec<Arc<Entry<I>>> {
        let mut collections: Vec<_> = self
            .collections
            .read()
            .iter()
            .map(|(name, collection)| (name.clone(), collection.clone()))
            .collect();
        collections.sort_by(|a, b| a.0.cmp(&b.0));
        let mut objects = Vec::new();
        for (_, collection) in collections {
            objects.extend(collection.read().0.objects().cloned());
        }
        objects
    }
}

impl<I: Clone> Memory<I> {
    /// Decides about a change and carries it out at once.
    pub(crate) fn write(&self, change: Change<I>) -> Result<Arc<Entry<I>>, WriteError<I>> {
        self.collection(change.key().shared_collection()).write(change)
    }
}
