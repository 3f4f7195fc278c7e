//! What readers, writers and watchers of one store see, case by case.
#![expect(clippy::unwrap_used, reason = "functions outside #[test] in a test file")]

mod support;

use std::num::NonZeroUsize;
use std::sync::Arc;

use tokenward_store::{
    Compacted, EventKind, HistoryLimits, Key, Page, ReadError, Revision, Scope, Start, Store, Unstamped,
    WriteError,
};

use support::{Backend, over_every_backend};

fn key(namespace: &str, name: &str) -> Key {
    Key::new("pods", Some(namespace), name).unwrap()
}

fn value(content: &str) -> Unstamped {
    Unstamped::new(format!("@{content}").into_bytes(), 0)
}

async fn store(backend: &Backend) -> Store<String> {
    let indexer = |key: &Key, bytes: &[u8]| format!("{}:{}", key.name(), bytes.len());
    backend.store(HistoryLimits::default(), indexer).await
}

async fn small_store(backend: &Backend, events: usize) -> Store<()> {
    let limits = HistoryLimits { events: NonZeroUsize::new(events).unwrap(), bytes: usize::MAX };
    backend.store(limits, |_, _| ()).await
}

/// The revisions of a store as they would be if it had been empty at 1, as those in memory are.
fn numbering<I>(store: &Store<I>) -> impl Fn(u64) -> Revision + use<I> {
    let base = store.current_revision().get() - 1;
    move |number| Revision::new(base + number)
}

over_every_backend!(
    #[tokio::test]
    writes_are_numbered_stamped_and_indexed,
    refused_writes_take_no_revision_and_tell_nobody,
    pages_of_one_revision_are_one_snapshot_whatever_is_written_between,
    a_revision_that_is_not_there_is_refused_by_name,
    a_watch_goes_on_exactly_after_its_listing_and_keeps_to_its_scope,
    a_bookmark_never_passes_what_has_not_been_given,
    a_watcher_that_history_has_passed_is_told_so_each_time,
    a_watcher_far_behind_gets_everything_in_bounded_batches,
    a_watcher_that_never_reads_holds_no_memory,
    the_handle_outlives_what_was_built_on_it,
);

async fn writes_are_numbered_stamped_and_indexed(backend: &Backend) {
    let store = store(backend).await;
    let nth = numbering(&store);
    let created = store.create(key("ns", "a"), value("one")).await.unwrap();
    assert_eq!((created.revision, created.created), (nth(2), nth(2)));
    assert_eq!(created.value, format!("{}@one", nth(2)));
    assert_eq!(created.index, "a:4");

    let updated = store.update(&created.key, created.revision, value("three")).await.unwrap();
    assert_eq!((updated.revision, updated.created), (nth(3), nth(2)));
    assert_eq!(updated.value, format!("{}@three", nth(3)));
    assert_eq!(updated.index, "a:6");
    assert!(Arc::ptr_eq(&store.get(&created.key).unwrap(), &updated));

    let deleted = store.delete(&created.key, Some(updated.revision)).await.unwrap();
    assert_eq!((deleted.revision, deleted.created), (nth(4), nth(2)));
    assert_eq!(deleted.value, format!("{}@three", nth(4)));
    assert!(store.get(&created.key).is_none());
    assert_eq!(store.current_revision(), nth(4));

    let again = store.create(key("ns", "a"), value("")).await.unwrap();
    assert_eq!(again.created, nth(5));
}

async fn refused_writes_take_no_revision_and_tell_nobody(backend: &Backend) {
    let store = store(backend).await;
    let one = store.create(key("ns", "a"), value("one")).await.unwrap();
    let two = store.update(&one.key, one.revision, value("two")).await.unwrap();
    let mut watch = store.watch(&Scope::collection("pods"), Start::Now).unwrap();

    let error = store.create(one.key.clone(), value("x")).await.unwrap_err();
    assert!(matches!(&error, WriteError::Exists(entry) if Arc::ptr_eq(entry, &two)));
    let text = format!("wanted pods/ns/a to be free, found it taken since revision {}", one.revision);
    assert_eq!(error.to_string(), text);

    for error in [
        store.update(&one.key, one.revision, value("x")).await.unwrap_err(),
        store.delete(&one.key, Some(one.revision)).await.unwrap_err(),
    ] {
        assert!(matches!(&error, WriteError::Conflict { current, .. } if Arc::ptr_eq(current, &two)));
        let (one, two) = (one.revision, two.revision);
        let text = format!("wanted pods/ns/a at revision {one}, found it at {two}: read it again");
        assert_eq!(error.to_string(), text);
    }
    for error in [
        store.update(&key("ns", "b"), one.revision, value("x")).await.unwrap_err(),
        store.delete(&key("ns", "b"), None).await.unwrap_err(),
    ] {
        assert!(matches!(&error, WriteError::Missing { key } if key.name() == "b"));
    }
    let same = store.update(&one.key, two.revision, value("two")).await.unwrap();
    assert!(Arc::ptr_eq(&same, &two), "a write that changes nothing is not a write");

    assert_eq!(store.current_revision(), two.revision);
    assert!(watch.ready().unwrap().is_none());
}

