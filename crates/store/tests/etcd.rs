//! A store in etcd that others share, and that goes away and comes back.
#![expect(clippy::unwrap_used, reason = "functions outside #[test] in a test file")]

mod support;

use std::time::Duration;

use rustix::process::Signal;
use support::etcd::EtcdServer;
use tokenward_store::{
    EtcdError, EtcdOptions, EventKind, Key, Page, Revision, Scope, Start, Store, Unavailable, Unstamped,
    WriteError,
};

fn key(name: &str) -> Key {
    Key::new("pods", Some("ns"), name).unwrap()
}

fn value(content: &str) -> Unstamped {
    Unstamped::new(format!("@{content}").into_bytes(), 0)
}

fn pods() -> Scope {
    Scope::collection("pods")
}

async fn connect(options: EtcdOptions) -> Store<usize> {
    Store::etcd(options, |_, bytes| bytes.len()).await.unwrap()
}

async fn store(server: &EtcdServer) -> Store<usize> {
    connect(server.options("/registry")).await
}

async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(60), async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(waited.await.is_ok(), "{what} has not happened in a minute");
}

#[tokio::test]
async fn what_one_server_writes_the_other_sees_and_may_not_overwrite_unseen() {
    let Some(etcd) = EtcdServer::start().await else { return };
    let (one, two) = (store(&etcd).await, store(&etcd).await);
    let mut watch = two.watch(&pods(), Start::Now).unwrap();
    let a = one.create(key("a"), value("1")).await.unwrap();
    let event = watch.next().await.unwrap().events[0].clone();
    assert_eq!((event.kind, event.revision, event.entry.index), (EventKind::Put, a.revision, 2));
    assert_eq!(event.entry.value, a.value);

    for number in 0..20 {
        // Who was told of a revision by one server finds it at the other.
        let name = format!("told-{number}");
        let written = one.create(key(&name), value("")).await.unwrap();
        two.reached(written.revision).await;
        assert_eq!(two.get(&written.key).unwrap().revision, written.revision);
    }

    // Both write without having seen the other's: one wins, the other is told, and then sees it.
    for round in 0..20 {
        let at = one.get(&key("a")).unwrap().revision;
        eventually("the other's write", || two.get(&key("a")).is_some_and(|entry| entry.revision == at))
            .await;
        let (first, second) = (value(&format!("one {round}")), value(&format!("two {round}")));
        let (first, second) = tokio::join!(one.update(&a.key, at, first), two.update(&a.key, at, second));
        let (winner, loser, lost) = match (first, second) {
            (Ok(entry), Err(error)) => (entry, error, &two),
            (Err(error), Ok(entry)) => (entry, error, &one),
            other => panic!("{other:?}"),
        };
        let WriteError::Conflict { current, .. } = loser else { panic!("{loser}") };
        assert_eq!((current.revision, &current.value), (winner.revision, &winner.value));
        assert_eq!(lost.get(&a.key).unwrap().revision, winner.revision);
        eventually("the winner's write", || one.current_revision() >= winner.revision).await;
    }
    let error = two.create(key("a"), value("")).await.unwrap_err();
    assert!(matches!(error, WriteError::Exists(_)), "{error}");
    one.delete(&a.key, None).await.unwrap();
    let error = two.delete(&a.key, None).await.unwrap_err();
    assert!(matches!(error, WriteError::Missing { .. }), "{error}");
}

#[tokio::test]
async fn what_others_write_over_is_set_apart_as_what_is_written_here() {
    let Some(etcd) = EtcdServer::start().await else { return };
    let (sender, told) = std::sync::mpsc::channel();
    let one = store(&etcd).await.setting_apart(move |length| sender.send(*length).unwrap());
    let two = store(&etcd).await;
    let a = one.create(key("a"), value("1")).await.unwrap();
    let b = one.create(key("b"), value("22")).await.unwrap();
    two.reached(b.revision).await;
    let again = two.update(&a.key, a.revision, value("333")).await.unwrap();
    two.delete(&b.key, None).await.unwrap();
    let last = two.update(&a.key, again.revision, value("4")).await.unwrap();
    one.reached(last.revision).await;
    one.delete(&a.key, Some(last.revision)).await.unwrap();
    let lengths: Vec<usize> = told.try_iter().collect();
    assert_eq!(lengths, [2, 3, 4, 2]);
}

