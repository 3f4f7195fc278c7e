//! Many writers and watchers at once.
#![expect(clippy::unwrap_used, reason = "functions outside #[test] in a test file")]

mod support;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use support::{Backend, over_every_backend};
use tokenward_store::{EventKind, HistoryLimits, Key, Page, Revision, Scope, Start, Store, Unstamped, Watch};
use tokio::task::JoinSet;

const WRITERS: usize = 8;
const WRITES: usize = 400;
const COLLECTIONS: [&str; 2] = ["pods", "nodes"];

over_every_backend!(
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    every_watcher_gets_every_event_once_and_in_order,
    of_writers_with_the_same_expectation_one_wins,
);

fn value(number: usize) -> Unstamped {
    Unstamped::new(format!("@{number}").into_bytes(), 0)
}

/// Creates, updates and deletes keys of both collections that no other writer touches, and counts the writes of each.
async fn write(store: Store<()>, writer: usize) -> [usize; 2] {
    let mut written = [0; 2];
    for number in 0..WRITES {
        let which = number % 2;
        let key = Key::new(COLLECTIONS[which], None, &format!("w{writer}-{}", number / 2 % 5)).unwrap();
        match store.get(&key) {
            None => store.create(key, value(number)).await.unwrap(),
            Some(entry) if number % 7 == 0 => store.delete(&key, Some(entry.revision)).await.unwrap(),
            Some(entry) => store.update(&key, entry.revision, value(number)).await.unwrap(),
        };
        written[which] += 1;
        if number % 16 == 0 {
            tokio::task::yield_now().await;
        }
    }
    written
}

/// Reads until `last` is seen; gives the revisions in the order of their arrival, and the state they add up to.
async fn follow(
    mut watch: Watch<()>,
    mut state: BTreeMap<Key, Revision>,
    mut seen: Revision,
    mut last: tokio::sync::watch::Receiver<Option<Revision>>,
) -> (Vec<Revision>, BTreeMap<Key, Revision>) {
    let mut revisions = Vec::new();
    loop {
        let end = *last.borrow_and_update();
        let bookmark = watch.bookmark();
        assert!(bookmark >= seen);
        if end.is_some_and(|end| end <= bookmark) {
            return (revisions, state);
        }
        let batch = tokio::select! {
            batch = watch.next() => batch.unwrap(),
            changed = last.changed() => {
                changed.unwrap();
                continue;
            }
        };
        for event in &batch.events {
            assert!(event.revision > seen, "{} after {seen}", event.revision);
            assert!(event.revision > bookmark, "an event that the bookmark had promised away");
            seen = event.revision;
            revisions.push(seen);
            assert_eq!(
                event.previous.as_ref().map(|entry| entry.revision),
                state.get(&event.entry.key).copied()
            );
            match event.kind {
                EventKind::Put => state.insert(event.entry.key.clone(), event.revision),
                EventKind::Delete => state.remove(&event.entry.key),
            };
        }
        assert!(batch.upto >= seen);
        seen = batch.upto;
    }
}

