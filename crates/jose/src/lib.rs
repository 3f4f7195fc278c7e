//! Compact JWS, Kubernetes service account claims, JWKS and key ids: parsing and building, no signing.
