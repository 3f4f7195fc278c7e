//! Who may come to etcd: certificates, also those that are replaced while the store is used, and etcd's own users and roles.
#![expect(clippy::unwrap_used, reason = "functions outside #[test] in a test file")]

mod support;

use std::time::Duration;

use support::etcd::{Authority, EtcdServer};
use support::etcd_users::{EtcdUsers, May};
use tokenward_store::{
    EtcdError, EtcdOptions, EtcdTls, Key, Scope, Start, Store, Unavailable, Unstamped, Watch, WriteError,
};

const ROOT: &str = "/registry";

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
    connect(server.options(ROOT)).await
}

/// As a user of this name.
async fn store_as(server: &EtcdServer, user: &str) -> (Result<Store<usize>, EtcdError>, EtcdTls) {
    let authority = server.authority();
    let tls = EtcdTls::new(vec![authority.certificate()], Some(authority.client(user))).unwrap();
    let options = EtcdOptions { tls: Some(tls.clone()), ..server.options(ROOT) };
    (Store::etcd(options, |_, bytes| bytes.len()).await, tls)
}

async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(60), async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(waited.await.is_ok(), "{what} has not happened in a minute");
}

/// The names and contents of so many events.
async fn told(watch: &mut Watch<usize>, count: usize) -> Vec<String> {
    let mut told = Vec::new();
    let waited = tokio::time::timeout(Duration::from_secs(60), async {
        while told.len() < count {
            for event in watch.next().await.unwrap().events {
                let content = String::from_utf8_lossy(&event.entry.value).into_owned();
                let content = content.split('@').next_back().unwrap_or_default().to_owned();
                told.push(format!("{} {content}", event.entry.key.name()));
            }
        }
    });
    assert!(waited.await.is_ok(), "not all is told within a minute: {told:?}");
    told
}

#[tokio::test]
async fn etcd_behind_tls_is_for_those_with_a_certificate() {
    let Some(mut etcd) = EtcdServer::start_with_tls().await else { return };
    let store = store(&etcd).await;
    let mut watch = store.watch(&pods(), Start::Now).unwrap();
    let written = store.create(key("a"), value("1")).await.unwrap();
    assert_eq!(watch.next().await.unwrap().events[0].entry.value, written.value);

    let authority = etcd.authority().certificate();
    let strangers = Authority::new();
    let tls = |authority, client| Some(EtcdTls::new(vec![authority], client).unwrap());
    for (tls, what) in [
        (tls(authority.clone(), None), "no certificate"),
        (tls(authority, Some(strangers.client("tests"))), "somebody else's certificate"),
        (
            tls(strangers.certificate(), Some(etcd.authority().client("tests"))),
            "another authority of servers",
        ),
    ] {
        let options = EtcdOptions { tls, timeout: Duration::from_secs(2), ..etcd.options("/registry") };
        let refused = Store::etcd(options, |_, _| ()).await.map(|_| ()).unwrap_err();
        assert!(matches!(refused, EtcdError::NoAnswer { .. }), "{what}: {refused}");
    }

    // It goes away and comes back: TLS is begun anew.
    etcd.kill();
    eventually("etcd's absence", || store.etcd_answers() == Some(false)).await;
    etcd.run().await;
    eventually("etcd's return", || store.etcd_answers() == Some(true)).await;
    let again = store.update(&written.key, written.revision, value("2")).await.unwrap();
    assert_eq!(store.get(&written.key).unwrap().revision, again.revision);
}

