use std::collections::BTreeMap;
use std::sync::LazyLock;

use proptest::prelude::*;
use tokenward_jose::{Algorithm, Header, encode_segment};

use super::*;
use crate::grant::{BoundObject, ServiceAccount, TokenRequestSpec};
use crate::{Issuer, SigningKey};

const ISSUER: &str = "https://issuer.example";
const NOW: i64 = 1_800_000_000;

static KEY: LazyLock<std::sync::Arc<SigningKey>> =
    LazyLock::new(|| SigningKey::generate(Algorithm::Es256).unwrap().into());

fn issuer() -> Issuer {
    let config =
        IssuerConfig::new([ISSUER, "https://old.example"]).unwrap().with_api_audiences(["api", ISSUER]);
    let issuer = Issuer::new(config);
    issuer.set_signing_key(KEY.clone());
    issuer
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(NOW + seconds).unwrap()
}

/// Objects by "kind/namespace/name".
#[derive(Clone)]
struct Objects(BTreeMap<String, LiveObject>);

impl Objects {
    fn all() -> Self {
        let object = |uid: &str| LiveObject { uid: uid.into(), deletion: None };
        Self(
            [
                ("serviceaccount/apps/web", "sa-uid"),
                ("pod/apps/web-0", "pod-uid"),
                ("secret/apps/s1", "secret-uid"),
                ("node//node-1", "node-uid"),
            ]
            .into_iter()
            .map(|(key, uid)| (key.to_owned(), object(uid)))
            .collect(),
        )
    }

    fn without(&self, key: &str) -> Self {
        let mut objects = self.clone();
        assert!(objects.0.remove(key).is_some());
        objects
    }

    fn with(&self, key: &str, uid: &str, deletion: Option<i64>) -> Self {
        let mut objects = self.clone();
        objects.0.insert(key.into(), LiveObject { uid: uid.into(), deletion: deletion.map(at) });
        objects
    }
}

impl LiveObjects for Objects {
    fn service_account(&self, namespace: &str, name: &str) -> Option<LiveObject> {
        self.0.get(&format!("serviceaccount/{namespace}/{name}")).cloned()
    }

    fn secret(&self, namespace: &str, name: &str) -> Option<LiveObject> {
        self.0.get(&format!("secret/{namespace}/{name}")).cloned()
    }

    fn pod(&self, namespace: &str, name: &str) -> Option<LiveObject> {
        self.0.get(&format!("pod/{namespace}/{name}")).cloned()
    }

    fn node(&self, name: &str) -> Option<LiveObject> {
        self.0.get(&format!("node//{name}")).cloned()
    }
}

fn pod_bound() -> BoundObject {
    BoundObject::Pod {
        pod: ObjectRef::new("web-0", "pod-uid"),
        node: Some(ObjectRef::new("node-1", "node-uid")),
    }
}

fn claims(audiences: &[&str], seconds: i64, bound: Option<&BoundObject>) -> Claims {
    let spec = TokenRequestSpec {
        audiences: audiences.iter().map(|audience| (*audience).into()).collect(),
        expiration_seconds: Some(seconds),
    };
    let account = ServiceAccount { namespace: "apps".into(), name: "web".into(), uid: "sa-uid".into() };
    issuer().grant(&spec, &account, bound, at(0)).claims
}

fn signed(claims: &Claims) -> String {
    KEY.sign(claims).unwrap().expose_token().to_owned()
}

fn check(token: &str, audiences: &[&str], live: &Objects, seconds: i64) -> Result<Verified, VerifyError> {
    let audiences = audiences.iter().map(|audience| (*audience).to_owned()).collect::<Vec<_>>();
    issuer().verify(token, &audiences, live, at(seconds))
}

fn refusal(claims: &Claims, live: &Objects, seconds: i64) -> String {
    check(&signed(claims), &["vault"], live, seconds).unwrap_err().to_string()
}

#[test]
fn a_good_token_is_somebody() {
    let claims = claims(&["vault", "b"], 600, Some(&pod_bound()));
    let verified = check(&signed(&claims), &["x", "b", "vault"], &Objects::all(), 0).unwrap();
    let extra =
        |key: &str, value: &str| (format!("authentication.kubernetes.io/{key}"), vec![value.to_owned()]);
    assert_eq!(
        verified.identity,
        Identity {
            username: "system:serviceaccount:apps:web".into(),
            uid: "sa-uid".into(),
            groups: vec!["system:serviceaccounts".into(), "system:serviceaccounts:apps".into()],
            extra: [
                extra("credential-id", &format!("JTI={}", claims.jti)),
                extra("node-name", "node-1"),
                extra("node-uid", "node-uid"),
                extra("pod-name", "web-0"),
                extra("pod-uid", "pod-uid"),
            ]
            .into(),
            audiences: vec!["b".into(), "vault".into()],
        }
    );
    assert_eq!((verified.claims, verified.legacy, verified.stale_seconds), (claims, false, None));
}

