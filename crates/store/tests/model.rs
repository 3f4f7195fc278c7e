//! Random writes, held against a model that keeps every state there ever was.
#![expect(clippy::unwrap_used, reason = "functions outside #[test] in a test file")]

mod support;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokenward_store::{
    Entry, EventKind, HistoryLimits, Key, Page, ReadError, Revision, Scope, Start, Store, Unstamped, Watch,
    WriteError,
};

use support::Backend;

/// How many events each collection keeps in these tests.
const KEPT: usize = 6;

#[derive(Clone, Debug)]
enum Step {
    Create(usize, u8),
    /// With the right revision, or with one that is `stale` too low.
    Update(usize, u8, u64),
    Delete(usize, Option<u64>),
    /// The watcher with this number reads all it can.
    Read(usize),
}

fn keys() -> Vec<Key> {
    [("pods", Some("a")), ("pods", Some("a-b")), ("pods", Some("b")), ("nodes", None)]
        .into_iter()
        .flat_map(|(collection, namespace)| {
            ["x", "y"].map(|name| Key::new(collection, namespace, name).unwrap())
        })
        .collect()
}

fn scopes() -> Vec<Scope> {
    vec![
        Scope::collection("pods"),
        Scope::collection("nodes"),
        Scope::namespace("pods", "a"),
        Scope::Key(keys()[4].clone()),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..keys().len();
    let stale = prop_oneof![4 => Just(0u64), 1 => 1u64..3];
    prop_oneof![
        3 => (key.clone(), 0..3u8).prop_map(|(key, content)| Step::Create(key, content)),
        4 => (key.clone(), 0..3u8, stale.clone()).prop_map(|(key, content, stale)| Step::Update(key, content, stale)),
        2 => (key, proptest::option::of(stale)).prop_map(|(key, stale)| Step::Delete(key, stale)),
        2 => (0..scopes().len()).prop_map(Step::Read),
    ]
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Object {
    revision: u64,
    created: u64,
    content: u8,
}

impl Object {
    fn bytes(&self) -> Vec<u8> {
        format!("<{}>{}", self.revision, self.content).into_bytes()
    }
}

type State = BTreeMap<Key, Object>;

/// The state after every revision: `states[0]` is that of revision `base`.
struct Model {
    base: u64,
    states: Vec<State>,
    written: Vec<Key>,
}

impl Model {
    fn current(&self) -> u64 {
        self.base + self.states.len() as u64 - 1
    }

    fn newest(&self) -> &State {
        self.states.last().unwrap()
    }

    fn at(&self, revision: u64) -> &State {
        &self.states[usize::try_from(revision - self.base).unwrap()]
    }

    fn write(&mut self, key: &Key, object: Option<Object>) {
        let mut state = self.newest().clone();
        match object {
            Some(object) => state.insert(key.clone(), object),
            None => state.remove(key),
        };
        self.states.push(state);
        self.written.push(key.clone());
    }

    /// The oldest revision from which `collection` can be told: that of the newest event that its ring has lost.
    fn floor(&self, collection: &str) -> u64 {
        let revisions = (self.base + 1..=self.current()).rev().zip(self.written.iter().rev());
        let mut of_collection = revisions.filter(|(_, key)| key.collection() == collection);
        of_collection.nth(KEPT).map_or(0, |(revision, _)| revision)
    }

    /// What a watcher of `scope` that has got to `seen` is owed: revision, key, object after and before.
    fn owed(&self, scope: &Scope, seen: u64) -> Vec<(u64, Key, Option<Object>, Option<Object>)> {
        (seen + 1..=self.current())
            .filter_map(|revision| {
                let key = &self.written[usize::try_from(revision - self.base).unwrap() - 1];
                scope.contains(key).then(|| {
                    let (after, before) = (self.at(revision).get(key), self.at(revision - 1).get(key));
                    (revision, key.clone(), after.cloned(), before.cloned())
                })
            })
            .collect()
    }
}

fn value(content: u8) -> Unstamped {
    Unstamped::new(format!("<>{content}").into_bytes(), 1)
}

fn assert_is(entry: &Entry<u8>, key: &Key, object: &Object) {
    assert_eq!(&entry.key, key);
    assert_eq!(entry.value, object.bytes());
    assert_eq!((entry.revision.get(), entry.created.get()), (object.revision, object.created));
    assert_eq!(entry.index, b'0' + object.content);
}

struct Watcher {
    watch: Watch<u8>,
    scope: Scope,
    seen: u64,
}

impl Watcher {
    fn start(store: &Store<u8>, scope: Scope) -> Self {
        let watch = store.watch(&scope, Start::Now).unwrap();
        Self { watch, scope, seen: store.current_revision().get() }
    }

    /// Reads all there is and holds it against what the model owes; a watcher that has been passed starts anew.
    fn read(&mut self, store: &Store<u8>, model: &Model) {
        let collection = match &self.scope {
            Scope::Collection(collection) | Scope::Namespace { collection, .. } => collection.to_string(),
            Scope::Key(key) => key.collection().to_string(),
        };
        let owed = model.owed(&self.scope, self.seen);
        let bookmark = self.watch.bookmark().get();
        assert!(bookmark >= self.seen);
        assert!(owed.iter().all(|(revision, ..)| *revision > bookmark));
        match self.watch.ready() {
            Err(compacted) => {
                assert!(self.seen < model.floor(&collection), "lost {owed:?} too early");
                assert_eq!(compacted.oldest.get(), model.floor(&collection));
                *self = Self::start(store, self.scope.clone());
            }
            Ok(None) => {
                assert!(owed.is_empty());
                self.seen = model.current();
            }
            Ok(Some(batch)) => {
                assert_eq!(batch.events.len(), owed.len());
                for (event, (revision, key, after, before)) in batch.events.iter().zip(&owed) {
                    assert_eq!(event.revision.get(), *revision);
                    match (after, before) {
                        (Some(after), _) => {
                            assert_eq!(event.kind, EventKind::Put);
                            assert_is(&event.entry, key, after);
                        }
                        (None, Some(before)) => {
                            assert_eq!(event.kind, EventKind::Delete);
                            assert_is(&event.entry, key, &Object { revision: *revision, ..before.clone() });
                        }
                        (None, None) => panic!("the model wrote nothing at {revision}"),
                    }
                    match (&event.previous, before) {
                        (Some(previous), Some(before)) => assert_is(previous, key, before),
                        (previous, before) => assert!(previous.is_none() && before.is_none()),
                    }
                }
                assert_eq!(batch.upto.get(), model.current());
                self.seen = model.current();
            }
        }
        assert_eq!(self.watch.bookmark().get(), model.current());
    }
}

async fn carry_out(store: &Store<u8>, model: &mut Model, keys: &[Key], step: &Step) {
    let next = model.current() + 1;
    match *step {
        Step::Create(key, content) => {
            let key = &keys[key];
            match (store.create(key.clone(), value(content)).await, model.newest().get(key)) {
                (Ok(entry), None) => {
                    let object = Object { revision: next, created: next, content };
                    assert_is(&entry, key, &object);
                    model.write(key, Some(object));
                }
                (Err(WriteError::Exists(entry)), Some(object)) => assert_is(&entry, key, object),
                (result, object) => panic!("{result:?} against {object:?}"),
            }
        }
        Step::Update(key, content, stale) => {
            let key = &keys[key];
            let object = model.newest().get(key).cloned();
            let expected = Revision::new(object.as_ref().map_or(1, |object| object.revision) - stale.min(1));
            match (store.update(key, expected, value(content)).await, object) {
                (Ok(entry), Some(object)) => {
                    assert_eq!(stale, 0);
                    if object.content == content {
                        assert_is(&entry, key, &object);
                    } else {
                        let object = Object { revision: next, content, ..object };
                        assert_is(&entry, key, &object);
                        model.write(key, Some(object));
                    }
                }
                (Err(WriteError::Conflict { current, .. }), Some(object)) => {
                    assert!(stale > 0);
                    assert_is(&current, key, &object);
                }
                (Err(WriteError::Missing { .. }), None) => {}
                (result, object) => panic!("{result:?} against {object:?}"),
            }
        }
        Step::Delete(key, stale) => {
            let key = &keys[key];
            let object = model.newest().get(key).cloned();
            let expected = stale.map(|stale| {
                Revision::new(object.as_ref().map_or(1, |object| object.revision) - stale.min(1))
            });
            match (store.delete(key, expected).await, object) {
                (Ok(last), Some(object)) => {
                    assert_eq!(stale.unwrap_or(0), 0);
                    assert_is(&last, key, &Object { revision: next, ..object });
                    model.write(key, None);
                }
                (Err(WriteError::Conflict { current, .. }), Some(object)) => {
                    assert!(stale.unwrap_or(0) > 0);
                    assert_is(&current, key, &object);
                }
                (Err(WriteError::Missing { .. }), None) => {}
                (result, object) => panic!("{result:?} against {object:?}"),
            }
        }
        Step::Read(_) => {}
    }
}

/// Every scope at every revision there has been, in pages of two sizes.
fn compare_listings(store: &Store<u8>, model: &Model) {
    for scope in scopes() {
        let floor = match &scope {
            Scope::Key(key) => model.floor(key.collection()),
            Scope::Collection(collection) | Scope::Namespace { collection, .. } => model.floor(collection),
        };
        for revision in model.base..=model.current() {
            for limit in [None, NonZeroUsize::new(2)] {
                let mut page = Page { at: Some(Revision::new(revision)), after: None, limit };
                let mut wanted = model.at(revision).iter().filter(|(key, _)| scope.contains(key));
                let mut left = wanted.clone().count();
                loop {
                    let listing = match store.list(&scope, &page) {
                        Ok(listing) => listing,
                        Err(ReadError::Compacted(compacted)) => {
                            assert!(revision < floor);
                            assert_eq!((compacted.wanted.get(), compacted.oldest.get()), (revision, floor));
                            break;
                        }
                        Err(error) => panic!("{error}"),
                    };
                    assert!(revision >= floor);
                    assert_eq!(listing.revision.get(), revision);
                    assert!(limit.is_none_or(|limit| listing.entries.len() <= limit.get()));
                    for entry in &listing.entries {
                        let (key, object) = wanted.next().expect("no more entries than the model has");
                        assert_is(entry, key, object);
                    }
                    left -= listing.entries.len();
                    assert_eq!(listing.remaining, left);
                    let Some(next) = listing.next else {
                        assert_eq!(left, 0);
                        break;
                    };
                    page.after = Some(next);
                }
            }
        }
        let newest = store.list(&scope, &Page::default()).unwrap();
        assert_eq!(newest.revision.get(), model.current());
        let count = model.newest().keys().filter(|key| scope.contains(key)).count();
        assert_eq!(newest.entries.len(), count);
    }
}

async fn compare(backend: &Backend, steps: &[Step]) {
    let limits = HistoryLimits { events: NonZeroUsize::new(KEPT).unwrap(), bytes: usize::MAX };
    let indexer = |_: &Key, bytes: &[u8]| *bytes.last().unwrap();
    let store = backend.store(limits, indexer).await;
    let base = store.current_revision().get();
    let mut model = Model { base, states: vec![State::new()], written: Vec::new() };
    let keys = keys();
    let mut watchers: Vec<Watcher> =
        scopes().into_iter().map(|scope| Watcher::start(&store, scope)).collect();
    for step in steps {
        carry_out(&store, &mut model, &keys, step).await;
        assert_eq!(store.current_revision().get(), model.current());
        for key in &keys {
            match (store.get(key), model.newest().get(key)) {
                (Some(entry), Some(object)) => assert_is(&entry, key, object),
                (entry, object) => assert!(entry.is_none() && object.is_none()),
            }
        }
        if let Step::Read(watcher) = *step {
            watchers[watcher].read(&store, &model);
        }
    }
    for watcher in &mut watchers {
        watcher.read(&store, &model);
    }
    compare_listings(&store, &model);
    store.close().await;
    if let Some(again) = backend.open(limits, indexer).await {
        assert_eq!(again.current_revision().get(), model.current());
        if !backend.keeps_history() {
            let newest = model.newest().clone();
            model = Model { base: model.current(), states: vec![newest], written: Vec::new() };
        }
        compare_listings(&again, &model);
        again.close().await;
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

proptest! {
    #[test]
    fn the_store_in_memory_does_what_the_model_does(steps in proptest::collection::vec(step(), 1..60)) {
        runtime().block_on(compare(&Backend::Memory, &steps));
    }
}

proptest! {
    // Each waits for the disk.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_log_does_what_the_model_does(steps in proptest::collection::vec(step(), 1..60)) {
        runtime().block_on(compare(&Backend::log(), &steps));
    }
}

#[test]
fn etcd_does_what_the_model_does() {
    let runtime = runtime();
    let Some(backend) = runtime.block_on(Backend::etcd()) else { return };
    // One etcd for all cases; each has a part of its own.
    let mut runner =
        TestRunner::new(ProptestConfig { cases: 12, failure_persistence: None, ..Default::default() });
    let result = runner.run(&proptest::collection::vec(step(), 1..40), |steps| {
        runtime.block_on(compare(&backend, &steps));
        Ok(())
    });
    result.unwrap();
}
