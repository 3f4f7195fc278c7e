//! One table of the served Kubernetes kinds: decoding, pruning, protobuf, discovery and OpenAPI documents come from it.
//!
//! The one invariant: nobody else knows the fields of a Kubernetes type. The table ([`Message`], [`Field`]) is generated
//! from `kube-wire.tsv`, the wire facts of Kubernetes 1.35, and `releases.tsv`, which says what other releases have; it is
//! checked in, and a test makes it anew.
//!
//! ```
//! use tokenward_kube_rules::Release;
//! use tokenward_kube_schema::{decode, find_resource, normalize};
//!
//! let kind = find_resource("storage.k8s.io", "v1", "csidrivers").expect("a served resource");
//! let body = br#"{"metadata":{"name":"files.csi.example"},"spec":{"serviceAccountTokenInSecrets":true}}"#;
//! let known = decode(kind, Release::V1_35, body)?;
//! assert!(known.unknown.is_empty());
//! // The release before does not know the field.
//! assert_eq!(decode(kind, Release::V1_34, body)?.unknown, ["spec.serviceAccountTokenInSecrets"]);
//! let printed = normalize(kind, Release::V1_34, &known.object)?;
//! assert_eq!(printed.object["spec"], serde_json::json!({}));
//! # Ok::<(), tokenward_kube_schema::DecodeError>(())
//! ```
//!
//! A body comes in through [`decode`]; a tree is made as Go would print it by [`normalize`]; [`encode`] makes the bytes
//! that a store keeps, [`parse`] the tree again. [`strategic_merge`] merges one object into another by the table's merge
//! keys. [`kinds`] is the registry that discovery lists.

mod decode;
mod encode;
mod error;
mod generated;
mod go_base64;
mod go_time;
mod json;
mod kind;
pub mod managed_fields;
pub mod openapi;
mod patch_body;
pub mod protobuf;
mod strategic;
mod table;

pub use decode::{Decoded, check_type, decode, decode_delete_options, normalize, print};
pub use encode::{Encoded, ParseError, encode, parse, to_json};
pub use error::{DecodeError, TypeMismatch, summarize_body};
pub use go_base64::Base64;
pub use kind::{Connection, Kind, Subresource, Verb, find_kind, find_resource, kinds};
pub use patch_body::{PatchBody, read_patch};
pub use strategic::{StrategicError, StrategicFault, strategic_merge};
pub use table::{Field, FieldType, ListType, MapType, Message, PatchStrategy, Shape, find_message};
