//! Compact JWS, Kubernetes service account claims, JWKS and key ids: parsing and building, no signing.
//!
//! One home for everything that looks into a JWT. The invariant: **nothing here prints what it was given**. Errors
//! carry a kind and a position, never a piece of the input, since the input may be a live token.
//!
//! ```
//! use tokenward_jose::{Claims, Header, peek_claims, signing_input};
//!
//! let header = Header { alg: "ES256".into(), kid: Some("key-1".into()) };
//! let claims = Claims { sub: "system:serviceaccount:apps:web".into(), ..Claims::default() };
//! let unsigned = signing_input(&header, &claims);
//! assert_eq!(peek_claims(&format!("{unsigned}.c2ln")).unwrap().sub, "system:serviceaccount:apps:web");
//! ```
//!
//! Start with [`CompactJws`] for tokens, [`PublicKey`] and [`JwkSet`] for keys.

mod claims;
mod compact;
mod der;
mod json;
mod jwks;
mod public_key;

pub use claims::{Audiences, Claims, KubernetesClaims, ObjectRef};
pub use compact::{CompactJws, Header, JwsError, JwsPart, MAX_JWS_LEN, looks_like_compact_jws, peek_claims};
pub use compact::{encode_segment, encode_segment_to, signing_input};
pub use json::{JsonError, JsonErrorKind};
pub use jwks::{Jwk, JwkError, JwkSet};
pub use public_key::{Algorithm, Curve, KeyId, KeyMaterial, PublicKey, SpkiError, UnknownAlgorithm, key_id};