#[tokio::test]
async fn another_server_starts_with_what_is_there() {
    let Some(etcd) = EtcdServer::start().await else { return };
    let one = store(&etcd).await;
    // More than a page.
    let mut last = Revision::default();
    for number in 0..620 {
        let entry = one.create(key(&format!("{number:04}")), value(&number.to_string())).await.unwrap();
        last = entry.revision;
    }
    one.create(Key::new("nodes", None, "n").unwrap(), value("")).await.unwrap();
    let two = store(&etcd).await;
    let listing = two.list(&pods(), &Page::default()).unwrap();
    assert_eq!(listing.entries.len(), 620);
    assert_eq!(listing.entries[619].revision, last);
    assert_eq!(
        (listing.entries[0].created, listing.entries[0].value.as_ref()),
        (Revision::new(2), &b"2@0"[..])
    );
    assert!(two.get(&Key::new("nodes", None, "n").unwrap()).is_some());
    assert!(two.watch(&pods(), Start::After(last)).is_err(), "what was before it came is not known here");
}

#[tokio::test]
async fn while_etcd_is_away_reads_go_on_and_writes_fail_in_time() {
    let Some(mut etcd) = EtcdServer::start().await else { return };
    let mut options = etcd.options("/registry");
    options.timeout = Duration::from_secs(2);
    let store = connect(options).await;
    let a = store.create(key("a"), value("1")).await.unwrap();
    let mut watch = store.watch(&pods(), Start::Now).unwrap();
    assert_eq!(store.etcd_answers(), Some(true));

    for round in 0..2 {
        let mut failures = Vec::new();
        if round == 0 {
            etcd.kill();
        } else {
            etcd.signal(Signal::STOP);
        }
        for _ in 0..2 {
            failures.push(store.create(key("lost"), value("")).await.unwrap_err());
        }
        for error in failures {
            let WriteError::Unavailable(why) = error else { panic!("{error}") };
            assert!(matches!(why, Unavailable::Unreachable | Unavailable::TimedOut), "{why}");
        }
        eventually("the failing pulse", || store.etcd_answers() == Some(false)).await;
        assert_eq!(store.get(&a.key).unwrap().value, a.value);
        assert_eq!(store.list(&pods(), &Page::default()).unwrap().entries.len(), 1);
        if round == 0 {
            etcd.run().await;
        } else {
            etcd.signal(Signal::CONT);
        }
        eventually("the pulse", || store.etcd_answers() == Some(true)).await;
        // A write that was answered with an error may have happened once etcd went on.
        let name = format!("found {round}").replace(' ', "-");
        let written = store.create(key(&name), value("")).await.unwrap();
        let mut seen = Vec::new();
        while !seen.contains(&written.revision) {
            seen.extend(watch.next().await.unwrap().events.iter().map(|event| event.revision));
        }
        assert!(seen.is_sorted());
        let _ = store.delete(&key("lost"), None).await;
        store.delete(&key(&name), None).await.unwrap();
    }
}

#[tokio::test]
async fn what_others_write_while_the_connection_is_away_comes_after_it() {
    let Some(mut etcd) = EtcdServer::start().await else { return };
    let store_one = store(&etcd).await;
    let mut last = store_one.create(key("a"), value("0")).await.unwrap();
    let mut watch = store_one.watch(&pods(), Start::Now).unwrap();
    for round in 1..4 {
        etcd.kill();
        etcd.run().await;
        // A fresh connection, before the first store has found its way back.
        let two = store(&etcd).await;
        last = two.update(&last.key, last.revision, value(&round.to_string())).await.unwrap();
        let events =
            tokio::time::timeout(Duration::from_secs(60), watch.next()).await.unwrap().unwrap().events;
        assert_eq!((events.len(), events[0].revision), (1, last.revision));
    }
}

