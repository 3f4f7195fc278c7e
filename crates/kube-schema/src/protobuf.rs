//! Kubernetes protobuf: the form in which kubelets and client-go send and want objects.
//!
//! A body is an envelope ([`ENVELOPE`], then `runtime.Unknown` with kind and version) around the object's own message.
//! Both directions walk the table beside a JSON tree, so that a tree and its protobuf say the same. As in Go, what is no
//! pointer is always written, zero or not; fields go by number and maps by key, so that one tree has one encoding.
//!
//! ```
//! use serde_json::json;
//! use tokenward_kube_rules::Release;
//! use tokenward_kube_schema::{find_resource, normalize, protobuf};
//!
//! let kind = find_resource("storage.k8s.io", "v1", "csidrivers").expect("a served resource");
//! let tree = json!({"metadata": {"name": "files.csi.example"}, "spec": {"serviceAccountTokenInSecrets": true}});
//! let printed = normalize(kind, Release::V1_35, tree.as_object().expect("an object"))?.object;
//! let encoded = protobuf::encode(kind, &printed)?;
//! assert!(encoded.bytes().starts_with(b"k8s\0"));
//! let decoded = protobuf::decode(kind, Release::V1_35, encoded.bytes())?;
//! assert_eq!(normalize(kind, Release::V1_35, &decoded)?.object, printed);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod decode;
mod encode;
mod envelope;
mod error;
mod order;
mod wire;

#[cfg(test)]
mod tests;

pub use decode::{decode, decode_delete_options};
pub use encode::{
    ListFrame, ListMeta, encode, encode_status, envelop, event_head, list_frame, list_item_width,
    message_of_item, metadata_of, write_list_item,
};
pub use envelope::{ENVELOPE, Enveloped, Unknown};
pub use error::{EncodeError, WireError};
pub use wire::{Reader, Wire, Writer};
