//! One collection: its objects, its history and the bell that wakes its watchers.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{RwLock, RwLockReadGuard};
use tokio::sync::watch;

use crate::history::History;
use crate::{
    Compacted, Entry, Event, EventKind, HistoryLimits, Key, Listing, Page, Revision, Scope, WriteError,
};

/// The newest revision of the whole store.
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

    pub(crate) fn advance(&self) -> Revision {
        Revision::new(self.0.fetch_add(1, Ordering::SeqCst) + 1)
    }
}

pub(crate) struct Collection<I> {
    state: RwLock<State<I>>,
    /// Rung after every write, when the lock is free again. Other collections' watchers do not hear it.
    bell: watch::Sender<()>,
    counter: Counter,
}

/// What a write comes to, once the state under the lock is known.
pub(crate) enum Decision<I> {
    /// Nothing changes: the entry as it is.
    Keep(Arc<Entry<I>>),
    /// This entry is the newest state of its key.
    Put(Arc<Entry<I>>),
    /// This was the last state of its key.
    Delete(Arc<Entry<I>>),
}

impl<I> Collection<I> {
    pub(crate) fn new(counter: Counter, limits: HistoryLimits) -> Self {
        let state = State { objects: BTreeMap::new(), history: History::new(limits) };
        Self { state: RwLock::new(state), bell: watch::Sender::new(()), counter }
    }

    /// The state, and the revision up to which it is complete for as long as the guard lives.
    pub(crate) fn read(&self) -> (RwLockReadGuard<'_, State<I>>, Revision) {
        let state = self.state.read();
        let current = self.counter.current();
        (state, current)
    }

    /// Carries out what `decide` makes of the state. It advances the counter exactly when it decides to write.
    pub(crate) fn write(
        &self,
        decide: impl FnOnce(&State<I>, &Counter) -> Result<Decision<I>, WriteError<I>>,
    ) -> Result<Arc<Entry<I>>, WriteError<I>> {
        let mut state = self.state.write();
        let entry = match decide(&state, &self.counter)? {
            Decision::Keep(entry) => return Ok(entry),
            Decision::Put(entry) => {
                state.put(entry.clone());
                entry
            }
            Decision::Delete(last) => {
                state.delete(last.clone());
                last
            }
        };
        drop(state);
        self.bell.send_replace(());
        Ok(entry)
    }

    pub(crate) fn listen(&self) -> watch::Receiver<()> {
        self.bell.subscribe()
    }
}

pub(crate) struct State<I> {
    /// By path: see [`Key`].
    objects: BTreeMap<Arc<str>, Arc<Entry<I>>>,
    pub(crate) history: History<I>,
}

impl<I> State<I> {
    pub(crate) fn get(&self, key: &Key) -> Option<&Arc<Entry<I>>> {
        self.objects.get(&**key.path())
    }

    /// The entry at `key`, if it is there and at revision `expected`.
    pub(crate) fn expect(
        &self,
        key: &Key,
        expected: Option<Revision>,
    ) -> Result<&Arc<Entry<I>>, WriteError<I>> {
        let current = self.get(key).ok_or_else(|| WriteError::Missing { key: key.clone() })?;
        match expected {
            Some(expected) if expected != current.revision => {
                Err(WriteError::Conflict { expected, current: current.clone() })
            }
            _ => Ok(current),
        }
    }

    fn put(&mut self, entry: Arc<Entry<I>>) {
        let previous = self.objects.insert(entry.key.path().clone(), entry.clone());
        let revision = entry.revision;
        self.history.push(Arc::new(Event { kind: EventKind::Put, entry, previous, revision }));
    }

    fn delete(&mut self, last: Arc<Entry<I>>) {
        let previous = self.objects.remove(&**last.key.path());
        let revision = last.revision;
        self.history.push(Arc::new(Event { kind: EventKind::Delete, entry: last, previous, revision }));
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
