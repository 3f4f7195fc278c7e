//! What readers, writers and watchers of one store see, case by case.
#![expect(clippy::unwrap_used, reason = "functions outside #[test] in a test file")]

use std::num::NonZeroUsize;
use std::sync::Arc;

use tokenward_store::{
    Compacted, EventKind, HistoryLimits, Key, Page, ReadError, Revision, Scope, Start, Store, Unstamped,
    WriteError,
};

fn key(namespace: &str, name: &str) -> Key {
    Key::new("pods", Some(namespace), name).unwrap()
}

fn value(content: &str) -> Unstamped {
    Unstamped::new(format!("@{content}").into_bytes(), 0)
}

fn store() -> Store<String> {
    Store::memory(|key, bytes| format!("{}:{}", key.name(), bytes.len()))
}

fn small_store(events: usize) -> Store<()> {
    let limits = HistoryLimits { events: NonZeroUsize::new(events).unwrap(), bytes: usize::MAX };
    Store::memory_with_limits(limits, |_, _| ())
}

#[tokio::test]
async fn writes_are_numbered_stamped_and_indexed() {
    let store = store();
    assert_eq!(store.current_revision().get(), 1);
    let created = store.create(key("ns", "a"), value("one")).await.unwrap();
    assert_eq!((created.revision.get(), created.created.get()), (2, 2));
    assert_eq!(created.value, "2@one");
    assert_eq!(created.index, "a:4");

    let updated = store.update(&created.key, created.revision, value("three")).await.unwrap();
    assert_eq!((updated.revision.get(), updated.created.get()), (3, 2));
    assert_eq!(updated.value, "3@three");
    assert_eq!(updated.index, "a:6");
    assert!(Arc::ptr_eq(&store.get(&created.key).unwrap(), &updated));

    let deleted = store.delete(&created.key, Some(updated.revision)).await.unwrap();
    assert_eq!((deleted.revision.get(), deleted.created.get()), (4, 2));
    assert_eq!(deleted.value, "4@three");
    assert!(store.get(&created.key).is_none());
    assert_eq!(store.current_revision().get(), 4);

    let again = store.create(key("ns", "a"), value("")).await.unwrap();
    assert_eq!(again.created.get(), 5);
}

