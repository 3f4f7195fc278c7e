//! The OpenID Connect discovery document (OpenID Connect Discovery 1.0, section 3), as kube-apiserver serves it.

use serde::Serialize;

use crate::{IssuerConfig, KeySet};

/// Where the discovery document is served; `Content-Type: application/json`.
pub const CONFIGURATION_PATH: &str = "/.well-known/openid-configuration";

/// Where the keys are served; `Content-Type: application/jwk-set+json`.
pub const JWKS_PATH: &str = "/openid/v1/jwks";

/// The two bodies; both go out with `Cache-Control: public, max-age=3600`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovery {
    /// The body for [`CONFIGURATION_PATH`].
    pub configuration: Vec<u8>,
    /// The body for [`JWKS_PATH`].
    pub jwks: std::sync::Arc<[u8]>,
}

/// `None` when the issuer or the key URI is no `https` URL without query and fragment: upstream then leaves out both
/// endpoints and serves on.
pub(crate) fn discovery(config: &IssuerConfig, keys: &KeySet, external_address: &str) -> Option<Discovery> {
    #[derive(Serialize)]
    struct Configuration<'a> {
        issuer: &'a str,
        jwks_uri: &'a str,
        response_types_supported: [&'a str; 1],
        subject_types_supported: [&'a str; 1],
        id_token_signing_alg_values_supported: Vec<&'a str>,
    }

    let own_uri = format!("https://{external_address}{JWKS_PATH}");
    let jwks_uri = config.jwks_uri().unwrap_or(&own_uri);
    if !is_plain_https(config.issuer()) || !jwks_uri.starts_with("https://") {
        return None;
    }
    let configuration = Configuration {
        issuer: config.issuer(),
        jwks_uri,
        response_types_supported: ["id_token"],
        subject_types_supported: ["public"],
        id_token_signing_alg_values_supported: keys.algorithms().iter().map(|known| known.as_str()).collect(),
    };
    Some(Discovery {
        configuration: serde_json::to_vec(&configuration).expect("strings always serialize"),
        jwks: keys.jwks().clone(),
    })
}

fn is_plain_https(url: &str) -> bool {
    url.strip_prefix("https://")
        .is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/') && !rest.contains(['?', '#', ' ']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_come_in_upstreams_order() {
        let config = IssuerConfig::new(["https://issuer.example", "https://old.example"]).unwrap();
        let found = discovery(&config, &KeySet::default(), "10.0.0.1:6443").unwrap();
        assert_eq!(
            String::from_utf8(found.configuration).unwrap(),
            concat!(
                r#"{"issuer":"https://issuer.example","jwks_uri":"https://10.0.0.1:6443/openid/v1/jwks","#,
                r#""response_types_supported":["id_token"],"subject_types_supported":["public"],"#,
                r#""id_token_signing_alg_values_supported":[]}"#
            )
        );
        assert_eq!(&found.jwks[..], br#"{"keys":[]}"#);
    }

    #[test]
    fn without_a_plain_https_issuer_there_is_no_discovery() {
        for bad in ["http://a", "a", "https://", "https:///x", "https://a?b", "https://a#b"] {
            let config = IssuerConfig::new([bad]).unwrap();
            assert_eq!(discovery(&config, &KeySet::default(), "a"), None, "{bad}");
        }
        let config = IssuerConfig::new(["https://a"]).unwrap().with_jwks_uri("http://a/keys");
        assert_eq!(discovery(&config, &KeySet::default(), "a"), None);
        let config = IssuerConfig::new(["https://a"]).unwrap().with_jwks_uri("https://b/keys");
        let found = discovery(&config, &KeySet::default(), "a").unwrap();
        assert!(String::from_utf8(found.configuration).unwrap().contains(r#""jwks_uri":"https://b/keys""#));
    }
}
