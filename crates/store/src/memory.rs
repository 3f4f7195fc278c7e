//! The objects in memory: what every reader and watcher is answered from, whoever keeps them beyond that.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use crate::change::{Change, Write};
use crate::collection::{Collection, Counter, SetApart};
use crate::{Entry, HistoryLimits, Key, Revision, WriteError};

type Collections<I> = HashMap<Arc<str>, Arc<Collection<I>>>;
pub(crate) type Indexer<I> = Box<dyn Fn(&Key, &[u8]) -> I + Send + Sync>;

pub(crate) struct Memory<I> {
    counter: Counter,
    /// Made when first written or listed, never removed: there are as many as kinds are served.
    collections: RwLock<Collections<I>>,
    indexer: Indexer<I>,
    limits: HistoryLimits,
    /// History begins here, in collections that are made later too. Changed under the lock of `collections`.
    floor: AtomicU64,
    set_apart: SetApart<I>,
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
        let floor = AtomicU64::new(floor.get());
        let set_apart = SetApart::default();
        Self { counter, collections: RwLock::default(), indexer: Box::new(indexer), limits, floor, set_apart }
    }

    /// As [`crate::Store::setting_apart`]. The first to say it counts.
    pub(crate) fn set_apart_with(&self, set_apart: impl Fn(&I) + Send + Sync + 'static) {
        let _ = self.set_apart.set(Box::new(set_apart));
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
        self.made(&mut self.collections.write(), name)
    }

    fn made(&self, collections: &mut Collections<I>, name: &Arc<str>) -> Arc<Collection<I>> {
        let floor = Revision::new(self.floor.load(Ordering::SeqCst));
        let new =
            || Arc::new(Collection::new(self.counter.clone(), self.limits, floor, self.set_apart.clone()));
        collections.entry(name.clone()).or_insert_with(new).clone()
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Entry<I>>> {
        self.find(key.collection(), key.path())
    }

    pub(crate) fn find(&self, collection: &str, path: &str) -> Option<Arc<Entry<I>>> {
        let collections = self.collections.read();
        let (state, _) = collections.get(collection)?.read();
        state.at(path).cloned()
    }

    /// Takes in writes in the order of their revisions. Writes of one collection that follow each other become visible together,
    /// and so do those of one revision.
    pub(crate) fn apply(&self, writes: Vec<Write<I>>) {
        let mut writes = writes.into_iter().peekable();
        while let Some(first) = writes.next() {
            let name = first.entry().key.shared_collection().clone();
            let mut run = vec![first];
            while let Some(next) = writes.peek() {
                let last = run.last().map(|write| write.entry().revision);
                let is_torn = Some(next.entry().revision) == last;
                if !is_torn && next.entry().key.shared_collection() != &name {
                    break;
                }
                run.extend(writes.next());
            }
            if run.iter().all(|write| write.entry().key.shared_collection() == &name) {
                self.collection(&name).apply(run);
            } else {
                self.apply_together(run);
            }
        }
    }

    /// Takes in writes of several collections, no part of which may be seen without the others.
    fn apply_together(&self, writes: Vec<Write<I>>) {
        let mut collections = BTreeMap::new();
        for write in &writes {
            let name = write.entry().key.shared_collection();
            collections.entry(name.clone()).or_insert_with(|| self.collection(name));
        }
        // Always in the order of the names; readers hold one lock at a time.
        let mut states: BTreeMap<&Arc<str>, _> =
            collections.iter().map(|(name, collection)| (name, collection.lock())).collect();
        let mut past: BTreeMap<Arc<str>, Vec<_>> = BTreeMap::new();
        for write in writes {
            let revision = write.entry().revision;
            let name = write.entry().key.shared_collection().clone();
            let state = states.get_mut(&name).expect("every collection of the writes is locked");
            let before = state.apply(write);
            past.entry(name).or_default().extend(before);
            self.counter.raise(revision);
        }
        drop(states);
        for (name, collection) in &collections {
            collection.follow_up(past.remove(name).unwrap_or_default());
        }
    }

    /// Says that nothing has been written up to `revision` but what has been taken in.
    pub(crate) fn raise(&self, revision: Revision) {
        self.counter.raise(revision);
    }

    /// Everything becomes `entries`, the state at `revision`. What led there is not known: whoever watches has to list anew.
    pub(crate) fn replace(&self, entries: Vec<Entry<I>>, revision: Revision) {
        let mut collections = self.collections.write();
        self.floor.store(revision.get(), Ordering::SeqCst);
        for entry in &entries {
            self.made(&mut collections, entry.key.shared_collection());
        }
        // No reader sees one part of the change without the others.
        let mut states: HashMap<&Arc<str>, _> =
            collections.iter().map(|(name, collection)| (name, collection.lock())).collect();
        states.values_mut().for_each(|state| state.reset(revision));
        for entry in entries {
            let name = entry.key.shared_collection().clone();
            states.get_mut(&name).expect("made above").load(Arc::new(entry));
        }
        self.counter.raise(revision);
        drop(states);
        collections.values().for_each(|collection| collection.ring());
    }

    /// The entry of the write at `revision`, as watchers get it, while history has it.
    pub(crate) fn event_entry(&self, key: &Key, revision: Revision) -> Option<Arc<Entry<I>>> {
        let collection = self.collections.read().get(key.collection())?.clone();
        let (state, _) = collection.read();
        state.history.at(revision).find(|event| event.entry.key == *key).map(|event| event.entry.clone())
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
