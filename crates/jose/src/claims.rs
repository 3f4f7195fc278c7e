//! The claims of a Kubernetes service account token, as kube-apiserver writes them.

use std::fmt;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// The registered claims and the `kubernetes.io` object.
///
/// Members serialize in sorted order, as upstream marshals them; what is empty is left out. Reading ignores unknown
/// members.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Whom the token is for. Empty in legacy secret tokens only.
    #[serde(default, skip_serializing_if = "Audiences::is_empty")]
    pub aud: Audiences,
    /// Seconds since the epoch after which the token is bad.
    #[serde(default, deserialize_with = "numeric_date", skip_serializing_if = "Option::is_none")]
    pub exp: Option<i64>,
    /// Seconds since the epoch when the token was issued.
    #[serde(default, deserialize_with = "numeric_date", skip_serializing_if = "Option::is_none")]
    pub iat: Option<i64>,
    /// The issuer's URL.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub iss: String,
    /// The token's own id, a random UUID.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub jti: String,
    /// Namespace, service account and bindings; absent in tokens of other issuers.
    #[serde(default, rename = "kubernetes.io", skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<KubernetesClaims>,
    /// Seconds since the epoch before which the token is bad.
    #[serde(default, deserialize_with = "numeric_date", skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// `system:serviceaccount:NAMESPACE:NAME`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sub: String,
}

impl Claims {
    /// The claims as the JSON payload of a token.
    pub fn to_json(&self) -> Vec<u8> {
        // Room for the claims of a pod-bound token with a few audiences, so that the buffer does not grow on the way.
        let mut json = Vec::with_capacity(768);
        serde_json::to_writer(&mut json, self).expect("strings and integers always serialize");
        json
    }
}

/// The private claims under `kubernetes.io`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubernetesClaims {
    /// Namespace of the service account.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The node the token is bound to, or that its pod runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<ObjectRef>,
    /// The pod the token is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<ObjectRef>,
    /// The secret the token is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<ObjectRef>,
    /// The service account itself.
    #[serde(default)]
    pub serviceaccount: ObjectRef,
    /// Seconds since the epoch after which use of an extended token is counted as stale.
    #[serde(default, deserialize_with = "numeric_date", skip_serializing_if = "Option::is_none")]
    pub warnafter: Option<i64>,
}

/// Name and uid of an object that a token is bound to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRef {
    /// Name of the object.
    #[serde(default)]
    pub name: String,
    /// Its uid; empty (and then not written) for a node that was gone when the token was made.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
}

impl ObjectRef {
    /// A reference to the object with this name and uid.
    pub fn new(name: impl Into<String>, uid: impl Into<String>) -> Self {
        Self { name: name.into(), uid: uid.into() }
    }
}

/// The `aud` claim: always written as an array; a single string is read too (RFC 7519, 4.1.3).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Audiences(pub Vec<String>);

impl Audiences {
    /// Whether there is no audience at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this audience is among them.
    pub fn contains(&self, audience: &str) -> bool {
        self.0.iter().any(|known| known == audience)
    }
}

impl<S: Into<String>> FromIterator<S> for Audiences {
    fn from_iter<I: IntoIterator<Item = S>>(audiences: I) -> Self {
        Self(audiences.into_iter().map(Into::into).collect())
    }
}

impl<'de> Deserialize<'de> for Audiences {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;

        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Audiences;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an audience or a list of audiences")
            }

            fn visit_str<E: de::Error>(self, audience: &str) -> Result<Audiences, E> {
                Ok(Audiences(vec![audience.to_owned()]))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Audiences, E> {
                Ok(Audiences::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Audiences, A::Error> {
                let mut audiences = Vec::new();
                while let Some(audience) = items.next_element()? {
                    audiences.push(audience);
                }
                Ok(Audiences(audiences))
            }
        }

        deserializer.deserialize_any(OneOrMany)
    }
}

/// A NumericDate (RFC 7519, section 2): fractions of a second are allowed on the wire and cut off here.
fn numeric_date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    struct Seconds;

    impl Visitor<'_> for Seconds {
        type Value = Option<i64>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("seconds since the epoch")
        }

        fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Option<i64>, E> {
            Ok(Some(seconds))
        }

        fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Option<i64>, E> {
            i64::try_from(seconds).map(Some).map_err(|_| E::custom("seconds out of range"))
        }

        fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Option<i64>, E> {
            // Beyond 2^53 a float no longer names a second.
            const EXACT: f64 = 9_007_199_254_740_992.0;
            if seconds.abs() <= EXACT {
                Ok(Some(seconds.trunc() as i64))
            } else {
                Err(E::custom("seconds out of range"))
            }
        }

        fn visit_unit<E: de::Error>(self) -> Result<Option<i64>, E> {
            Ok(None)
        }
    }

    deserializer.deserialize_any(Seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_sorted_and_empty_ones_left_out() {
        let claims = Claims {
            aud: ["vault"].into_iter().collect(),
            exp: Some(3600),
            iat: Some(0),
            iss: "https://issuer".into(),
            jti: "id".into(),
            kubernetes: Some(KubernetesClaims {
                namespace: "apps".into(),
                node: Some(ObjectRef::new("node-1", "")),
                pod: Some(ObjectRef::new("web-0", "pod-uid")),
                secret: None,
                serviceaccount: ObjectRef::new("web", "sa-uid"),
                warnafter: Some(3607),
            }),
            nbf: Some(0),
            sub: "system:serviceaccount:apps:web".into(),
        };
        let json = String::from_utf8(claims.to_json()).unwrap();
        assert_eq!(
            json,
            concat!(
                r#"{"aud":["vault"],"exp":3600,"iat":0,"iss":"https://issuer","jti":"id","kubernetes.io":{"#,
                r#""namespace":"apps","node":{"name":"node-1"},"pod":{"name":"web-0","uid":"pod-uid"},"#,
                r#""serviceaccount":{"name":"web","uid":"sa-uid"},"warnafter":3607},"nbf":0,"#,
                r#""sub":"system:serviceaccount:apps:web"}"#,
            )
        );
        assert_eq!(serde_json::from_str::<Claims>(&json).unwrap(), claims);
        assert_eq!(Claims::default().to_json(), b"{}");
    }

    #[test]
    fn an_explicit_empty_audience_is_kept() {
        let claims = Claims { aud: [""].into_iter().collect(), ..Claims::default() };
        assert_eq!(claims.to_json(), br#"{"aud":[""]}"#);
    }

    #[test]
    fn one_audience_may_be_a_plain_string_and_times_may_have_fractions() {
        let claims: Claims =
            serde_json::from_str(r#"{"aud":"a","exp":12.9,"nbf":null,"extra":[1]}"#).unwrap();
        assert_eq!(claims.aud.0, ["a"]);
        assert_eq!((claims.exp, claims.nbf), (Some(12), None));
        for bad in [r#"{"exp":1e300}"#, r#"{"exp":"1"}"#, r#"{"exp":18446744073709551615}"#, r#"{"aud":[1]}"#]
        {
            assert!(serde_json::from_str::<Claims>(bad).is_err(), "{bad}");
        }
    }
}