async fn pages_of_one_revision_are_one_snapshot_whatever_is_written_between(backend: &Backend) {
    let store = store(backend).await;
    let nth = numbering(&store);
    for name in ["a", "b", "c", "d", "e"] {
        store.create(key("ns", name), value(name)).await.unwrap();
    }
    store.create(key("other", "x"), value("x")).await.unwrap();

    let scope = Scope::namespace("pods", "ns");
    let mut page = Page { limit: NonZeroUsize::new(2), ..Page::default() };
    let mut seen = Vec::new();
    let mut remaining = Vec::new();
    loop {
        let listing = store.list(&scope, &page).unwrap();
        assert_eq!(listing.revision, nth(7));
        seen.extend(listing.entries.iter().map(|entry| String::from_utf8(entry.value.to_vec()).unwrap()));
        remaining.push(listing.remaining);
        // Each page finds the rest changed, deleted and grown.
        let doomed = if seen.len() == 2 { "e" } else { "a" };
        let _ = store.delete(&key("ns", doomed), None).await;
        let d = store.get(&key("ns", "d")).unwrap();
        store.update(&d.key, d.revision, value(&format!("d{}", seen.len()))).await.unwrap();
        store.create(key("ns", &format!("c{}", remaining.len())), value("new")).await.unwrap();
        let Some(next) = listing.next else { break };
        page = Page { at: Some(listing.revision), after: Some(next), ..page };
    }
    let pairs = [(2, "a"), (3, "b"), (4, "c"), (5, "d"), (6, "e")];
    assert_eq!(seen, pairs.map(|(number, name)| format!("{}@{name}", nth(number))));
    assert_eq!(remaining, [3, 1, 0]);
}

async fn a_revision_that_is_not_there_is_refused_by_name(backend: &Backend) {
    let store = small_store(backend, 2).await;
    let nth = numbering(&store);
    let pods = Scope::collection("pods");
    for name in ["a", "b", "c", "d"] {
        store.create(key("ns", name), value(name)).await.unwrap();
    }
    let at = |number| Page { at: Some(nth(number)), ..Page::default() };
    let future = ReadError::Future { wanted: nth(6), current: nth(5) };
    assert_eq!(store.list(&pods, &at(6)).unwrap_err(), future);
    assert_eq!(store.watch(&pods, Start::After(nth(6))).unwrap_err(), future);
    assert_eq!(
        future.to_string(),
        format!(
            "wanted the state at revision {}, found the store only at {}: try again later",
            nth(6),
            nth(5)
        )
    );

    let compacted = Compacted { wanted: nth(2), oldest: nth(3) };
    assert_eq!(store.list(&pods, &at(2)).unwrap_err(), ReadError::Compacted(compacted));
    assert_eq!(store.watch(&pods, Start::After(nth(2))).unwrap_err(), ReadError::Compacted(compacted));
    assert_eq!(
        compacted.to_string(),
        format!(
            "wanted the state at revision {}, found that history begins at {}: list anew",
            nth(2),
            nth(3)
        )
    );
    for (revision, count) in [(3, 2), (4, 3), (5, 4)] {
        assert_eq!(store.list(&pods, &at(revision)).unwrap().entries.len(), count);
    }
    // Another collection has lost nothing.
    assert_eq!(store.list(&Scope::collection("nodes"), &at(2)).unwrap().entries.len(), 0);
}

async fn a_watch_goes_on_exactly_after_its_listing_and_keeps_to_its_scope(backend: &Backend) {
    let store = store(backend).await;
    let nth = numbering(&store);
    let a = store.create(key("ns", "a"), value("1")).await.unwrap();
    let (listing, mut of_namespace) = store.list_and_watch(&Scope::namespace("pods", "ns"));
    assert_eq!((listing.entries.len(), listing.revision), (1, a.revision));
    let mut of_key = store.watch(&Scope::Key(a.key.clone()), Start::After(nth(1))).unwrap();

    store.create(key("other", "a"), value("elsewhere")).await.unwrap();
    let b = store.create(key("ns", "b"), value("2")).await.unwrap();
    let gone = store.delete(&a.key, None).await.unwrap();

    let batch = of_namespace.next().await.unwrap();
    assert_eq!(batch.upto, nth(5));
    assert_eq!(batch.events.len(), 2);
    assert!(Arc::ptr_eq(&batch.events[0].entry, &b));
    assert!(batch.events[0].previous.is_none());
    assert_eq!(batch.events[1].kind, EventKind::Delete);
    assert!(Arc::ptr_eq(&batch.events[1].entry, &gone));
    assert!(Arc::ptr_eq(batch.events[1].previous.as_ref().unwrap(), &a));

    let batch = of_key.next().await.unwrap();
    let kinds: Vec<EventKind> = batch.events.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [EventKind::Put, EventKind::Delete]);
}