#[tokio::test]
async fn a_store_that_etcd_has_left_behind_reads_everything_anew() {
    let Some(mut etcd) = EtcdServer::start().await else { return };
    let mut options = etcd.options("/registry");
    options.timeout = Duration::from_secs(2);
    let one = connect(options).await;
    let a = one.create(key("a"), value("0")).await.unwrap();
    one.create(key("gone"), value("0")).await.unwrap();
    let mut watch = one.watch(&pods(), Start::Now).unwrap();
    let mut elsewhere = one.watch(&Scope::collection("nodes"), Start::Now).unwrap();
    // Stopped and started on another port, so that only the second store finds it; it compacts all that it writes.
    etcd.kill();
    let port = etcd.change_port();
    etcd.run().await;
    let mut options = etcd.options("/registry");
    options.compact_every = Some(Duration::from_millis(20));
    let two = connect(options).await;
    two.delete(&key("gone"), None).await.unwrap();
    let mut last = two.get(&a.key).unwrap();
    for number in 1..100 {
        last = two.update(&last.key, last.revision, value(&number.to_string())).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    etcd.kill();
    etcd.set_port(port);
    etcd.run().await;
    eventually("the newest state", || one.get(&a.key).is_some_and(|entry| entry.value == last.value)).await;
    assert!(one.get(&key("gone")).is_none());
    assert!(watch.next().await.is_err(), "it has missed something and must know");
    assert!(elsewhere.next().await.is_err());
    let (listing, mut watch) = one.list_and_watch(&pods());
    assert_eq!(listing.entries.len(), 1);
    let written = one.update(&last.key, last.revision, value("after")).await.unwrap();
    assert_eq!(watch.next().await.unwrap().events[0].revision, written.revision);
}

#[tokio::test]
async fn nothing_is_written_to_an_etcd_that_has_lost_what_is_known() {
    let Some(mut etcd) = EtcdServer::start().await else { return };
    let one = store(&etcd).await;
    let mut last = one.create(key("a"), value("0")).await.unwrap();
    for number in 1..10 {
        last = one.update(&last.key, last.revision, value(&number.to_string())).await.unwrap();
    }
    etcd.kill_and_forget();
    etcd.run().await;
    eventually("etcd's loss", || one.etcd_answers() == Some(false)).await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        // While the connection is made anew it may be that there is nobody to refuse.
        let error = one.create(key("b"), value("")).await.expect_err("nobody would see it");
        assert!(tokio::time::Instant::now() < deadline, "{error}");
        if matches!(&error, WriteError::Unavailable(Unavailable::Refused(why)) if why.contains("has lost writes"))
        {
            break;
        }
    }
    assert_eq!(one.get(&last.key).unwrap().revision, last.revision);
    // Whoever starts now goes on with what there is.
    let two = store(&etcd).await;
    assert!(two.get(&last.key).is_none());
    two.create(key("c"), value("")).await.unwrap();
}

#[tokio::test]
async fn an_object_in_another_encoding_is_left_out_and_not_overwritten() {
    let Some(etcd) = EtcdServer::start().await else { return };
    let one = store(&etcd).await;
    let unreadable = || Unstamped::new(b"unreadable".to_vec(), 0);
    // Written by a server that knows the encoding; this one does not get to see it.
    let mut options = etcd.options("/registry");
    options.decode = Box::new(|_, bytes| Some(Unstamped::new(bytes.to_vec(), 0)));
    let other = connect(options).await;
    let written = other.create(key("a"), unreadable()).await.unwrap();
    one.create(key("b"), value("")).await.unwrap();
    assert!(one.get(&key("a")).is_none());
    let error = one.create(key("a"), value("")).await.unwrap_err();
    assert!(matches!(error, WriteError::Unavailable(Unavailable::Refused(_))), "{error}");
    let error = one.delete(&key("a"), None).await.unwrap_err();
    assert!(matches!(error, WriteError::Unavailable(Unavailable::Refused(_))), "{error}");
    other.update(&written.key, written.revision, value("readable")).await.unwrap();
    eventually("the readable one", || one.get(&key("a")).is_some()).await;
}

#[tokio::test]
async fn no_etcd_is_said_at_once() {
    let layout = tokenward_store::Layout::new("/registry", []);
    let endpoints = vec!["http://127.0.0.1:1".parse().unwrap()];
    let options = EtcdOptions::new(endpoints, layout.clone(), |_, _| None);
    let error = Store::etcd(options, |_, _| ()).await.unwrap_err();
    assert!(matches!(error, EtcdError::NoAnswer { .. }));
    assert_eq!(
        error.to_string(),
        "no etcd server answers at http://127.0.0.1:1; start it, or correct the addresses"
    );
    let options = EtcdOptions::new(Vec::new(), layout, |_, _| None);
    assert!(matches!(Store::etcd(options, |_, _| ()).await, Err(EtcdError::NoEndpoint)));
    for (text, expected) in [
        (
            "https://root:secret@127.0.0.1:2379",
            "wanted the address of an etcd server, found one with a user in it; leave out what stands before the @",
        ),
        (
            "127.0.0.1:2379",
            "`127.0.0.1:2379` is no address of an etcd server; wanted http://HOST:PORT or https://HOST:PORT",
        ),
        (
            "http://127.0.0.1:2379/v3",
            "`http://127.0.0.1:2379/v3` is no address of an etcd server; wanted http://HOST:PORT or https://HOST:PORT",
        ),
    ] {
        let error = text.parse::<tokenward_store::EtcdEndpoint>().unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}