async fn every_watcher_gets_every_event_once_and_in_order(backend: &Backend) {
    let store = backend.store(HistoryLimits::default(), |_, _| ()).await;
    let base = store.current_revision();
    let (finished, last) = tokio::sync::watch::channel(None);
    let mut watchers = JoinSet::new();
    for number in 0..20 {
        let which = number % 2;
        let watch = store.watch(&Scope::collection(COLLECTIONS[which]), Start::Now).unwrap();
        let follow = follow(watch, BTreeMap::new(), base, last.clone());
        watchers.spawn(async move { (which, true, follow.await) });
    }
    let mut writers: JoinSet<[usize; 2]> = (0..WRITERS).map(|writer| write(store.clone(), writer)).collect();
    // These come in the middle and start from a snapshot.
    for number in 0..10 {
        let which = number % 2;
        tokio::task::yield_now().await;
        let (listing, watch) = store.list_and_watch(&Scope::collection(COLLECTIONS[which]));
        let state = listing.entries.iter().map(|entry| (entry.key.clone(), entry.revision)).collect();
        let follow = follow(watch, state, listing.revision, last.clone());
        watchers.spawn(async move { (which, false, follow.await) });
    }
    let mut written = [0; 2];
    while let Some(counts) = writers.join_next().await {
        for (total, count) in written.iter_mut().zip(counts.unwrap()) {
            *total += count;
        }
    }
    assert_eq!(store.current_revision().get(), base.get() + (WRITERS * WRITES) as u64);
    finished.send(Some(store.current_revision())).unwrap();

    let deadline = Duration::from_secs(60);
    let results =
        tokio::time::timeout(deadline, watchers.join_all()).await.expect("watchers that come to an end");
    assert_eq!(results.len(), 30);
    for (which, from_the_start, (revisions, state)) in results {
        let listing = store.list(&Scope::collection(COLLECTIONS[which]), &Page::default()).unwrap();
        let newest = listing.entries.iter().map(|entry| (entry.key.clone(), entry.revision)).collect();
        assert_eq!(state, newest);
        if from_the_start {
            // Strictly rising (checked above) and as many as were written: each exactly once.
            assert_eq!(revisions.len(), written[which]);
        }
    }
}

async fn of_writers_with_the_same_expectation_one_wins(backend: &Backend) {
    let store = backend.store(HistoryLimits::default(), |_, _| ()).await;
    let key = Key::new("pods", None, "counter").unwrap();
    store.create(key.clone(), value(0)).await.unwrap();
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let (store, key) = (store.clone(), key.clone());
        writers.spawn(async move {
            for _ in 0..50 {
                loop {
                    let entry = store.get(&key).unwrap();
                    let text = std::str::from_utf8(&entry.value).unwrap();
                    let number: usize = text.split_once('@').unwrap().1.parse().unwrap();
                    if store.update(&key, entry.revision, value(number + 1)).await.is_ok() {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
            }
        });
    }
    writers.join_all().await;
    let entry = store.get(&key).unwrap();
    assert_eq!(entry.value, format!("{}@{}", entry.revision, WRITERS * 50));
}

/// Counts how often `future` is polled.
async fn counting<F: Future>(future: F, polls: Arc<AtomicUsize>) -> F::Output {
    let mut future = pin!(future);
    std::future::poll_fn(move |context| {
        polls.fetch_add(1, Ordering::SeqCst);
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(output),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// On one thread tasks run in the order in which they were woken: a new one comes after all of them.
async fn everyone_has_run() {
    tokio::spawn(async {}).await.unwrap();
}

#[tokio::test]
async fn idle_watchers_of_one_collection_sleep_through_writes_to_another() {
    const IDLE: usize = 10_000;
    // A place in history, and nothing of what is there.
    assert!(size_of::<Watch<()>>() <= 160, "a watch of {} bytes", size_of::<Watch<()>>());
    let store = Store::memory(|_, _| ());
    let polls = Arc::new(AtomicUsize::new(0));
    let mut idle = JoinSet::new();
    for _ in 0..IDLE {
        let mut watch = store.watch(&Scope::collection("pods"), Start::Now).unwrap();
        let polls = polls.clone();
        idle.spawn(async move { counting(watch.next(), polls).await.unwrap().events.len() });
    }
    everyone_has_run().await;
    assert_eq!(polls.load(Ordering::SeqCst), IDLE);

    let mut busy = store.watch(&Scope::collection("nodes"), Start::Now).unwrap();
    for number in 0..100 {
        let key = Key::new("nodes", None, &format!("n{number}")).unwrap();
        store.create(key, value(number)).await.unwrap();
        assert_eq!(busy.next().await.unwrap().events.len(), 1);
    }
    everyone_has_run().await;
    assert_eq!(polls.load(Ordering::SeqCst), IDLE);

    store.create(Key::new("pods", None, "p").unwrap(), value(0)).await.unwrap();
    let woken = idle.join_all().await;
    assert_eq!(woken, vec![1; IDLE]);
    assert_eq!(polls.load(Ordering::SeqCst), 2 * IDLE);
}