#[tokio::test]
async fn certificates_are_replaced_without_losing_a_write_or_an_event() {
    let Some(mut etcd) = EtcdServer::start_with_tls().await else { return };
    let authority = etcd.authority();
    let client = authority.client("tests");
    let tls = EtcdTls::new(vec![authority.certificate()], Some((client.0.clone(), client.1.clone_key())));
    let tls = tls.unwrap();
    let options =
        EtcdOptions { tls: Some(tls.clone()), timeout: Duration::from_secs(2), ..etcd.options(ROOT) };
    let one = connect(options).await;
    let mut watch = one.watch(&pods(), Start::Now).unwrap();
    one.create(key("a"), value("1")).await.unwrap();

    let authority = etcd.authority();
    assert!(!tls.replace(vec![authority.certificate()], Some(client)).unwrap(), "they are the same");
    assert!(tls.replace(vec![authority.certificate()], Some(authority.client("tests"))).unwrap());
    one.create(key("b"), value("2")).await.unwrap();
    let mismatched = (authority.client("tests").0, authority.client("tests").1);
    assert!(tls.replace(vec![authority.certificate()], Some(mismatched)).is_err());
    one.create(key("c"), value("3")).await.unwrap();

    // All certificates expire and are replaced, etcd's first.
    etcd.kill();
    etcd.change_authority();
    etcd.run().await;
    eventually("etcd's distrust", || one.etcd_answers() == Some(false)).await;
    let error = one.create(key("lost"), value("")).await.unwrap_err();
    assert!(matches!(error, WriteError::Unavailable(_)), "{error}");
    let two = store(&etcd).await;
    two.create(key("d"), value("4")).await.unwrap();
    let authority = etcd.authority();
    assert!(tls.replace(vec![authority.certificate()], Some(authority.client("tests"))).unwrap());
    eventually("etcd's return", || one.etcd_answers() == Some(true)).await;
    one.create(key("e"), value("5")).await.unwrap();
    assert_eq!(told(&mut watch, 5).await, ["a 1", "b 2", "c 3", "d 4", "e 5"]);
}

#[tokio::test]
async fn etcd_with_users_lets_those_read_and_write_whose_role_may() {
    let Some(etcd) = EtcdServer::start_with_tls().await else { return };
    let mut users = EtcdUsers::of(&etcd);
    users.add_user("root", Some("secret")).await;
    users.give_role("root", "root").await;
    for (role, may) in [("reads", May::Read), ("writes", May::ReadAndWrite)] {
        users.add_role(role).await;
        users.permit(role, may, "/registry/").await;
        users.permit(role, may, "compact_rev_key").await;
    }
    // Whoever has a password comes by the certificate all the same.
    for (user, password, role) in
        [("api-1", None, "writes"), ("api-2", Some("secret"), "writes"), ("reader", None, "reads")]
    {
        users.add_user(user, password).await;
        users.give_role(user, role).await;
    }
    users.add_user("nobody", None).await;
    users.enable().await;

    let (first, tls) = store_as(&etcd, "api-1").await;
    let first = first.unwrap();
    let mut watch = first.watch(&pods(), Start::Now).unwrap();
    let written = first.create(key("a"), value("1")).await.unwrap();
    let second = store_as(&etcd, "api-2").await.0.unwrap();
    second.update(&written.key, written.revision, value("2")).await.unwrap();
    let reader = store_as(&etcd, "reader").await.0.unwrap();
    assert!(reader.get(&written.key).is_some());
    let refused = reader.create(key("b"), value("")).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "wanted to write to etcd, found it refused: etcdserver: permission denied"
    );
    for stranger in ["nobody", "unknown"] {
        let refused = store_as(&etcd, stranger).await.0.map(|_| ()).unwrap_err();
        let wanted = format!("etcd at {} refuses to be read: etcdserver: permission denied", etcd.endpoint());
        assert_eq!(refused.to_string(), wanted, "{stranger}");
    }

    // The user's role is taken away: reads go on from memory, and the next certificate is another user's.
    users.take_role("api-1", "writes").await;
    eventually("etcd's refusal", || first.etcd_answers() == Some(false)).await;
    let refused = first.create(key("b"), value("")).await.unwrap_err();
    assert!(matches!(refused, WriteError::Unavailable(Unavailable::Refused(_))), "{refused}");
    assert_eq!(first.list(&pods(), &tokenward_store::Page::default()).unwrap().entries.len(), 1);
    second.create(key("c"), value("3")).await.unwrap();
    let authority = etcd.authority();
    assert!(tls.replace(vec![authority.certificate()], Some(authority.client("api-2"))).unwrap());
    first.create(key("d"), value("4")).await.unwrap();
    assert_eq!(told(&mut watch, 4).await, ["a 1", "a 2", "c 3", "d 4"]);
}