#[test]
fn extra_keys_come_only_with_what_they_need() {
    let keys = |bound: Option<&BoundObject>| {
        let verified =
            check(&signed(&claims(&["vault"], 600, bound)), &["vault"], &Objects::all(), 0).unwrap();
        let keys = verified.identity.extra.into_keys();
        keys.map(|key| key.rsplit('/').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(keys(None), ["credential-id"]);
    assert_eq!(keys(Some(&BoundObject::Secret(ObjectRef::new("s1", "secret-uid")))), ["credential-id"]);
    let node = BoundObject::Node(ObjectRef::new("node-1", "node-uid"));
    assert_eq!(keys(Some(&node)), ["credential-id", "node-name", "node-uid"]);
    let gone = BoundObject::Pod {
        pod: ObjectRef::new("web-0", "pod-uid"),
        node: Some(ObjectRef::new("node-gone", "")),
    };
    assert_eq!(keys(Some(&gone)), ["credential-id", "node-name", "pod-name", "pod-uid"]);
}

#[test]
fn audiences_must_meet() {
    let token = signed(&claims(&["vault", "b"], 600, None));
    let error = |audiences: &[&str]| check(&token, audiences, &Objects::all(), 0).unwrap_err().to_string();
    assert_eq!(error(&["x"]), r#"token audiences ["vault" "b"] is invalid for the target audiences ["x"]"#);
    assert_eq!(
        error(&[]),
        r#"token audiences ["vault" "b"] is invalid for the target audiences ["api" "https://issuer.example"]"#
    );
    assert_eq!(
        error(&["a\"\\\n\u{1}"]),
        r#"token audiences ["vault" "b"] is invalid for the target audiences ["a\"\\\n\x01"]"#
    );
    let api = signed(&claims(&[], 600, None));
    assert_eq!(check(&api, &[], &Objects::all(), 0).unwrap().identity.audiences, ["api", ISSUER]);
}

#[test]
fn a_token_without_audience_is_a_legacy_one() {
    let mut claims = claims(&["vault"], 600, None);
    claims.aud = tokenward_jose::Audiences::default();
    let verified = check(&signed(&claims), &[], &Objects::all(), 0).unwrap();
    assert!(verified.legacy);
    assert_eq!(verified.identity.audiences, ["api", ISSUER]);
    assert!(check(&signed(&claims), &["vault"], &Objects::all(), 0).is_err());
}

#[test]
fn objects_of_legacy_tokens_are_looked_up_unless_told_otherwise() {
    let live = Objects::all().without("serviceaccount/apps/web");
    for (lookup, audiences, good) in
        [(true, &[][..], false), (false, &[], true), (true, &["api"], false), (false, &["api"], false)]
    {
        let config = IssuerConfig::new([ISSUER]).unwrap().with_api_audiences(["api"]).with_lookup(lookup);
        let issuer = Issuer::new(config);
        issuer.set_signing_key(KEY.clone());
        let mut claims = claims(audiences, 600, None);
        claims.aud.0 = audiences.iter().map(|audience| (*audience).to_owned()).collect();
        let token = signed(&claims);
        assert_eq!(issuer.verify(&token, &[], &live, at(0)).is_ok(), good, "{lookup} {audiences:?}");
    }
}

#[test]
fn times_have_a_minute_of_leeway_each_way() {
    let token = claims(&["vault"], 600, None);
    let text = |seconds: i64, claims: &Claims| {
        check(&signed(claims), &["vault"], &Objects::all(), seconds).map_err(|error| error.to_string()).err()
    };
    assert_eq!(text(660, &token), None);
    assert_eq!(text(661, &token).as_deref(), Some("service account token has expired"));
    assert_eq!(text(-60, &token), None);
    assert_eq!(text(-61, &token).as_deref(), Some("service account token is not valid yet"));
    let future = Claims { nbf: None, ..token };
    assert_eq!(text(-60, &future), None);
    assert_eq!(text(-61, &future).as_deref(), Some("service account token is issued in the future"));
}

#[test]
fn live_objects_decide() {
    let all = Objects::all();
    let (sa, pod, secret, node) =
        ("serviceaccount/apps/web", "pod/apps/web-0", "secret/apps/s1", "node//node-1");
    let invalidated = "service account token has been invalidated";
    let pod_bound = claims(&["vault"], 600, Some(&pod_bound()));
    let unbound = claims(&["vault"], 600, None);
    let secret_bound =
        claims(&["vault"], 600, Some(&BoundObject::Secret(ObjectRef::new("s1", "secret-uid"))));
    let node_bound = claims(&["vault"], 600, Some(&BoundObject::Node(ObjectRef::new("node-1", "node-uid"))));

    for (claims, live, text) in [
        (&unbound, all.without(sa), "serviceaccounts \"web\" not found"),
        (&unbound, all.with(sa, "new", None), "service account UID (new) does not match claim (sa-uid)"),
        (&unbound, all.with(sa, "sa-uid", Some(-61)), "service account apps/web has been deleted"),
        (&pod_bound, all.without(pod), invalidated),
        (&pod_bound, all.with(pod, "pod-uid", Some(-61)), invalidated),
        (
            &pod_bound,
            all.with(pod, "new", None),
            "pod UID (new) does not match service account pod ref claim (pod-uid)",
        ),
        (&secret_bound, all.without(secret), invalidated),
        (&secret_bound, all.with(secret, "secret-uid", Some(-61)), invalidated),
        (
            &secret_bound,
            all.with(secret, "new", None),
            "secret UID (new) does not match service account secret ref claim (secret-uid)",
        ),
        (&node_bound, all.without(node), invalidated),
        (&node_bound, all.with(node, "node-uid", Some(-61)), invalidated),
        (
            &node_bound,
            all.with(node, "new", None),
            "node UID (new) does not match service account node ref claim (node-uid)",
        ),
    ] {
        assert_eq!(refusal(claims, &live, 0), text);
    }

    for (claims, live) in [
        (&unbound, all.with(sa, "sa-uid", Some(-60))),
        (&pod_bound, all.with(pod, "pod-uid", Some(-60))),
        (&pod_bound, all.with(pod, "pod-uid", Some(30))),
        // The node of a pod-bound token is not looked at.
        (&pod_bound, all.without(node)),
        (&pod_bound, all.with(node, "new", None)),
        (&unbound, all.without(pod)),
    ] {
        assert!(check(&signed(claims), &["vault"], &live, 0).is_ok());
    }
}

#[test]
fn checks_come_in_upstreams_order() {
    let none = Objects(BTreeMap::new());
    let token = signed(&claims(&["vault"], 600, None));
    assert!(matches!(check(&token, &["x"], &none, 9999), Err(VerifyError::Audience { .. })));
    assert_eq!(check(&token, &["vault"], &none, 9999), Err(VerifyError::Expired));
    assert!(matches!(check(&token, &["vault"], &none, 0), Err(VerifyError::NoServiceAccount(_))));
}

#[test]
fn extended_tokens_are_stale_after_their_warning() {
    let token = signed(&claims(&["api"], 3607, Some(&pod_bound())));
    let stale = |seconds: i64| check(&token, &[], &Objects::all(), seconds).unwrap().stale_seconds;
    assert_eq!((stale(3607), stale(3608), stale(31_536_000)), (None, Some(1), Some(31_532_393)));
}

#[test]
fn strangers_tokens_are_not_mine() {
    let all = Objects::all();
    let foreign = Claims { iss: "https://other.example".into(), ..claims(&["vault"], 600, None) };
    let array = format!("e30.{}.c2ln", encode_segment(b"[]"));
    for token in ["", "garbage", "a.b.c", "e30.e30.c2ln", &array, &signed(&foreign)] {
        let error = check(token, &["vault"], &all, 0).unwrap_err();
        assert!(error.is_not_mine(), "{error}");
    }
    // Any of our issuers will do, not only the one that signs.
    let old = Claims { iss: "https://old.example".into(), ..claims(&["vault"], 600, None) };
    assert!(check(&signed(&old), &["vault"], &all, 0).is_ok());
}

#[test]
fn a_token_without_kid_tries_all_keys() {
    let unsigned = |header: &Header| tokenward_jose::signing_input(header, &claims(&["vault"], 600, None));
    let with = |kid: Option<&str>, alg: &str| {
        let header = Header { alg: alg.into(), kid: kid.map(Into::into) };
        check(&format!("{}.c2ln", unsigned(&header)), &["vault"], &Objects::all(), 0).unwrap_err()
    };
    let kid = KEY.verifying_key().public_key().id().as_str();
    assert_eq!(with(None, "ES256"), VerifyError::Signature);
    assert_eq!(with(Some(kid), "ES256"), VerifyError::Signature);
    assert_eq!(with(Some("other"), "ES256"), VerifyError::NoKey);
    assert_eq!(with(Some(kid), "none"), VerifyError::NoKey);
    assert_eq!(with(Some(kid), "HS256"), VerifyError::NoKey);
    assert_eq!(with(Some(kid), "RS256"), VerifyError::NoKey);
    assert_eq!(with(Some(kid), "ES384"), VerifyError::NoKey);
}

#[test]
fn a_replaced_key_still_verifies() {
    let token = signed(&claims(&["vault"], 600, None));
    let issuer = issuer();
    issuer.set_signing_key(SigningKey::generate(Algorithm::Es384).unwrap());
    assert_eq!(issuer.signing_key().unwrap().algorithm(), Algorithm::Es384);
    assert!(issuer.verify(&token, &["vault".into()], &Objects::all(), at(0)).is_ok());
    assert_eq!(issuer.keys().verifying_keys().len(), 2);
    issuer.add_verifying_keys([crate::VerifyingKey::clone(KEY.verifying_key())]);
    assert_eq!(issuer.keys().verifying_keys().len(), 2);
}

#[test]
fn keys_are_rotated_as_their_files_are() {
    let issuer = issuer();
    let (live, none) = (Objects::all(), Vec::new());
    let good = |token: &str| issuer.verify(token, &none, &live, at(0)).map(|_| ());
    let sign = || issuer.sign(&claims(&["api"], 600, None)).unwrap().expose_token().to_owned();
    let old = KEY.clone();
    let of_old = sign();
    let new = std::sync::Arc::new(SigningKey::generate(Algorithm::Es384).unwrap());
    let document = || {
        let found = issuer.discovery("a:1").unwrap();
        (String::from_utf8(found.configuration).unwrap(), String::from_utf8(found.jwks.to_vec()).unwrap())
    };

    // The new key is announced first, so that whoever keeps the documents knows it when it signs.
    issuer.replace_keys(KeySet::of(Some(old.clone()), [new.verifying_key().clone()]));
    let (configuration, jwks) = document();
    assert!(configuration.contains(r#"["ES256","ES384"]"#), "{configuration}");
    assert!(jwks.contains(new.verifying_key().public_key().id().as_str()));
    // Then it signs, and tokens of the old one stay good for as long as that is among the files.
    issuer.replace_keys(KeySet::of(Some(new.clone()), [old.verifying_key().clone()]));
    let of_new = sign();
    assert_eq!((good(&of_old), good(&of_new)), (Ok(()), Ok(())));
    issuer.replace_keys(KeySet::of(Some(new.clone()), []));
    assert_eq!((good(&of_old), good(&of_new)), (Err(VerifyError::NoKey), Ok(())));
    let (configuration, jwks) = document();
    assert!(configuration.contains(r#"["ES384"]"#), "{configuration}");
    assert!(!jwks.contains(old.verifying_key().public_key().id().as_str()));
}

#[test]
fn errors_and_debug_show_no_token() {
    let token = signed(&claims(&["vault"], 600, None));
    let live = Objects::all().without("serviceaccount/apps/web");
    let mut shown = format!("{:?}", issuer());
    for audiences in [&["x"][..], &["vault"]] {
        let error = check(&token, audiences, &live, 0).unwrap_err();
        shown += &format!("{error} {error:?}");
    }
    for segment in token.split('.') {
        assert!(!shown.contains(segment), "{shown}");
    }
}

proptest! {
    #[test]
    fn what_is_granted_and_signed_verifies(
        audiences in proptest::collection::vec(".{0,12}", 0..4), seconds in 600i64..1 << 32, bound in 0..4, late in 0i64..600,
    ) {
        let bound = [
            None,
            Some(pod_bound()),
            Some(BoundObject::Node(ObjectRef::new("node-1", "node-uid"))),
            Some(BoundObject::Secret(ObjectRef::new("s1", "secret-uid"))),
        ][bound as usize].clone();
        let asked = audiences.iter().map(String::as_str).collect::<Vec<_>>();
        let claims = claims(&asked, seconds, bound.as_ref());
        let verified = check(&signed(&claims), &asked, &Objects::all(), late).unwrap();
        prop_assert_eq!(verified.identity.audiences, claims.aud.0.clone());
        prop_assert_eq!(verified.claims, claims);
    }

    #[test]
    fn any_changed_byte_is_refused(at_byte: usize, to in "[A-Za-z0-9_.-]") {
        let token = signed(&claims(&["vault"], 600, None));
        let at_byte = at_byte % token.len();
        let mut changed = token.clone();
        changed.replace_range(at_byte..=at_byte, &to);
        prop_assume!(changed != token);
        prop_assert!(check(&changed, &["vault"], &Objects::all(), 0).is_err());
    }
}
