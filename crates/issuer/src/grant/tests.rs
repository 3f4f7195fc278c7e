use super::*;

const ISSUER: &str = "https://issuer.example";

fn config() -> IssuerConfig {
    IssuerConfig::new([ISSUER, "https://old.example"]).unwrap().with_api_audiences(["api", ISSUER])
}

fn account() -> ServiceAccount {
    ServiceAccount { namespace: "apps".into(), name: "web".into(), uid: "sa-uid".into() }
}

fn pod(node: Option<ObjectRef>) -> BoundObject {
    BoundObject::Pod { pod: ObjectRef::new("web-0", "pod-uid"), node }
}

fn now() -> Timestamp {
    "2027-01-15T08:00:00.75Z".parse().unwrap()
}

const NOW: i64 = 1_800_000_000;

fn granted(
    config: &IssuerConfig,
    audiences: &[&str],
    seconds: Option<i64>,
    bound: Option<&BoundObject>,
) -> Granted {
    let spec = TokenRequestSpec {
        audiences: audiences.iter().map(|audience| (*audience).to_owned()).collect(),
        expiration_seconds: seconds,
    };
    grant(config, &spec, &account(), bound, now(), "jti-1".into())
}

#[test]
fn audiences_are_signed_as_asked_and_default_to_the_api_servers() {
    for (asked, got) in [
        (&[][..], &["api", ISSUER][..]),
        (&["vault"], &["vault"]),
        (&["b", "a"], &["b", "a"]),
        (&["a", "a"], &["a", "a"]),
        (&[""], &[""]),
    ] {
        let granted = granted(&config(), asked, None, None);
        assert_eq!((&granted.claims.aud.0[..], &granted.audiences[..]), (&owned(got)[..], &owned(got)[..]));
    }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn claims_of_each_binding() {
    let bindings = [
        (None, r#""serviceaccount":{"name":"web","uid":"sa-uid"}"#),
        (
            Some(pod(Some(ObjectRef::new("node-1", "node-uid")))),
            concat!(
                r#""node":{"name":"node-1","uid":"node-uid"},"pod":{"name":"web-0","uid":"pod-uid"},"#,
                r#""serviceaccount":{"name":"web","uid":"sa-uid"}"#
            ),
        ),
        (
            Some(pod(Some(ObjectRef::new("node-gone", "")))),
            concat!(
                r#""node":{"name":"node-gone"},"pod":{"name":"web-0","uid":"pod-uid"},"#,
                r#""serviceaccount":{"name":"web","uid":"sa-uid"}"#
            ),
        ),
        (
            Some(pod(None)),
            r#""pod":{"name":"web-0","uid":"pod-uid"},"serviceaccount":{"name":"web","uid":"sa-uid"}"#,
        ),
        (
            Some(BoundObject::Node(ObjectRef::new("node-1", "node-uid"))),
            r#""node":{"name":"node-1","uid":"node-uid"},"serviceaccount":{"name":"web","uid":"sa-uid"}"#,
        ),
        (
            Some(BoundObject::Secret(ObjectRef::new("s1", "secret-uid"))),
            r#""secret":{"name":"s1","uid":"secret-uid"},"serviceaccount":{"name":"web","uid":"sa-uid"}"#,
        ),
    ];
    for (bound, expected) in bindings {
        let claims = granted(&config(), &["vault"], Some(600), bound.as_ref()).claims;
        assert_eq!(
            String::from_utf8(claims.to_json()).unwrap(),
            format!(
                concat!(
                    r#"{{"aud":["vault"],"exp":1800000600,"iat":1800000000,"iss":"https://issuer.example","#,
                    r#""jti":"jti-1","kubernetes.io":{{"namespace":"apps",{}}},"nbf":1800000000,"#,
                    r#""sub":"system:serviceaccount:apps:web"}}"#
                ),
                expected
            )
        );
    }
}

/// Settings, audiences, asked lifetime, binding; granted lifetime, exp - iat, warnafter - iat, warnings.
type Case<'a> = (
    &'a IssuerConfig,
    &'a [&'a str],
    Option<i64>,
    Option<&'a BoundObject>,
    i64,
    i64,
    Option<i64>,
    Vec<String>,
);

