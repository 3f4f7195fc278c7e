//! One collection: its objects, its history and the bell that wakes its watchers.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::bell::{Bell, Listener};
use crate::change::{Change, Decision, Write};
use crate::history::History;
use crate::{
    Compacted, Entry, Event, EventKind, HistoryLimits, Key, Listing, Page, Revision, Scope, WriteError,
};

/// The newest revision of the whole store that may be seen.
///
/// It is raised only under the write lock of the collection that is written. So whoever holds a collection's read lock
/// and reads the counter knows that the collection is complete up to it.
#[derive(Clone)]
pub(crate) struct Counter(Arc<AtomicU64>);

impl Counter {
    pub(crate) fn starting_at(revision: Revision) -> Self {
        Self(Arc::new(AtomicU64::new(revision.get())))
    }

    pub(crate) fn current(&self) -> Revision {
        Revision::new(self.0.load(Ordering::SeqCst))
    }

    fn advance(&self) -> Revision {
        Revision::new(self.0.fetch_add(1, Ordering::SeqCst) + 1)
    }

    /// Never lowers it.
    pub(crate) fn raise(&self, revision: Revision) {
        self.0.fetch_max(revision.get(), Ordering::SeqCst);
    }
}

/// What is done with the index of an object that has another revision by now, or is gone: [`crate::Store::setting_apart`].
pub(crate) type SetApart<I> = Arc<OnceLock<Box<dyn Fn(&I) + Send + Sync>>>;

pub(crate) struct Collection<I> {
    state: RwLock<State<I>>,
    /// Rung after every write, when the lock is free again. Other collections' watchers do not hear it.
    bell: Bell,
    counter: Counter,
    set_apart: SetApart<I>,
}

impl<I> Collection<I> {
    /// An empty collection, of whose states before `floor` nothing is known.
    pub(crate) fn new(
        counter: Counter,
        limits: HistoryLimits,
        floor: Revision,
        set_apart: SetApart<I>,
    ) -> Self {
        let state = State { objects: BTreeMap::new(), history: History::new(limits, floor) };
        Self { state: RwLock::new(state), bell: Bell::default(), counter, set_apart }
    }

    /// The state, and the revision up to which it is complete for as long as the guard lives.
    pub(crate) fn read(&self) -> (RwLockReadGuard<'_, State<I>>, Revision) {
        let state = self.state.read();
        let current = self.counter.current();
        (state, current)
    }

    /// Takes in what has been decided and may be seen from now on, in the order of the revisions.
    pub(crate) fn apply(&self, writes: impl IntoIterator<Item = Write<I>>) {
        let mut past = Vec::new();
        let mut state = self.state.write();
        for write in writes {
            let revision = write.entry().revision;
            past.extend(state.apply(write));
            self.counter.raise(revision);
        }
        drop(state);
        self.follow_up(past);
    }

    /// What comes after writes, when the lock is free again; `past` are the entries that they took the place of.
    pub(crate) fn follow_up(&self, past: impl IntoIterator<Item = Arc<Entry<I>>>) {
        self.ring();
        if let Some(set_apart) = self.set_apart.get() {
            past.into_iter().for_each(|entry| set_apart(&entry.index));
        }
    }

    /// The state to be changed by hand. Who does so raises the counter before the guard goes, and follows up after.
    pub(crate) fn lock(&self) -> RwLockWriteGuard<'_, State<I>> {
        self.state.write()
    }

    /// Wakes the watchers.
    pub(crate) fn ring(&self) {
        self.bell.ring();
    }

    pub(crate) fn listen(&self) -> Listener {
        self.bell.listen()
    }
}

impl<I: Clone> Collection<I> {
    /// Decides about a change and carries it out at once.
    pub(crate) fn write(&self, change: Change<I>) -> Result<Arc<Entry<I>>, WriteError<I>> {
        let mut state = self.state.write();
        let current = state.get(change.key()).cloned();
        let write = match change.decide(current.as_ref(), || self.counter.advance())? {
            Decision::Keep(entry) => return Ok(entry),
            Decision::Write(write) => write,
        };
        let entry = write.entry().clone();
        let past = state.apply(write);
        drop(state);
        self.follow_up(past);
        Ok(entry)
    }
}

