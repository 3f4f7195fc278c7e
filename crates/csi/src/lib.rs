//! The Container Storage Interface, version 1.12, as prost messages and tonic services whose `Debug` cannot leak a
//! secret.
//!
//! The one invariant: however a message of this crate is formatted, every field that the specification marks
//! `csi_secret`, every service account token value in any map, and anything token-shaped in any string comes out as
//! `***stripped***`. So `{request:?}` may be logged.
//!
//! ```
//! use tokenward_csi::v1::NodePublishVolumeRequest;
//!
//! let mut request = NodePublishVolumeRequest { volume_id: "vol-1".into(), ..Default::default() };
//! let token = r#"{"api":{"token":"opaque","expirationTimestamp":"2026-01-01T00:00:00Z"}}"#;
//! request.volume_context.insert("csi.storage.k8s.io/serviceAccount.tokens".into(), token.into());
//! request.secrets.insert("password".into(), "hunter2".into());
//!
//! assert_eq!(
//!     format!("{request:?}"),
//!     concat!(
//!         r#"NodePublishVolumeRequest {"secrets":"***stripped***","#,
//!         r#""volume_context":{"csi.storage.k8s.io/serviceAccount.tokens":"***stripped***"},"volume_id":"vol-1"}"#,
//!     )
//! );
//! ```
//!
//! The types, [`TABLE`] and the list of messages under `src/generated` are made from `proto/csi.proto` by the test
//! `generated`, which also holds that file against the specification's wire facts in `csi-wire.tsv`. For bytes that
//! were never decoded, use [`tokenward_sanitize::Sanitizer`] with [`TABLE`]; for a log line whose level may be off,
//! [`tokenward_sanitize::Sanitized`].

mod debug;
mod table;

pub use table::TABLE;

/// Package `csi.v1`: messages, clients and servers.
///
/// Maps are `BTreeMap`, so that what is sent and shown is in one order. What each call must do is in the
/// specification, <https://github.com/container-storage-interface/spec/blob/v1.12.0/spec.md>.
#[expect(
    missing_docs,
    unused_qualifications,
    clippy::allow_attributes_without_reason,
    reason = "generated; the specification documents each field"
)]
pub mod v1 {
    include!("generated/csi.v1.rs");
}
