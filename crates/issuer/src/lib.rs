//! Service account tokens: signing keys, bound tokens, verification, OIDC discovery.