pub(crate) struct State<I> {
    /// By path: see [`Key`].
    objects: BTreeMap<Arc<str>, Arc<Entry<I>>>,
    pub(crate) history: History<I>,
}

impl<I> State<I> {
    pub(crate) fn get(&self, key: &Key) -> Option<&Arc<Entry<I>>> {
        self.at(key.path())
    }

    pub(crate) fn at(&self, path: &str) -> Option<&Arc<Entry<I>>> {
        self.objects.get(path)
    }

    /// Gives the entry whose place it takes.
    pub(crate) fn apply(&mut self, write: Write<I>) -> Option<Arc<Entry<I>>> {
        match write {
            Write::Put(entry) => self.put(entry),
            Write::Delete(last) => self.delete(last),
        }
    }

    /// Puts an entry in its place without any history, as when the state is loaded.
    pub(crate) fn load(&mut self, entry: Arc<Entry<I>>) {
        self.objects.insert(entry.key.path().clone(), entry);
    }

    /// Forgets objects and history; what was before `floor` cannot be told.
    pub(crate) fn reset(&mut self, floor: Revision) {
        self.objects.clear();
        self.history.reset(floor);
    }

    /// All objects, in the order of their paths.
    pub(crate) fn objects(&self) -> impl Iterator<Item = &Arc<Entry<I>>> {
        self.objects.values()
    }

    fn put(&mut self, entry: Arc<Entry<I>>) -> Option<Arc<Entry<I>>> {
        let previous = self.objects.insert(entry.key.path().clone(), entry.clone());
        let (past, revision) = (previous.clone(), entry.revision);
        self.history.push(Arc::new(Event { kind: EventKind::Put, entry, previous, revision }));
        past
    }

    fn delete(&mut self, last: Arc<Entry<I>>) -> Option<Arc<Entry<I>>> {
        let previous = self.objects.remove(&**last.key.path());
        let (past, revision) = (previous.clone(), last.revision);
        self.history.push(Arc::new(Event { kind: EventKind::Delete, entry: last, previous, revision }));
        past
    }

    /// The page of the newest state, which is that of revision `current`.
    pub(crate) fn newest(&self, scope: &Scope, page: &Page, current: Revision) -> Listing<I> {
        let bounds = scope.bounds(page.after.as_ref());
        let entries = bounds.range().map(|range| self.objects.range::<str, _>(range));
        paged(entries.into_iter().flatten().map(|(_, entry)| entry), page, current)
    }

    /// The page of the state at `revision`, which is not newer than the newest.
    pub(crate) fn older(
        &self,
        scope: &Scope,
        page: &Page,
        revision: Revision,
    ) -> Result<Listing<I>, Compacted> {
        let since = self.history.from(self.history.after(revision)?, revision)?;
        // What the keys written since held at `revision`: what they held before the first of those writes.
        let mut undone: BTreeMap<&str, Option<&Arc<Entry<I>>>> = BTreeMap::new();
        for event in since.filter(|event| scope.contains_path(event.entry.key.path())) {
            undone.entry(event.entry.key.path()).or_insert(event.previous.as_ref());
        }
        let bounds = scope.bounds(page.after.as_ref());
        let Some(range) = bounds.range() else {
            return Ok(paged(std::iter::empty(), page, revision));
        };
        let unchanged =
            self.objects.range::<str, _>(range).filter(|(path, _)| !undone.contains_key(&***path));
        let changed = undone.range::<str, _>(range).filter_map(|(_, entry)| *entry);
        let mut entries: Vec<&Arc<Entry<I>>> = unchanged.map(|(_, entry)| entry).chain(changed).collect();
        // Two sorted runs: the stable sort merges them.
        entries.sort_by(|a, b| a.key.path().cmp(b.key.path()));
        Ok(paged(entries.into_iter(), page, revision))
    }
}

fn paged<'a, I: 'a>(
    mut entries: impl Iterator<Item = &'a Arc<Entry<I>>>,
    page: &Page,
    revision: Revision,
) -> Listing<I> {
    let limit = page.limit.map_or(usize::MAX, NonZeroUsize::get);
    let listed: Vec<_> = entries.by_ref().take(limit).cloned().collect();
    let remaining = entries.count();
    let next = if remaining > 0 { listed.last().map(|entry| entry.key.clone()) } else { None };
    Listing { entries: listed, revision, remaining, next }
}