async fn a_bookmark_never_passes_what_has_not_been_given(backend: &Backend) {
    let store = store(backend).await;
    let nth = numbering(&store);
    let mut watch = store.watch(&Scope::namespace("pods", "ns"), Start::Now).unwrap();
    assert_eq!(watch.bookmark(), nth(1));
    store.create(Key::new("nodes", None, "n").unwrap(), value("")).await.unwrap();
    store.create(key("other", "a"), value("")).await.unwrap();
    assert_eq!(watch.bookmark(), nth(3), "writes elsewhere move it");
    store.create(key("ns", "a"), value("")).await.unwrap();
    store.create(key("other", "b"), value("")).await.unwrap();
    assert_eq!(watch.bookmark(), nth(3), "an event that waits holds it");
    assert_eq!(watch.next().await.unwrap().events.len(), 1);
    assert_eq!(watch.bookmark(), nth(5));
}

async fn a_watcher_that_history_has_passed_is_told_so_each_time(backend: &Backend) {
    let store = small_store(backend, 3).await;
    let nth = numbering(&store);
    let mut watch = store.watch(&Scope::collection("pods"), Start::Now).unwrap();
    for name in ["a", "b", "c", "d"] {
        store.create(key("ns", name), value(name)).await.unwrap();
    }
    let compacted = Compacted { wanted: nth(1), oldest: nth(2) };
    assert_eq!(watch.next().await.unwrap_err(), compacted);
    assert_eq!(watch.next().await.unwrap_err(), compacted);
    assert_eq!(watch.bookmark(), nth(1));
}

async fn a_watcher_far_behind_gets_everything_in_bounded_batches(backend: &Backend) {
    let store = store(backend).await;
    let nth = numbering(&store);
    let mut watch = store.watch(&Scope::collection("pods"), Start::Now).unwrap();
    for number in 0..600 {
        store.create(key("ns", &number.to_string()), value("")).await.unwrap();
    }
    let large = "x".repeat(30_000);
    for number in 600..605 {
        store.create(key("ns", &number.to_string()), value(&large)).await.unwrap();
    }
    let mut next = nth(2).get();
    while let Some(batch) = watch.ready().unwrap() {
        assert!(batch.events.len() <= 256);
        let bytes: usize = batch.events.iter().map(|event| event.entry.value.len()).sum();
        assert!(bytes < 64 * 1024 + 2 * large.len(), "{bytes} bytes at once");
        for event in &batch.events {
            assert_eq!(event.revision.get(), next);
            next += 1;
        }
        assert_eq!(batch.upto.get(), next - 1);
    }
    assert_eq!(next, nth(607).get());
}

async fn a_watcher_that_never_reads_holds_no_memory(backend: &Backend) {
    // Each living entry holds one clone of the token.
    let token = Arc::new(());
    let index = token.clone();
    let limits = HistoryLimits { events: NonZeroUsize::new(100).unwrap(), bytes: 50_000 };
    let store = backend.store(limits, move |_, _| index.clone()).await;
    let idle: Vec<_> =
        (0..50).map(|_| store.watch(&Scope::collection("pods"), Start::Now).unwrap()).collect();
    let mut last = store.create(key("ns", "a"), value("")).await.unwrap();
    for number in 0..2_000 {
        last = store.update(&last.key, last.revision, value(&number.to_string())).await.unwrap();
    }
    let living = Arc::strong_count(&token) - 2;
    assert!((100..=101).contains(&living), "100 events and what came before them, found {living} entries");

    let large = "x".repeat(5_000);
    for number in 0..100 {
        last = store.update(&last.key, last.revision, value(&format!("{large}{number}"))).await.unwrap();
    }
    let living = Arc::strong_count(&token) - 2;
    assert!(living <= 10, "50,000 bytes of entries of 5,000, found {living}");
    drop(idle);
}

async fn the_handle_outlives_what_was_built_on_it(backend: &Backend) {
    let store = store(backend).await;
    let (first_server, base) = (store.clone(), store.current_revision());
    first_server.create(key("ns", "a"), value("")).await.unwrap();
    let mut watch = first_server.watch(&Scope::collection("pods"), Start::After(base)).unwrap();
    drop(first_server);
    assert!(store.get(&key("ns", "a")).is_some());
    drop(store);
    assert_eq!(watch.next().await.unwrap().events.len(), 1);
}
