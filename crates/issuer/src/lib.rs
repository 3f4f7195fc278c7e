//! Service account tokens: signing keys, bound tokens, verification, OIDC discovery.
//!
//! What kube-apiserver does about tokens, without HTTP and without storage. Two halves: pure rules ([`grant`]: what a
//! TokenRequest gets; [`verify`]: what a token proves) and [`Issuer`], which holds the keys. The invariant: **nothing
//! here waits**. There is no runtime, no clock and no lock held across work; a server can start before its RSA key is
//! made, and live objects are asked through [`LiveObjects`].
//!
//! ```
//! use tokenward_issuer::{Algorithm, Issuer, IssuerConfig, ServiceAccount, SigningKey, TokenRequestSpec};
//!
//! let config = IssuerConfig::new(["https://issuer.example"]).unwrap();
//! let issuer = Issuer::new(config);
//! assert!(issuer.signing_key().is_none(), "not ready yet");
//! issuer.set_signing_key(SigningKey::generate(Algorithm::Es256).unwrap());
//!
//! let account = ServiceAccount { namespace: "apps".into(), name: "web".into(), uid: "1".into() };
//! let spec = TokenRequestSpec { audiences: vec!["vault".into()], expiration_seconds: Some(600) };
//! let granted = issuer.grant(&spec, &account, None, jiff::Timestamp::UNIX_EPOCH);
//! let token = issuer.sign(&granted.claims).unwrap();
//! assert!(format!("{token:?}").contains("vault"));
//! ```

mod config;
mod discovery;
pub mod grant;
mod identity;
mod issuer;
mod key_set;
mod keys;
mod pem;
mod random;
pub mod verify;

pub use config::{ConfigError, IssuerConfig};
pub use discovery::{CONFIGURATION_PATH, Discovery, JWKS_PATH};
pub use grant::{BoundObject, ExpirationError, Granted, ServiceAccount, TokenRequestSpec};
pub use identity::{Identity, parse_username, username};
pub use issuer::{Issuer, SignError};
pub use key_set::KeySet;
pub use keys::{KeyError, SigningKey, VerifyingKey};
pub use random::random_uuid;
pub use tokenward_jose::{Algorithm, Claims, ObjectRef};
pub use verify::{LiveObject, LiveObjects, Verified, VerifyError};