#[test]
fn lifetimes() {
    let plain = config();
    let capped = plain.clone().with_max_expiration_seconds(7200).unwrap();
    let tight = plain.clone().with_max_expiration_seconds(3600).unwrap();
    let to_3607 = plain.clone().with_max_expiration_seconds(3607).unwrap();
    let never = plain.clone().with_extended_expiration(false);
    let (pod, node) = (pod(None), BoundObject::Node(ObjectRef::new("n", "u")));
    let (pod, node) = (Some(&pod), Some(&node));
    let year = 31_536_000;
    let shortened = |from: i64, to: i64| {
        vec![format!("requested expiration of {from} seconds shortened to {to} seconds")]
    };
    let cases: &[Case<'_>] = &[
        (&plain, &["vault"], None, None, 3600, 3600, None, vec![]),
        (&plain, &["vault"], Some(600), None, 600, 600, None, vec![]),
        (&plain, &["vault"], Some(1 << 32), None, 1 << 32, 1 << 32, None, vec![]),
        (&capped, &["vault"], Some(7200), None, 7200, 7200, None, vec![]),
        (&capped, &["vault"], Some(7800), None, 7200, 7200, None, shortened(7800, 7200)),
        (&tight, &["vault"], None, None, 3600, 3600, None, vec![]),
        // Extended: exactly 3607, a pod, api audiences only.
        (&plain, &["api"], Some(3607), pod, 3607, year, Some(3607), vec![]),
        (&plain, &[], Some(3607), pod, 3607, year, Some(3607), vec![]),
        (&plain, &["api", ISSUER], Some(3607), pod, 3607, year, Some(3607), vec![]),
        (&capped, &["api"], Some(3607), pod, 3607, year, Some(3607), vec![]),
        (&plain, &["api"], Some(3606), pod, 3606, 3606, None, vec![]),
        (&plain, &["api"], Some(3608), pod, 3608, 3608, None, vec![]),
        (&plain, &["api"], Some(3607), None, 3607, 3607, None, vec![]),
        (&plain, &["api"], Some(3607), node, 3607, 3607, None, vec![]),
        (&plain, &["vault"], Some(3607), pod, 3607, 3607, None, vec![]),
        (&plain, &["api", "vault"], Some(3607), pod, 3607, 3607, None, vec![]),
        (&plain, &[""], Some(3607), pod, 3607, 3607, None, vec![]),
        (&never, &["api"], Some(3607), pod, 3607, 3607, None, vec![]),
        // The cap comes first, both ways.
        (&tight, &["api"], Some(3607), pod, 3600, 3600, None, shortened(3607, 3600)),
        (&to_3607, &["api"], Some(4000), pod, 3607, year, Some(3607), shortened(4000, 3607)),
    ];
    for (index, (config, audiences, asked, bound, seconds, exp, warn_after, warnings)) in
        cases.iter().enumerate()
    {
        let granted = granted(config, audiences, *asked, *bound);
        let claims = &granted.claims;
        assert_eq!(granted.expiration_seconds, *seconds, "case {index}");
        assert_eq!(
            (claims.iat, claims.nbf, claims.exp),
            (Some(NOW), Some(NOW), Some(NOW + exp)),
            "case {index}"
        );
        let found = claims.kubernetes.as_ref().unwrap().warnafter;
        assert_eq!(found, warn_after.map(|seconds| NOW + seconds), "case {index}");
        assert_eq!(granted.expires, Timestamp::from_second(NOW + seconds).unwrap(), "case {index}");
        assert_eq!(&granted.warnings, warnings, "case {index}");
    }
}

#[test]
fn lifetimes_out_of_bounds_have_upstreams_text() {
    for (seconds, text) in [
        (i64::MIN, "may not specify a duration less than 10 minutes"),
        (0, "may not specify a duration less than 10 minutes"),
        (599, "may not specify a duration less than 10 minutes"),
        ((1 << 32) + 1, "may not specify a duration larger than 2^32 seconds"),
        (i64::MAX, "may not specify a duration larger than 2^32 seconds"),
    ] {
        assert_eq!(validate_expiration_seconds(seconds).unwrap_err().to_string(), text, "{seconds}");
    }
    assert_eq!(validate_expiration_seconds(600), Ok(()));
    assert_eq!(validate_expiration_seconds(1 << 32), Ok(()));
}

#[test]
fn nothing_overflows() {
    for seconds in [i64::MIN, i64::MAX] {
        assert_eq!(granted(&config(), &[], Some(seconds), None).expiration_seconds, seconds);
    }
}
