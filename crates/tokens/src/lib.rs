//! The vocabulary of CSI service account tokens: token map, audience, placement, lookup, when a token is due.
//!
//! The kubelet hands a driver all tokens of a volume as one JSON text under one key, [`TOKENS_KEY`], in exactly one of
//! two string maps of `NodePublishVolume`: `volume_context` by default, `secrets` when the driver has opted in
//! (KEP-5538). The invariant of this crate: **a token's text comes out only through a method named `expose_*`**; no
//! `Debug`, `Display`, error or serialization shows it.
//!
//! ```
//! use std::collections::BTreeMap;
//! use tokenward_tokens::{Audience, Placement, Token, TokenEntry, TokenMap, find, place};
//!
//! let mut tokens = TokenMap::new();
//! tokens.insert(Audience::new("vault"), TokenEntry { token: Token::new("a.b.c".into()), expires: None });
//!
//! let (mut secrets, mut volume_context) = (BTreeMap::new(), BTreeMap::new());
//! place(&tokens.to_value(), Placement::Secrets, &mut secrets, &mut volume_context);
//!
//! let found = find(&secrets, &volume_context).expect("tokens were placed");
//! assert_eq!(found.placement, Placement::Secrets);
//! assert_eq!(found.parse().unwrap().get("vault").unwrap().token.expose_token(), "a.b.c");
//! ```
//!
//! Next: [`due`] for refreshing, [`Clock`] for where time comes from.

mod clock;
pub mod due;
mod parse;
mod placement;
mod serialize;
mod token;
mod token_map;
mod value;

pub use clock::{Clock, ManualClock};
pub use parse::TokenMapError;
pub use placement::{Found, Placement, Relocation, UnknownPlacement, find, find_in, place, relocate, take};
pub use token::Token;
pub use token_map::{Audience, TokenEntry, TokenMap};
pub use tokenward_jose::{JsonError, JsonErrorKind};
pub use value::TokensValue;

/// The map key under which all tokens of a volume travel, in `volume_context` or in `secrets` (never both).
///
/// ```
/// use tokenward_tokens::{Placement, TOKENS_KEY, TokenMap, place};
///
/// let (mut secrets, mut volume_context) = Default::default();
/// place(&TokenMap::new().to_value(), Placement::VolumeContext, &mut secrets, &mut volume_context);
/// assert_eq!(volume_context[TOKENS_KEY], "{}");
/// ```
pub const TOKENS_KEY: &str = "csi.storage.k8s.io/serviceAccount.tokens";