#[tokio::test]
async fn refused_writes_take_no_revision_and_tell_nobody() {
    let store = store();
    let one = store.create(key("ns", "a"), value("one")).await.unwrap();
    let two = store.update(&one.key, one.revision, value("two")).await.unwrap();
    let mut watch = store.watch(&Scope::collection("pods"), Start::Now).unwrap();

    let error = store.create(one.key.clone(), value("x")).await.unwrap_err();
    assert!(matches!(&error, WriteError::Exists(entry) if Arc::ptr_eq(entry, &two)));
    assert_eq!(error.to_string(), "wanted pods/ns/a to be free, found it taken since revision 2");

    for error in [
        store.update(&one.key, one.revision, value("x")).await.unwrap_err(),
        store.delete(&one.key, Some(one.revision)).await.unwrap_err(),
    ] {
        assert!(matches!(&error, WriteError::Conflict { current, .. } if Arc::ptr_eq(current, &two)));
        assert_eq!(error.to_string(), "wanted pods/ns/a at revision 2, found it at 3: read it again");
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

#[tokio::test]
async fn pages_of_one_revision_are_one_snapshot_whatever_is_written_between() {
    let store = store();
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
        assert_eq!(listing.revision.get(), 7);
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
    assert_eq!(seen, ["2@a", "3@b", "4@c", "5@d", "6@e"]);
    assert_eq!(remaining, [3, 1, 0]);
}

#[tokio::test]
async fn a_revision_that_is_not_there_is_refused_by_name() {
    let store = small_store(2);
    let pods = Scope::collection("pods");
    for name in ["a", "b", "c", "d"] {
        store.create(key("ns", name), value(name)).await.unwrap();
    }
    let at = |revision| Page { at: Some(Revision::new(revision)), ..Page::default() };
    let future = ReadError::Future { wanted: Revision::new(6), current: Revision::new(5) };
    assert_eq!(store.list(&pods, &at(6)).unwrap_err(), future);
    assert_eq!(store.watch(&pods, Start::After(Revision::new(6))).unwrap_err(), future);
    assert_eq!(
        future.to_string(),
        "wanted the state at revision 6, found the store only at 5: try again later"
    );

    let compacted = Compacted { wanted: Revision::new(2), oldest: Revision::new(3) };
    assert_eq!(store.list(&pods, &at(2)).unwrap_err(), ReadError::Compacted(compacted));
    assert_eq!(
        store.watch(&pods, Start::After(Revision::new(2))).unwrap_err(),
        ReadError::Compacted(compacted)
    );
    assert_eq!(
        compacted.to_string(),
        "wanted the state at revision 2, found that history begins at 3: list anew"
    );
    for (revision, count) in [(3, 2), (4, 3), (5, 4)] {
        assert_eq!(store.list(&pods, &at(revision)).unwrap().entries.len(), count);
    }
    // Another collection has lost nothing.
    assert_eq!(store.list(&Scope::collection("nodes"), &at(2)).unwrap().entries.len(), 0);
}

#[tokio::test]
async fn a_watch_goes_on_exactly_after_its_listing_and_keeps_to_its_scope() {
    let store = store();
    let a = store.create(key("ns", "a"), value("1")).await.unwrap();
    let (listing, mut of_namespace) = store.list_and_watch(&Scope::namespace("pods", "ns"));
    assert_eq!((listing.entries.len(), listing.revision), (1, a.revision));
    let mut of_key = store.watch(&Scope::Key(a.key.clone()), Start::After(Revision::new(1))).unwrap();

    store.create(key("other", "a"), value("elsewhere")).await.unwrap();
    let b = store.create(key("ns", "b"), value("2")).await.unwrap();
    let gone = store.delete(&a.key, None).await.unwrap();

    let batch = of_namespace.next().await.unwrap();
    assert_eq!(batch.upto.get(), 5);
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

#[tokio::test]
async fn a_bookmark_never_passes_what_has_not_been_given() {
    let store = store();
    let mut watch = store.watch(&Scope::namespace("pods", "ns"), Start::Now).unwrap();
    assert_eq!(watch.bookmark().get(), 1);
    store.create(Key::new("nodes", None, "n").unwrap(), value("")).await.unwrap();
    store.create(key("other", "a"), value("")).await.unwrap();
    assert_eq!(watch.bookmark().get(), 3, "writes elsewhere move it");
    store.create(key("ns", "a"), value("")).await.unwrap();
    store.create(key("other", "b"), value("")).await.unwrap();
    assert_eq!(watch.bookmark().get(), 3, "an event that waits holds it");
    assert_eq!(watch.next().await.unwrap().events.len(), 1);
    assert_eq!(watch.bookmark().get(), 5);
}

#[tokio::test]
async fn a_watcher_that_history_has_passed_is_told_so_each_time() {
    let store = small_store(3);
    let mut watch = store.watch(&Scope::collection("pods"), Start::Now).unwrap();
    for name in ["a", "b", "c", "d"] {
        store.create(key("ns", name), value(name)).await.unwrap();
    }
    let compacted = Compacted { wanted: Revision::new(1), oldest: Revision::new(2) };
    assert_eq!(watch.next().await.unwrap_err(), compacted);
    assert_eq!(watch.next().await.unwrap_err(), compacted);
    assert_eq!(watch.bookmark().get(), 1);
}

#[tokio::test]
async fn a_watcher_far_behind_gets_everything_in_bounded_batches() {
    let store = store();
    let mut watch = store.watch(&Scope::collection("pods"), Start::Now).unwrap();
    for number in 0..600 {
        store.create(key("ns", &number.to_string()), value("")).await.unwrap();
    }
    let mut next = 2;
    while let Some(batch) = watch.ready().unwrap() {
        assert!(batch.events.len() <= 256);
        for event in &batch.events {
            assert_eq!(event.revision.get(), next);
            next += 1;
        }
        assert_eq!(batch.upto.get(), next - 1);
    }
    assert_eq!(next, 602);
}

#[tokio::test]
async fn a_watcher_that_never_reads_holds_no_memory() {
    // Each living entry holds one clone of the token.
    let token = Arc::new(());
    let index = token.clone();
    let limits = HistoryLimits { events: NonZeroUsize::new(100).unwrap(), bytes: 50_000 };
    let store = Store::memory_with_limits(limits, move |_, _| index.clone());
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

#[tokio::test]
async fn the_handle_outlives_what_was_built_on_it() {
    let store = store();
    let first_server = store.clone();
    first_server.create(key("ns", "a"), value("")).await.unwrap();
    let mut watch = first_server.watch(&Scope::collection("pods"), Start::After(Revision::new(1))).unwrap();
    drop(first_server);
    assert!(store.get(&key("ns", "a")).is_some());
    drop(store);
    assert_eq!(watch.next().await.unwrap().events.len(), 1);
}
